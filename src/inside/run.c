/* From a process of the host to one of the container, and back with what it printed. In between the process
 * is exposed to neither: it holds the memory of nvlxc, so it must not be dumped or traced, and it gives up
 * its rights before the container can see it. */
#include "inside/run.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/run.h"

/* What the child reports through its pipe: a failed step with its errno, or how the program ended. */
struct child_report {
    enum { NVL_CHILD_FAILED, NVL_CHILD_ENDED } kind;
    int value; /* errno, or the wait status */
    int step;  /* of child_step_name */
};

enum child_step { JOIN_CGROUP, TAKE_PROFILE, ENTER, DROP, BECOME, CLOSE, START };

static const char *child_step_name(int step)
{
    static const char *const names[] = {
        [JOIN_CGROUP] = "join its cgroup", [TAKE_PROFILE] = "take its AppArmor profile",
        [ENTER] = "enter its namespaces",  [DROP] = "drop capabilities",
        [BECOME] = "become its user",      [CLOSE] = "close the host's descriptors",
        [START] = "start the program",
    };

    return step >= 0 && (size_t)step < NVL_LENGTH(names) ? names[step] : "?";
}

_Noreturn static void fail_at(int report, enum child_step step, int error)
{
    const struct child_report r = {NVL_CHILD_FAILED, error, (int)step};

    nvl_fd_write(report, &r, sizeof r);
    _exit(1);
}

/* 0 means the writing process. */
static int join_cgroup(const struct nvl_inside *in)
{
    nvl_autofd int fd = openat(in->cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);

    return fd < 0 ? -errno : nvl_fd_write(fd, "0", 1);
}

