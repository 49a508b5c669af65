/* The other way in: as lxc-attach, with all that the container's root may do, seccomp filter included. The
 * child holds nothing of nvlxc's when it enters: it is LXC's own program, without a terminal, with an
 * environment of its own, and with three descriptors. */
#include "inside/run.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/run.h"
#include "container/list.h"

#define TOOLS_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* In the child. Also what nvlxc's own caller left open for it must not come into a container. */
static int become_attach(void *data)
{
    static char path[] = TOOLS_PATH, locale[] = "LC_ALL=C";
    static char *environment[] = {path, locale, NULL};
    char *const *argv = data;

    if (close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
        return 126;
    environ = environment; /* PATH is also taken from it */
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    return 127;
}

/* Whoever calls for it reports "cannot start" as of any program inside. */
static void give_attached(struct nvl_run_result *ran, int r, struct nvl_output *out)
{
    *out = (struct nvl_output){.at = "lxc-attach",
                               .text = TAKE_PTR(ran->text),
                               .len = ran->len,
                               .truncated = ran->truncated,
                               .timed_out = ran->timed_out,
                               .status = ran->status,
                               .error = r == -ETIMEDOUT ? 0 : r,
                               .millis = ran->millis};
}

void nvl_inside_attach(const struct nvl_container *container, const char *const *argv, int input,
                       unsigned seconds, size_t max, struct nvl_output *out)
{
    static const char *const entry[] = {"--clear-env", "-v", TOOLS_PATH, "-v",
                                        "HOME=/root",  "-v", "LC_ALL=C", "--"};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran = {0};
    nvl_autofree const char **all = NULL;
    size_t n = 0;

    *NVL_APPEND(all, n) = "lxc-attach";
    *NVL_APPEND(all, n) = "-P";
    *NVL_APPEND(all, n) = container->lxcpath;
    *NVL_APPEND(all, n) = "-n";
    *NVL_APPEND(all, n) = container->lxc_name;
    for (size_t i = 0; i < NVL_LENGTH(entry); i++)
        *NVL_APPEND(all, n) = entry[i];
    for (; *argv != NULL; argv++)
        *NVL_APPEND(all, n) = *argv;
    *NVL_APPEND(all, n) = NULL;
    const struct nvl_run run = {.body = become_attach,
                                .body_data = all,
                                .input = NVL_STREAM_FD,
                                .input_fd = input,
                                .output = NVL_STREAM_TAKEN,
                                .errors = NVL_STREAM_TAKEN,
                                .max = max,
                                .seconds = seconds};
    int r = nvl_run(&run, &ran);
    give_attached(&ran, r, out);
}
