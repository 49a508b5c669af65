/* A running container: whether it still has what the host has now, and can open it. A container keeps what it
 * was started with; drivers, majors and grants may change meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/run.h"
#include "base/visit.h"
#include "container/commands.h"
#include "container/state.h"
#include "inject/home.h"
#include "doctor/container/shared.h"
#include "doctor/families.h"

#define ANSWER_SECONDS 2 /* it may be frozen meanwhile */
#define NO_ANSWER      255

enum probe {
    PROBE_UNKNOWN,  /* the probe was impossible: not running, no cgroup v2, not root, no answer in time */
    PROBE_OPENS,    /* it opens, or the driver refuses it: filter and mode allow it */
    PROBE_ABSENT,   /* no such node in the container */
    PROBE_OTHER,    /* something else is there, or another device */
    PROBE_FILTERED, /* EPERM: the device filter */
    PROBE_DENIED,   /* EACCES: mode and owner, or a mount with nodev */
};

struct probed {
    enum probe result;
    struct stat st; /* of what is there; zero if there is nothing */
};

/* The version of the mounted bundle: the last component of the root of its entry in the container's mount
 * table. NULL if nothing is mounted there. */
static char *mounted_version(const struct nvl_container_facts *facts)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/mountinfo", (int)facts->init);
    nvl_autofree char *text = NULL, *point = NULL;
    char *version = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    /* where it really lies: /usr/local may be a link */
    if (nvl_root_read(facts->host->root, path, 8u << 20, &text, &len) < 0 ||
        nvl_root_resolve(&facts->rootfs, nvl_home(&facts->rootfs), &point) < 0)
        return NULL;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        nvl_strv_split(&words, copy, " ");
        if (words.count < 6)
            continue;
        nvl_decode_octal(words.items[4]);
        if (strcmp(words.items[4], point) != 0)
            continue;
        const char *slash = strrchr(words.items[3], '/');
        free(version); /* the last mount covers the others */
        version = nvl_xstrdup(slash != NULL ? slash + 1 : words.items[3]);
    }
    return version;
}

/* Nodes that are missing, or have another number than the driver has now. */
static void compare_nodes(const struct nvl_container_facts *facts, struct nvl_strv *evidence,
                          struct nvl_strv *paths)
{
    size_t count;
    nvl_autofree struct nvl_node *nodes = nvl_expected_nodes(facts, &count);

    for (size_t i = 0; i < count; i++) {
        const struct nvl_node *node = &nodes[i];
        struct stat st;
        if (node->state == NVL_NODE_MISSING || node->state == NVL_NODE_NOT_DEVICE ||
            node->state == NVL_NODE_STALE || node->major < 0)
            continue; /* the host's own fault, reported there */
        size_t before = evidence->count;
        int r = nvl_root_stat(&facts->rootfs, node->path, AT_SYMLINK_NOFOLLOW, &st);
        if (r == -ENOENT && facts->has_grant)
            nvl_strv_pushf(evidence, "%s is not in the running container", node->path);
        else if (r == 0 && S_ISCHR(st.st_mode) &&
                 ((int)major(st.st_rdev) != node->major || (int)minor(st.st_rdev) != node->minor))
            nvl_strv_pushf(evidence, "%s is %u:%u in the running container, %d:%d on the host", node->path,
                           major(st.st_rdev), minor(st.st_rdev), node->major, node->minor);
        if (evidence->count > before)
            nvl_strv_push(paths, node->path);
    }
}

static void compare_driver(const struct nvl_container_facts *facts, struct nvl_strv *evidence)
{
    const char *version = facts->host->host.driver.version;
    nvl_autofree char *mounted = mounted_version(facts);

    if (!nvl_wants_bundle(facts) || version[0] == '\0')
        return;
    const char *home = nvl_home(&facts->rootfs);
    if (mounted == NULL)
        nvl_strv_pushf(evidence, "no driver is mounted at %s", home);
    else if (strcmp(mounted, version) != 0)
        nvl_strv_pushf(evidence, "the driver %s is mounted at %s, the kernel module is %s", mounted, home,
                       version);
}

/* The filter in force is that of the last start: if the config now lets a node be opened, a restart fixes
 * it. */
static void explain_filter(struct nvl_finding *f, const struct nvl_container_facts *facts)
{
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};
    size_t count;
    nvl_autofree struct nvl_node *nodes = nvl_expected_nodes(facts, &count);

    if (nvl_facts_rules(facts, &rules) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (nvl_device_rules_allow(&rules, nodes[i].path, nodes[i].major, nodes[i].minor))
            nvl_finding_explains(f, NVL_SUBJECT_NODE, nodes[i].path);
}