/* Takes effect when the program starts; a forked child keeps it. */
static int take_profile(const struct nvl_inside *in)
{
    if (in->profile == NULL)
        return 0;
    nvl_autofree char *command = nvl_xasprintf("exec %s", in->profile);
    nvl_autofd int fd = open("/proc/thread-self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        fd = open("/proc/thread-self/attr/exec", O_WRONLY | O_CLOEXEC);
    /* the profile's name is written without a NUL */
    return fd < 0 ? -errno : nvl_fd_write(fd, command, strlen(command));
}

/* Root in a container opens files of others by CAP_DAC_OVERRIDE, as far as its init has it; nothing that runs
 * here needs more. A program that root starts gets the bounding set. */
static int limit_capabilities(const struct nvl_inside *in)
{
    for (int cap = 0; cap <= 63; cap++) {
        bool stays = cap == CAP_DAC_OVERRIDE && (in->capabilities & (1ull << cap)) != 0;
        if (!stays && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
            return -errno;
    }
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

/* The sets besides the bounding set: with no_new_privs a program that root starts gets no more than is
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

/* Standard input is empty. Only the report and the program also stay open, and they close when the program
 * starts: root of a privileged container may look into a process before that. */
static int arrange_descriptors(int output, int *report, int *program)
{
    enum { REPORT = 3, PROGRAM = 4 };
    int ends[2], high[2] = {-1, -1};

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    if (dup2(ends[0], STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        return -errno;
    /* first move it out of the way of both numbers */
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

    /* die with the parent, which waits; set here, since a change of user resets it */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (program >= 0)
        syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
    else
        execve(argv[0], argv, env);
    fail_at(report, START, errno);
}

/* The pid namespace applies to children: hence a second process, and this one waits for it. */
_Noreturn static void start_and_wait(const struct nvl_inside_command *command, int program, int report)
{
    struct child_report r = {NVL_CHILD_ENDED, 0, START};
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

/* Never returns. `output` becomes standard output and standard error, `report` gets one report. */
_Noreturn static void enter_and_run(const struct nvl_inside *in, const struct nvl_inside_command *command,
                                    int output, int report)
{
    const struct rlimit no_core = {0, 0};
    int r, program = command->program;

    /* no terminal: a program of the container could push input into it */
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

/* What enter_and_run works with, and where it reports to. */
struct inside_child {
    const struct nvl_inside *in;
    const struct nvl_inside_command *command;
    int report;
};

static int run_inside_child(void *data)
{
    const struct inside_child *child = data;

    enter_and_run(child->in, child->command, STDOUT_FILENO, child->report);
}

/* Ends what the command left running, so that the next command does not meet it. On a busy machine it takes a
 * while until the last process has been scheduled. */
static void empty_cgroup(const struct nvl_inside *in)
{
    if (in->parent < 0)
        return;
    nvl_cgroup_kill(in->cgroup);
    for (int i = 0; i < 1000 && nvl_cgroup_is(in->cgroup, "populated 1"); i++)
        usleep(2000);
}

static void give_output(struct nvl_run_result *ran, struct nvl_output *out)
{
    *out = (struct nvl_output){.at = "start",
                               .text = TAKE_PTR(ran->text),
                               .len = ran->len,
                               .truncated = ran->truncated,
                               .timed_out = ran->timed_out,
                               .millis = ran->millis};
}

static void take_report(int report, struct nvl_output *out)
{
    struct child_report r;

    if (read(report, &r, sizeof r) != sizeof r)
        r = (struct child_report){NVL_CHILD_FAILED, EIO, -1};
    if (r.kind == NVL_CHILD_ENDED) {
        out->status = r.value;
    } else {
        out->error = -r.value;
        out->at = child_step_name(r.step);
    }
}

void nvl_inside_run(const struct nvl_inside *in, const struct nvl_inside_command *command,
                    struct nvl_output *out)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran = {0};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        *out = (struct nvl_output){.at = "start", .text = nvl_xstrdup(""), .error = -errno};
        return;
    }
    nvl_autofd int report = ends[0], childs = ends[1];
    struct inside_child child = {in, command, childs};
    const struct nvl_run run = {.body = run_inside_child,
                                .body_data = &child,
                                .output = NVL_STREAM_TAKEN,
                                .errors = NVL_STREAM_TAKEN,
                                .max = command->max,
                                .seconds = command->seconds};
    int r = nvl_run(&run, &ran);
    empty_cgroup(in);
    give_output(&ran, out);
    if (r == 0)
        take_report(report, out);
    else if (!out->timed_out)
        out->error = r;
}

#define HTTP_MAX     (256u << 10)
#define HTTP_SECONDS 10u

static int http_get(uint16_t port, const char *path, int output)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval limit = {.tv_sec = HTTP_SECONDS / 2};
    char chunk[4096];
    nvl_autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return errno;
    /* 1.0: the answer ends with the connection, and is not sent in chunks */
    nvl_autofree char *request = nvl_xasprintf("GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", path);
    int r = nvl_fd_write(fd, request, strlen(request));
    for (size_t sum = 0; r == 0 && sum < HTTP_MAX;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0)
            break;
        sum += n > 0 ? (size_t)n : 0;
        r = n > 0 ? nvl_fd_write(output, chunk, (size_t)n) : 0;
    }
    return -r;
}

struct http_request {
    const struct nvl_inside *in;
    uint16_t port;
    const char *path;
};

/* In the child: its exit status is an errno. */
static int get_inside(void *data)
{
    const struct http_request *request = data;

    signal(SIGPIPE, SIG_IGN);
    if ((request->in->namespaces & CLONE_NEWNET) != 0 && setns(request->in->pidfd, CLONE_NEWNET) < 0)
        return errno;
    return http_get(request->port, request->path, STDOUT_FILENO);
}

void nvl_inside_http_get(const struct nvl_inside *in, uint16_t port, const char *path, struct nvl_output *out)
{
    struct http_request request = {in, port, path};
    const struct nvl_run run = {.body = get_inside,
                                .body_data = &request,
                                .output = NVL_STREAM_TAKEN,
                                .max = HTTP_MAX,
                                .seconds = HTTP_SECONDS};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran = {0};

    int r = nvl_run(&run, &ran);
    give_output(&ran, out);
    if (r == 0)
        out->error = WIFEXITED(ran.status) ? -WEXITSTATUS(ran.status) : -EIO;
    else if (!out->timed_out)
        out->error = r;
}

void nvl_output_clear(struct nvl_output *out)
{
    free(out->text);
    *out = (struct nvl_output){0};
}

char *nvl_output_ending(const struct nvl_output *out, unsigned seconds)
{
    if (out->timed_out)
        return nvl_xasprintf("did not end within %u s and was killed", seconds);
    if (out->error < 0)
        return nvl_xasprintf("could not run (%s): %s", out->at, strerror(-out->error));
    if (WIFSIGNALED(out->status))
        return nvl_xasprintf("ended by signal %d (%s)", WTERMSIG(out->status),
                             strsignal(WTERMSIG(out->status)));
    return nvl_xasprintf("exit status %d", WEXITSTATUS(out->status));
}
