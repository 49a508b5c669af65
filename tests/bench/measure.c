/* Measures one program: whole-process wall and CPU time, peak memory, system calls. Linked statically and
 * small, since the peak that the kernel notes for a child begins with what its parent had.
 *
 * Each run of the program is followed by one of the floor program, so that a machine that becomes slower in
 * the middle is slower for both. With --container each run has a mount namespace of its own, made as liblxc
 * has it when it calls the mount hook; making it is not measured.
 *
 * Prints "wall_us cpu_us floor_wall_us floor_cpu_us peak_kib system_calls", medians; the last two of one run
 * more, under ptrace. With --kernel: "bind_us stat_us", what the kernel takes for one bind mount and one
 * stat. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS_MAX 2000

extern char **environ;

struct sample {
    double wall, cpu; /* microseconds */
    long peak;        /* KiB */
    long calls;
    int status;
};

struct request {
    char **program;
    const char *floor;
    const char *rootfs; /* of --container */
    const char *before; /* a shell command before each run of the program, not measured */
};

static void die(const char *what)
{
    fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
    _exit(2);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double microseconds(const struct timeval *t)
{
    return (double)t->tv_sec * 1e6 + (double)t->tv_usec;
}

static void silence(void)
{
    int null = open("/dev/null", O_RDWR);

    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
}

static void run(char **program, struct sample *s)
{
    struct rusage usage;
    double start = now();
    pid_t child = vfork();

    if (child == 0) {
        execve(program[0], program, environ);
        _exit(127);
    }
    if (wait4(child, &s->status, 0, &usage) != child)
        die("wait");
    s->wall = now() - start;
    s->cpu = microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime);
    s->peak = usage.ru_maxrss;
}

/* Counts what the program and its children enter, its own execve included. */
static void run_traced(char **program, struct sample *s)
{
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                         PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    long stops = 0;
    int status;
    pid_t child = fork(), pid;

    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        execve(program[0], program, environ);
        _exit(127);
    }
    waitpid(child, &status, 0);
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)options) < 0)
        die("ptrace");
    ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        long signal_number = 0;
        if (!WIFSTOPPED(status)) {
            if (pid == child)
                s->status = status;
            continue;
        }
        if (WSTOPSIG(status) == (SIGTRAP | 0x80))
            stops++;
        else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP)
            signal_number = WSTOPSIG(status);
        ptrace(PTRACE_SYSCALL, pid, NULL, (void *)signal_number);
    }
    /* in and out, but for exit_group of each process, which has no out */
    s->calls = (stops + 1) / 2;
}

static void make(const char *path)
{
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        die(path);
}

static void mount_at(const char *source, const char *target, const char *type, unsigned long flags,
                     const char *data)
{
    if (mount(source, target, type, flags, data) < 0)
        die(target);
}

/* What liblxc has done by the time of its mount hooks: the root file system bound, /dev a tmpfs, /proc with
 * the driver. */
static void enter_container(const char *rootfs)
{
    const char *at = getenv("LXC_ROOTFS_MOUNT");

    if (at == NULL || unshare(CLONE_NEWNS) < 0)
        die("unshare");
    mount_at(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    make(at);
    mount_at(rootfs, at, NULL, MS_BIND, NULL);
    if (chdir(at) < 0)
        die(at);
    mount_at("none", "dev", "tmpfs", 0, "mode=755");
    mount_at("proc", "proc", "proc", 0, NULL);
    mount_at("/proc/driver", "proc/driver", NULL, MS_BIND | MS_REC, NULL);
}

/* In a process of its own, whose namespace ends with it. */
static struct sample run_once(const struct request *r, char **program, bool traced)
{
    struct sample s = {0};
    int pipe_fds[2], status;

    if (r->before != NULL && program == r->program && system(r->before) != 0)
        die(r->before);
    if (pipe(pipe_fds) < 0)
        die("pipe");
    pid_t child = fork();
    if (child == 0) {
        if (r->rootfs != NULL)
            enter_container(r->rootfs);
        silence();
        (traced ? run_traced : run)(program, &s);
        _exit(write(pipe_fds[1], &s, sizeof s) == sizeof s ? 0 : 1);
    }
    close(pipe_fds[1]);
    bool done = read(pipe_fds[0], &s, sizeof s) == sizeof s;
    close(pipe_fds[0]);
    waitpid(child, &status, 0);
    if (!done || !WIFEXITED(s.status) || WEXITSTATUS(s.status) == 127) {
        fprintf(stderr, "measure: %s could not be run\n", program[0]);
        exit(2);
    }
    return s;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void measure(const struct request *r, int runs)
{
    static double wall[RUNS_MAX], cpu[RUNS_MAX], floor_wall[RUNS_MAX], floor_cpu[RUNS_MAX], peak[RUNS_MAX];
    char *floor_program[] = {(char *)r->floor, NULL};

    for (int i = 0; i < runs; i++) {
        struct sample s = run_once(r, r->program, false), f = run_once(r, floor_program, false);
        wall[i] = s.wall;
        cpu[i] = s.cpu;
        peak[i] = (double)s.peak;
        floor_wall[i] = f.wall;
        floor_cpu[i] = f.cpu;
    }
    struct sample traced = run_once(r, r->program, true);
    printf("%.1f %.1f %.1f %.1f %.0f %ld\n", median(wall, runs), median(cpu, runs), median(floor_wall, runs),
           median(floor_cpu, runs), median(peak, runs), traced.calls);
}

/* One bind mount with its end, and one stat, each the median of many. */
static void measure_kernel(int runs)
{
    static double bind[RUNS_MAX], one_stat[RUNS_MAX];
    struct stat st;

    if (unshare(CLONE_NEWNS) < 0)
        die("unshare");
    mount_at(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    for (int i = 0; i < runs; i++) {
        double start = now();
        if (mount("/dev/null", "/dev/zero", NULL, MS_BIND, NULL) < 0)
            die("bind mount");
        bind[i] = now() - start;
        umount2("/dev/zero", MNT_DETACH);
        start = now();
        for (int n = 0; n < 100; n++)
            stat("/etc/passwd", &st);
        one_stat[i] = (now() - start) / 100;
    }
    printf("%.2f %.2f\n", median(bind, runs), median(one_stat, runs));
}

int main(int argc, char **argv)
{
    struct request r = {0};
    int runs = 101, i = 1;
    bool kernel = false;

    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (strcmp(argv[i], "--kernel") == 0)
            kernel = true;
        else if (i + 1 < argc && strcmp(argv[i], "--runs") == 0)
            runs = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--floor") == 0)
            r.floor = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--container") == 0)
            r.rootfs = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--before") == 0)
            r.before = argv[++i];
    }
    r.program = argv + i;
    if (runs < 1 || runs > RUNS_MAX || (!kernel && (r.floor == NULL || i == argc))) {
        fprintf(
            stderr,
            "usage: measure --floor TRUE [--runs N] [--container ROOTFS] [--before COMMAND] -- PROGRAM...\n"
            "       measure --kernel [--runs N]\n");
        return 2;
    }
    if (kernel)
        measure_kernel(runs);
    else
        measure(&r, runs);
    return 0;
}