static void check_outdated(const struct nvl_check *check, const struct nvl_container_facts *facts,
                           struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};

    compare_nodes(facts, &evidence, &paths);
    size_t nodes = evidence.count;
    compare_driver(facts, &evidence);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "it still runs with what it got at its last start");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    if (evidence.count > nodes)
        nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    explain_filter(f, facts);
    nvl_autofree char *restart = nvl_container_restart(facts->container);
    nvl_finding_cause(f, "a container gets nodes and driver when it starts; its grant, the majors or the "
                         "driver have changed since: CUDA fails with error 999, 100 or 803");
    nvl_finding_fix(f, "%s", restart);
}

/* A child joins the container's cgroup, to which the device filter belongs, and its user namespace, and opens
 * the node that was found earlier through the container's root file system. The child runs no program, and
 * opens only what was checked before: the device that the driver has. */

/* A file of the cgroup of the container's init, "0::/lxc.payload.web" in the single hierarchy of v2. */
static char *cgroup_file(const struct nvl_container_facts *facts, const char *name)
{
    nvl_autofree char *group = nvl_process_cgroup(facts->host->root, facts->init);

    return group != NULL ? nvl_xasprintf("/sys/fs/cgroup%s/%s", group, name) : NULL;
}

/* A process that joins a frozen group freezes, and never answers. */
static bool is_frozen(const struct nvl_container_facts *facts)
{
    nvl_autofree char *path = cgroup_file(facts, "cgroup.events"), *text = NULL;
    size_t len;

    return path != NULL && nvl_root_read(facts->host->root, path, 4096, &text, &len) == 0 &&
           strstr(text, "frozen 1") != NULL;
}

/* -1 if the container has the host's own user namespace, so that there is none to join. */
static int open_init_user_namespace(const struct nvl_container_facts *facts)
{
    struct stat mine, theirs;
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/ns/user", (int)facts->init);
    nvl_autofd int fd =
        open(path, O_RDONLY | O_CLOEXEC); /* a link of the kernel's, which the root handle does not follow */

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
    nvl_autofd int user_fd = open_init_user_namespace(facts);
    struct opening opening = {procs_fd, user_fd, node_fd, flags};
    const struct nvl_run run = {.body = join_and_open, .body_data = &opening, .seconds = ANSWER_SECONDS};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};

    if (procs_fd < 0 || (user_fd < 0 && !facts->idmap.privileged) || nvl_run(&run, &result) < 0 ||
        !WIFEXITED(result.status))
        return NO_ANSWER;
    return WEXITSTATUS(result.status);
}

static enum probe judge_answer(int answer)
{
    switch (answer) {
    case EPERM:
        return PROBE_FILTERED;
    case EACCES:
        return PROBE_DENIED;
    case NO_ANSWER:
        return PROBE_UNKNOWN;
    default: /* an error of the driver's, or no driver (ENXIO): the container's root reached it */
        return PROBE_OPENS;
    }
}

/* A device has the same driver everywhere, so the driver's answer concerns the host. `node` as it should be;
 * its path is looked up in the container. Caps nodes are opened for reading. */
static struct probed probe_node(const struct nvl_container_facts *facts, const struct nvl_node *node)
{
    struct probed probed = {.result = PROBE_UNKNOWN};

    nvl_autofd int fd = nvl_root_openat(&facts->rootfs, node->path, O_PATH | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &probed.st) < 0) {
        probed.result = fd == -ENOENT ? PROBE_ABSENT : PROBE_UNKNOWN;
        return probed;
    }
    if (!S_ISCHR(probed.st.st_mode) || (int)major(probed.st.st_rdev) != node->major ||
        (int)minor(probed.st.st_rdev) != node->minor)
        probed.result = PROBE_OTHER;
    else
        probed.result = judge_answer(try_to_open(facts, fd, node->kind == NVL_NODE_CAP ? O_RDONLY : O_RDWR));
    return probed;
}

/* Each node that gives `wanted` when the container's root opens it. False if there is one that could not be
 * tried. */
static bool find_probed(const struct nvl_container_facts *facts, enum probe wanted, const char *words,
                        struct nvl_strv *evidence, struct nvl_strv *paths)
{
    size_t count;
    nvl_autofree struct nvl_node *nodes = nvl_expected_nodes(facts, &count);
    bool is_whole = true;

