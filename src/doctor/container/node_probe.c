/* A child joins the container's cgroup, which the device filter hangs on, and its user namespace, and opens
 * the node that was found through the container's root file system before. It runs no program, and what it
 * opens has been looked at: the device that the driver has, and nothing else. */
#include "doctor/container/node_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/run.h"
#include "container/state.h"

#define ANSWER_SECONDS 2 /* it can be frozen meanwhile */
#define NO_ANSWER      255

/* A file of the cgroup that the container's init is in, "0::/lxc.payload.web" in the one hierarchy of v2. */
static char *cgroup_file(const struct nvl_container_facts *facts, const char *name)
{
    nvl_autofree char *group = nvl_process_cgroup(facts->host->root, facts->init);

    return group != NULL ? nvl_xasprintf("/sys/fs/cgroup%s/%s", group, name) : NULL;
}

/* Who joins a frozen group is frozen, and answers nothing. */
static bool is_frozen(const struct nvl_container_facts *facts)
{
    nvl_autofree char *path = cgroup_file(facts, "cgroup.events"), *text = NULL;
    size_t len;

    return path != NULL && nvl_root_read(facts->host->root, path, 4096, &text, &len) == 0 &&
           strstr(text, "frozen 1") != NULL;
}

/* -1 where the container has the host's own user namespace, and there is none to join. */
static int open_user_namespace(const struct nvl_container_facts *facts)
{
    struct stat mine, theirs;
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/ns/user", (int)facts->init);
    nvl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC); /* a kernel link: the root handle follows none */

    if (fd < 0 || fstat(fd, &theirs) < 0 || stat("/proc/self/ns/user", &mine) < 0)
        return -1;
    return mine.st_ino == theirs.st_ino ? -1 : TAKE_FD(fd);
}

struct opening {
    int procs_fd, user_fd, node_fd, flags;
};

/* In the child: its exit status is the errno of opening, or NO_ANSWER. */
static int join_and_open(void *data)
{
    const struct opening *o = data;
    char link[64];

    if (write(o->procs_fd, "0", 1) != 1)
        return NO_ANSWER;
    if (o->user_fd >= 0 &&
        (setns(o->user_fd, CLONE_NEWUSER) < 0 || setgroups(0, NULL) < 0 || setgid(0) < 0 || setuid(0) < 0))
        return NO_ANSWER;
    snprintf(link, sizeof link, "/proc/self/fd/%d", o->node_fd);
    return open(link, o->flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) < 0 ? errno : 0;
}

static int try_to_open(const struct nvl_container_facts *facts, int node_fd, int flags)
{
    nvl_autofree char *procs = cgroup_file(facts, "cgroup.procs");
    nvl_autofd int procs_fd =
        procs != NULL && !is_frozen(facts) ? nvl_root_openat(facts->host->root, procs, O_WRONLY) : -1;
    nvl_autofd int user_fd = open_user_namespace(facts);
    struct opening opening = {procs_fd, user_fd, node_fd, flags};
    const struct nvl_run run = {.body = join_and_open, .body_data = &opening, .seconds = ANSWER_SECONDS};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};

    if (procs_fd < 0 || (user_fd < 0 && !facts->idmap.privileged) || nvl_run(&run, &result) < 0 ||
        !WIFEXITED(result.status))
        return NO_ANSWER;
    return WEXITSTATUS(result.status);
}

static enum nvl_probe meaning(int answer)
{
    switch (answer) {
    case EPERM:
        return NVL_PROBE_FILTERED;
    case EACCES:
        return NVL_PROBE_DENIED;
    case NO_ANSWER:
        return NVL_PROBE_UNKNOWN;
    default: /* whatever the driver says, or that there is none (ENXIO): the container's root got through to
                it */
        return NVL_PROBE_OPENS;
    }
}

struct nvl_probed nvl_probe_node(const struct nvl_container_facts *facts, const struct nvl_node *node)
{
    struct nvl_probed probed = {.result = NVL_PROBE_UNKNOWN};

    if (facts->init <= 0 || facts->rootfs.fd < 0)
        return probed;
    nvl_autofd int fd = nvl_root_openat(&facts->rootfs, node->path, O_PATH | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &probed.st) < 0) {
        probed.result = fd == -ENOENT ? NVL_PROBE_ABSENT : NVL_PROBE_UNKNOWN;
        return probed;
    }
    if (!S_ISCHR(probed.st.st_mode) || (int)major(probed.st.st_rdev) != node->major ||
        (int)minor(probed.st.st_rdev) != node->minor)
        probed.result = NVL_PROBE_OTHER;
    else
        probed.result = meaning(try_to_open(facts, fd, node->kind == NVL_NODE_CAP ? O_RDONLY : O_RDWR));
    return probed;
}
