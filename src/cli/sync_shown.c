/* Building a driver bundle with its progress shown on a terminal. */
#include "cli/sync_shown.h"

#include <stdio.h>
#include <unistd.h>

struct progress {
    const char *version;
    int percent;
};

static void show(void *data, const char *file, uint64_t done, uint64_t total)
{
    struct progress *p = data;
    int percent = total > 0 ? (int)(done * 100 / total) : 100;

    (void)file;
    if (percent == p->percent)
        return;
    p->percent = percent;
    fprintf(stderr, "\rcopying driver %s: %d %%", p->version, percent);
    fflush(stderr);
}

int nvl_sync_shown(const struct nvl_context *ctx, const struct nvl_userspace *us, const char *version,
                   bool dry_run, struct nvl_sync_result *result, struct nvl_error *err)
{
    struct progress progress = {version, -1};
    bool is_shown = !dry_run && !ctx->quiet && !ctx->json && isatty(STDERR_FILENO) != 0;

    int r = nvl_bundle_sync(&ctx->root, us, version, dry_run, is_shown ? show : NULL, &progress, result, err);
    if (progress.percent >= 0)
        fputs("\r\033[K", stderr); /* the line that follows says it all */
    return r;
}