    for (size_t i = 0; i < count; i++) {
        const struct nvl_node *node = &nodes[i];
        /* users.c checks who may open DRI nodes */
        if (node->major < 0 || node->kind == NVL_NODE_DRI)
            continue;
        struct probed probed = probe_node(facts, node);
        is_whole = is_whole && probed.result != PROBE_UNKNOWN;
        if (probed.result != wanted)
            continue;
        nvl_strv_push(paths, node->path);
        if (wanted == PROBE_DENIED)
            nvl_strv_pushf(evidence, "opening %s as the container's root: %s (mode %04o, owner %u:%u)",
                           node->path, words, probed.st.st_mode & 07777, probed.st.st_uid, probed.st.st_gid);
        else
            nvl_strv_pushf(evidence, "opening %s as the container's root: %s", node->path, words);
    }
    return is_whole;
}

static void check_device_filtered(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                  struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};

    if (!find_probed(facts, PROBE_FILTERED, "Operation not permitted (EPERM)", &evidence, &paths))
        nvl_findings_unanswered(findings, check, 0, facts->name);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "its device filter denies NVIDIA's devices");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_autofree char *again = nvl_attach_again(facts), *restart = nvl_container_restart(facts->container);
    nvl_finding_cause(f, "the filter in force in the running container has no rule for them: nvidia-smi says "
                         "\"Failed to initialize NVML: Unknown Error\", CUDA fails with error 100 or 999");
    nvl_finding_fix(f, "%s\n%s", again, restart);
}

/* Nodes that lines of the config bring from elsewhere on the host. */
static void add_sources(const struct nvl_container_facts *facts, const struct nvl_strv *paths,
                        struct nvl_strv *fix)
{
    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry entry = {0};
        if (!nvl_setting_mount(&facts->effective.items[i], &entry))
            continue;
        nvl_autofree char *place = nvl_mount_entry_place(&entry, NULL),
                          *source = nvl_shell_word(entry.source);
        if (place != NULL && strcmp(place, entry.source) != 0 && nvl_strv_contains(paths, place))
            nvl_strv_pushf(fix, "chmod 0666 %s", source);
    }
}

static void check_device_denied(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};

    if (!find_probed(facts, PROBE_DENIED, "Permission denied (EACCES)", &evidence, &paths))
        nvl_findings_unanswered(findings, check, 0, facts->name);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "the mode of NVIDIA's nodes keeps the container out");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_finding_cause(f,
                      "the nodes belong to the host's root, who is nobody in an unprivileged container: only "
                      "the bits for others count there. nvidia-smi says \"Insufficient Permissions\"");
    nvl_auto(nvl_strv_clear) struct nvl_strv sources = {0};
    add_sources(facts, &paths, &sources);
    if (sources.count > 0 && sources.count == paths.count)
        nvl_finding_fix_lines(f, &sources);
    else if (facts->host->host.params.mode != 0666)
        nvl_finding_fix(f,
                        "the driver is told to make its nodes with mode %04o: in /etc/modprobe.d, set "
                        "NVreg_DeviceFileMode=0666, then reboot; until then:\nchmod 0666 /dev/nvidia*",
                        facts->host->host.params.mode);
    else
        nvl_finding_fix(f, "chmod 0666 /dev/nvidia*");
}

static void check_answer(const struct nvl_check *check, const struct nvl_container_facts *facts,
                         struct nvl_findings *findings)
{
    if (facts->rootfs_code != -ETIMEDOUT)
        return;
    struct nvl_finding *f =
        nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name, "its file systems do not answer");
    nvl_autofree char *restart = nvl_container_restart(facts->container);
    nvl_finding_evidence(f, "no answer within %d s; it was not checked any further", NVL_VISIT_SECONDS);
    nvl_finding_cause(
        f, "something that is mounted there hangs: FUSE whose program does not answer, or a network. "
           "Every program that looks there waits, too, and may be beyond kill -9");
    nvl_finding_fix(f, "unmount it, or end the program that serves it; if need be:\n%s", restart);
}

const struct nvl_check nvl_running_checks[] = {
    {"no-answer", "Do its file systems answer?", 55, NVL_NEEDS_DEPTH, NULL, NVL_OF_CONTAINER(check_answer)},
    {"start-outdated", "Does the running container have the current nodes and driver?", 60,
     NVL_NEEDS_LOADED | NVL_NEEDS_RUNNING,
     "hook-missing bundle-absent grant-unreadable grant-incomplete mount-point " NVL_NO_NODES_ON_HOST,
     NVL_OF_CONTAINER(check_outdated)},
    {"device-filtered", "Does its device filter let it open its nodes?", 70, NVL_NEEDS_RUNNING,
     "start-outdated grant-rule-missing classic-major-stale classic-rule-missing cgroup-v1-rules "
     "rules-deny-rest",
     NVL_OF_CONTAINER(check_device_filtered)},
    {"device-denied", "Does the mode of its nodes let it open them?", 80, NVL_NEEDS_RUNNING, "node-mode",
     NVL_OF_CONTAINER(check_device_denied)},
    {0},
};
