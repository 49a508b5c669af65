/* From a process of the host to one of the container. Between the two it is visible in neither: it holds the
 * memory of nvlxc, so it may not be dumped or traced, and it has given up its rights before it can be seen in
 * the container. */
#include "inside/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/run.h"

enum child_step { JOIN_CGROUP, TAKE_PROFILE, ENTER, DROP, BECOME, CLOSE, START };

const char *nvl_child_step_name(int step)
{
    static const char *const names[] = {
        [JOIN_CGROUP] = "join its cgroup", [TAKE_PROFILE] = "take its AppArmor profile",
        [ENTER] = "enter its namespaces",  [DROP] = "drop capabilities",
        [BECOME] = "become its user",      [CLOSE] = "close what is the host's",
        [START] = "start the program",
    };

    return step >= 0 && (size_t)step < NVL_LENGTH(names) ? names[step] : "?";
}

_Noreturn static void fail_at(int report, enum child_step step, int error)
{
    const struct nvl_child_report r = {NVL_CHILD_FAILED, error, (int)step};

    nvl_fd_write(report, &r, sizeof r);
    _exit(1);
}

/* 0 is whoever writes it. */
static int join_cgroup(const struct nvl_inside *in)
{
    nvl_autofd int fd = openat(in->cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);

    return fd < 0 ? -errno : nvl_fd_write(fd, "0", 1);
}

/* Takes effect when the program is started; a forked child keeps it. */
static int take_profile(const struct nvl_inside *in)
{
    if (in->profile == NULL)
        return 0;
    nvl_autofree char *command = nvl_xasprintf("exec %s", in->profile);
    nvl_autofd int fd = open("/proc/thread-self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        fd = open("/proc/thread-self/attr/exec", O_WRONLY | O_CLOEXEC);
    /* the profile's name counts without a NUL */
    return fd < 0 ? -errno : nvl_fd_write(fd, command, strlen(command));
}

/* Root in a container opens what is not its own by CAP_DAC_OVERRIDE, as far as its init has it; nothing that
 * is run here needs more. A program started by root gets the bounding set. */
static int limit_capabilities(const struct nvl_inside *in)
{
    for (int cap = 0; cap <= 63; cap++) {
        bool stays = cap == CAP_DAC_OVERRIDE && (in->capabilities & (1ull << cap)) != 0;
        if (!stays && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
            return -errno;
    }
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

/* The sets beside the bounding set: with no_new_privs a program that root starts gets no more than is
 * permitted here. A user gets nothing. */
static int keep_one_capability(const struct nvl_inside *in, bool is_root)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {0};

    if (is_root && (in->capabilities & (1ull << CAP_DAC_OVERRIDE)) != 0)
        sets[0].permitted = sets[0].effective = 1u << CAP_DAC_OVERRIDE;
    return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

static int become_user_inside(const struct nvl_account *user)
{
    uid_t uid = user != NULL ? user->uid : 0;
    gid_t gid = user != NULL ? user->gid : 0;

    /* a single user's map may deny setgroups, but then there are no other groups either */
    if (setgroups(user != NULL ? user->n_groups : 0, user != NULL ? user->groups : NULL) < 0 &&
        errno != EPERM)
        return -errno;
    return setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ? -errno : 0;
}

/* Standard input ends at once. What else stays open are the report and the program, and they close when it
 * starts: root of a privileged container may look into a process before that. */
static int arrange_descriptors(int output, int *report, int *program)
{
    enum { REPORT = 3, PROGRAM = 4 };
    int ends[2], high[2] = {-1, -1};

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    if (dup2(ends[0], STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        return -errno;
    /* out of the way of both numbers first */
    high[0] = fcntl(*report, F_DUPFD_CLOEXEC, PROGRAM + 1);
    high[1] = *program >= 0 ? fcntl(*program, F_DUPFD_CLOEXEC, PROGRAM + 1) : -1;
    if (high[0] < 0 || (*program >= 0 && high[1] < 0) || dup3(high[0], REPORT, O_CLOEXEC) < 0 ||
        (high[1] >= 0 && dup3(high[1], PROGRAM, O_CLOEXEC) < 0))
        return -errno;
    *report = REPORT;
    *program = *program >= 0 ? PROGRAM : -1;
    return close_range(*program >= 0 ? PROGRAM + 1 : REPORT + 1, ~0U, 0) < 0 ? -errno : 0;
}

_Noreturn static void start_program(const struct nvl_inside_command *command, int program, int report)
{
    nvl_autofree char **argv = NULL, **env = NULL;
    size_t n_argv = 0, n_env = 0;
    sigset_t none;

    for (const char *const *a = command->argv; *a != NULL; a++)
        *NVL_APPEND(argv, n_argv) = nvl_xstrdup(*a);
    *NVL_APPEND(argv, n_argv) = NULL;
    for (size_t i = 0; i < command->environment->count; i++)
        *NVL_APPEND(env, n_env) = command->environment->items[i];
    *NVL_APPEND(env, n_env) = NULL;

    /* with the one that waits for it; asked for here, since a change of user forgets it */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (program >= 0)
        syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
    else
        execve(argv[0], argv, env);
    fail_at(report, START, errno);
}

/* The pid namespace counts for children: so a second process, and this one waits for it. */
_Noreturn static void start_and_wait(const struct nvl_inside_command *command, int program, int report)
{
    struct nvl_child_report r = {NVL_CHILD_ENDED, 0, START};
    pid_t child = fork();

    if (child < 0)
        fail_at(report, START, errno);
    if (child == 0)
        start_program(command, program, report);
    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    int waited = nvl_child_wait(child, &r.value);
    if (waited < 0)
        fail_at(report, START, -waited);
    nvl_fd_write(report, &r, sizeof r);
    _exit(0);
}

_Noreturn void nvl_child_run(const struct nvl_inside *in, const struct nvl_inside_command *command,
                             int output, int report)
{
    const struct rlimit no_core = {0, 0};
    int r, program = command->program;

    /* no terminal: a program of the container could write to it as if it were typed there */
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &no_core);
    if ((r = join_cgroup(in)) < 0)
        fail_at(report, JOIN_CGROUP, -r);
    if ((r = take_profile(in)) < 0)
        fail_at(report, TAKE_PROFILE, -r);
    if (setns(in->pidfd, in->namespaces) < 0 || chdir("/") < 0)
        fail_at(report, ENTER, errno);
    if ((r = limit_capabilities(in)) < 0)
        fail_at(report, DROP, -r);
    if ((r = become_user_inside(command->user)) < 0)
        fail_at(report, BECOME, -r);
    if ((r = keep_one_capability(in, command->user == NULL)) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail_at(report, DROP, r < 0 ? -r : errno);
    /* a change of user may have made it dumpable again */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if ((r = arrange_descriptors(output, &report, &program)) < 0)
        fail_at(report, CLOSE, -r);
    umask(022);
    start_and_wait(command, program, report);
}
