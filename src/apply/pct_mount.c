/* `pct mount CTID` and `pct unmount CTID`: pct(1) of pve-container, which knows every kind of storage. */
#include "apply/pct_mount.h"

#include <errno.h>
#include <fcntl.h>

#include "base/run.h"

/* Its exit status or a negative errno. What it says on stderr (a task's warnings, why it failed) is for the
 * user; that it mounted the CT is not. */
static int run_pct(const char *verb, const char *ctid)
{
    const char *const argv[] = {"pct", verb, ctid, NULL};
    const struct nvl_run run = {.argv = argv, .errors = NVL_STREAM_CALLERS};

    return nvl_run_status(&run);
}

static char *pct_failure(const char *verb, const char *ctid, int status)
{
    return status < 0 ? nvl_xasprintf("`pct %s %s` cannot be run: %s", verb, ctid, strerror(-status))
                      : nvl_xasprintf("`pct %s %s` failed with status %d", verb, ctid, status);
}

/* A signal in between would leave the CT mounted and locked. */
static void hold_signals(sigset_t *before)
{
    sigset_t ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, before);
}

int nvl_pct_mount(struct nvl_pct_mount *m, const struct nvl_container *c, struct nvl_root *rootfs, char **why)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s/rootfs", c->lxcpath, c->name);

    m->ctid = c->name;
    hold_signals(&m->signals);
    int r = run_pct("mount", c->name);
    if (r != 0) {
        *why = pct_failure("mount", c->name, r);
        sigprocmask(SIG_SETMASK, &m->signals, NULL);
        return r < 0 ? r : -EIO;
    }
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        nvl_root_from_fd(rootfs, fd, path);
        return 0;
    }
    r = -errno;
    *why = nvl_xasprintf("%s cannot be opened: %s", path, strerror(-r));
    nvl_autofree char *ignored = NULL;
    nvl_pct_unmount(m, rootfs, &ignored);
    return r;
}

int nvl_pct_unmount(struct nvl_pct_mount *m, struct nvl_root *rootfs, char **why)
{
    nvl_root_close(rootfs);
    int r = run_pct("unmount", m->ctid);
    sigprocmask(SIG_SETMASK, &m->signals, NULL);
    if (r == 0)
        return 0;
    nvl_autofree char *what = pct_failure("unmount", m->ctid, r);
    *why = nvl_xasprintf("%s: it is still mounted and locked; run `pct unmount %s`", what, m->ctid);
    return r < 0 ? r : -EIO;
}
