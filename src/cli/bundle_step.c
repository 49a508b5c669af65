/* Builds a driver bundle and shows the progress. */
#include "cli/bundle_step.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fix.h"
#include "base/paths.h"
#include "driver/advice.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "bundle/list.h"
#include "host/userspace.h"

struct copying {
    const struct nvl_context *ctx;
    const char *version;
};

static void show_copied(void *data, const char *file, uint64_t done, uint64_t total)
{
    const struct copying *c = data;
    char done_text[16], total_text[16];

    (void)file;
    nvl_format_size(done, done_text, sizeof done_text);
    nvl_format_size(total, total_text, sizeof total_text);
    nvl_progress(c->ctx, "copying driver %s: %s of %s", c->version, done_text, total_text);
}

int nvl_sync_shown(const struct nvl_context *ctx, const struct nvl_userspace *us, const char *version,
                   bool dry_run, struct nvl_sync_result *result, struct nvl_error *err)
{
    struct copying copying = {ctx, version};

    if (!dry_run)
        nvl_progress(ctx, "builds the driver bundle of %s", version);
    int r = nvl_bundle_sync(&ctx->root, us, version, dry_run, ctx->quiet || ctx->json ? NULL : show_copied,
                            &copying, result, err);
    nvl_progress_end();
    return r;
}

/* Measures the nearest folder that exists. */
static bool can_write(const struct nvl_root *root)
{
    nvl_autofree char *path = nvl_xstrdup(NVL_BUNDLE_DIR);

    for (;;) {
        nvl_autofd int fd = nvl_root_openat(root, path, O_PATH | O_DIRECTORY);
        if (fd >= 0)
            return faccessat(fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) == 0;
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
    }
}

static void say_built(const struct nvl_context *ctx, const char *version, bool dry_run,
                      const struct nvl_sync_result *result)
{
    char size[16];

    nvl_format_size(result->bytes, size, sizeof size);
    nvl_say_fact(ctx, "", "%s the driver bundle %s/%s (%zu files, %s)", dry_run ? "would build" : "built",
                 NVL_BUNDLE_DIR, version, result->n_files, size);
}

const char *nvl_bundle_state_name(enum nvl_bundle_state state)
{
    static const char *const names[] = {[NVL_BUNDLE_PRESENT] = "present",
                                        [NVL_BUNDLE_BUILT] = "built",
                                        [NVL_BUNDLE_PLANNED] = "planned",
                                        [NVL_BUNDLE_MISSING] = "missing",
                                        [NVL_BUNDLE_LEFT] = "missing"};

    return names[state];
}

enum nvl_bundle_state nvl_bundle_step(const struct nvl_context *ctx, const struct nvl_driver_version *driver,
                                      unsigned capabilities, bool dry_run, struct nvl_strv *warnings)
{
    const char *version = driver->version;
    struct nvl_userspace nvl_auto(nvl_userspace_clear) us = {0};
    struct nvl_sync_result nvl_auto(nvl_sync_result_clear) result = {0};
    struct nvl_error err = {0};

    if (version[0] == '\0')
        return NVL_BUNDLE_UNUSED;
    if (nvl_bundle_is_present(&ctx->root, version))
        return NVL_BUNDLE_PRESENT;
    if (!dry_run && !can_write(&ctx->root)) {
        nvl_strv_pushf(warnings, "the driver bundle of %s is missing; build it as root: nvlxc driver sync",
                       version);
        return NVL_BUNDLE_LEFT;
    }
    int r = nvl_userspace_read(&ctx->root, &us, &err);
    if (r == 0)
        r = nvl_sync_shown(ctx, &us, version, dry_run, &result, &err);
    if (r < 0) {
        nvl_autofree char *fix = nvl_fix_in_line(err.hint);
        nvl_strv_pushf(warnings, "the driver bundle of %s %s: %s%s%s", version,
                       dry_run ? "could not be built" : "was not built", err.message,
                       fix[0] != '\0' ? "; " : "", fix);
        return r == -ENOEXEC && !nvl_root_is_machine(&ctx->root) ? NVL_BUNDLE_LEFT : NVL_BUNDLE_MISSING;
    }
    if (result.changed || dry_run)
        say_built(ctx, version, dry_run, &result);
    /* only what was asked for is worth a line */
    nvl_missing_lines(&ctx->root, &us, &result.selection.missing, capabilities, warnings);
    return dry_run ? NVL_BUNDLE_PLANNED : NVL_BUNDLE_BUILT;
}
