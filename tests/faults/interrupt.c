/* Runs a command and interrupts it at one system call: kills the whole process tree there, or makes that call
 * fail.
 *
 * usage: interrupt REPORT list        COMMAND...    prints every point into REPORT: "NUMBER CALL WHAT
 * ERRNO,ERRNO... FILE" interrupt REPORT before N    COMMAND...    kills everything at point N, the call not
 * done interrupt REPORT after N     COMMAND...    the same, the call done interrupt REPORT fail N=E
 * COMMAND...    point N does nothing and gives the errno of that name
 * interrupt REPORT end N=HOW    COMMAND...    the other program of point N ends with status 1 before it did
 * anything (HOW is "status"), by a signal ("signal"), or with status 1 when it has done all ("late")
 *
 * WHAT is "changes" for a call that can change files or mounts, "asks" for others. A point is "3.17": the
 * seventeenth call of the third process, since processes that run side by side have no order. A program's
 * points begin with its own work: after the first open with O_PATH, by which nvlxc and its hook open their
 * root and which no loader does. Of other programs (ldconfig, tar) only what changes something counts, and
 * none of it is made to fail: that would try them. One that nvlxc or its hook itself has started is also a
 * point as a whole, "3.0", with WHAT "ends" and each HOW for the errnos.
 *
 * REPORT gets "reached CALL FILE" when the point was there. The exit status is the command's, 128 + signal
 * for one that died. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

enum file_is { NOTHING, PATH, FD };

static const struct call {
    long number;
    const char *name;
    bool changes;
    enum file_is kind; /* what tells of the file */
    int argument;
    const char *errors;
} calls[] = {
#define OPEN_ERRORS "EIO,EMFILE,ENOMEM,EACCES"
#define ASK_ERRORS  "EIO,ENOMEM,EACCES"
#define NAME_ERRORS "EIO,ENOSPC,EACCES"
#define MEMORY      "ENOMEM"
    {SYS_open, "open", false, PATH, 0, OPEN_ERRORS},
    {SYS_openat, "openat", false, PATH, 1, OPEN_ERRORS},
    {SYS_openat2, "openat2", false, PATH, 1, OPEN_ERRORS},
    {SYS_read, "read", false, FD, 0, "EIO"},
    {SYS_pread64, "pread64", false, FD, 0, "EIO"},
    {SYS_getdents64, "getdents64", false, FD, 0, "EIO,ENOMEM"},
    {SYS_fstat, "fstat", false, FD, 0, "EIO"},
    {SYS_newfstatat, "newfstatat", false, PATH, 1, ASK_ERRORS},
    {SYS_statx, "statx", false, PATH, 1, ASK_ERRORS},
    {SYS_access, "access", false, PATH, 0, ASK_ERRORS},
    {SYS_faccessat, "faccessat", false, PATH, 1, ASK_ERRORS},
    {SYS_faccessat2, "faccessat2", false, PATH, 1, ASK_ERRORS},
    {SYS_readlink, "readlink", false, PATH, 0, ASK_ERRORS},
    {SYS_readlinkat, "readlinkat", false, PATH, 1, ASK_ERRORS},
    {SYS_fstatfs, "fstatfs", false, FD, 0, "EIO,ENOMEM"},
    {SYS_statfs, "statfs", false, PATH, 0, ASK_ERRORS},
    {SYS_flock, "flock", false, FD, 0, "EIO"},
    {SYS_dup2, "dup2", false, FD, 0, "EMFILE"},
    {SYS_pipe2, "pipe2", false, NOTHING, 0, "EMFILE"},
    {SYS_socket, "socket", false, NOTHING, 0, "EMFILE"},
    {SYS_connect, "connect", false, FD, 0, "ECONNREFUSED,EACCES"},
    {SYS_recvfrom, "recvfrom", false, FD, 0, "ECONNRESET"},
    {SYS_pidfd_open, "pidfd_open", false, NOTHING, 0, "EMFILE"},
    {SYS_clone, "clone", false, NOTHING, 0, MEMORY},
    {SYS_clone3, "clone3", false, NOTHING, 0, MEMORY},
    {SYS_vfork, "vfork", false, NOTHING, 0, MEMORY},
    {SYS_execve, "execve", false, PATH, 0, "ENOMEM,EACCES"},
    {SYS_execveat, "execveat", false, PATH, 1, "ENOMEM,EACCES"},
    {SYS_mmap, "mmap", false, FD, 4, MEMORY},
    {SYS_mremap, "mremap", false, NOTHING, 0, MEMORY},
    {SYS_chroot, "chroot", false, PATH, 0, "EACCES"},
    {SYS_fchdir, "fchdir", false, FD, 0, "EACCES"},
    {SYS_prctl, "prctl", false, NOTHING, 0, "EACCES"},
    {SYS_capset, "capset", false, NOTHING, 0, "EACCES"},
    {SYS_setresuid, "setresuid", false, NOTHING, 0, "EACCES"},
    {SYS_setresgid, "setresgid", false, NOTHING, 0, "EACCES"},
    {SYS_setgroups, "setgroups", false, NOTHING, 0, "EACCES"},
    {SYS_unshare, "unshare", false, NOTHING, 0, "ENOMEM,EACCES"},
    {SYS_setns, "setns", false, NOTHING, 0, "ENOMEM,EACCES"},
    {SYS_sendto, "sendto", true, FD, 0, "EPIPE"}, /* what asks a daemon may change what that keeps */
    {SYS_write, "write", true, FD, 0, "EIO,ENOSPC"},
    {SYS_pwrite64, "pwrite64", true, FD, 0, "EIO,ENOSPC"},
    {SYS_writev, "writev", true, FD, 0, "EIO,ENOSPC"},
    {SYS_copy_file_range, "copy_file_range", true, FD, 2, "EIO,ENOSPC"},
    {SYS_sendfile, "sendfile", true, FD, 0, "EIO,ENOSPC"},
    {SYS_fallocate, "fallocate", true, FD, 0, "EIO,ENOSPC"},
    {SYS_ftruncate, "ftruncate", true, FD, 0, "EIO,ENOSPC"},
    {SYS_fsync, "fsync", true, FD, 0, "EIO,ENOSPC"},
    {SYS_fdatasync, "fdatasync", true, FD, 0, "EIO,ENOSPC"},
    {SYS_syncfs, "syncfs", true, FD, 0, "EIO,ENOSPC"},
    {SYS_rename, "rename", true, PATH, 0, NAME_ERRORS},
    {SYS_renameat, "renameat", true, PATH, 1, NAME_ERRORS},
    {SYS_renameat2, "renameat2", true, PATH, 1, NAME_ERRORS},
    {SYS_link, "link", true, PATH, 1, NAME_ERRORS},
    {SYS_linkat, "linkat", true, PATH, 3, NAME_ERRORS},
    {SYS_symlink, "symlink", true, PATH, 1, NAME_ERRORS},
    {SYS_symlinkat, "symlinkat", true, PATH, 2, NAME_ERRORS},
    {SYS_unlink, "unlink", true, PATH, 0, NAME_ERRORS},
    {SYS_unlinkat, "unlinkat", true, PATH, 1, NAME_ERRORS},
    {SYS_rmdir, "rmdir", true, PATH, 0, NAME_ERRORS},
    {SYS_mkdir, "mkdir", true, PATH, 0, NAME_ERRORS},
    {SYS_mkdirat, "mkdirat", true, PATH, 1, NAME_ERRORS},
    {SYS_mknodat, "mknodat", true, PATH, 1, NAME_ERRORS},
    {SYS_chmod, "chmod", true, PATH, 0, ASK_ERRORS},
    {SYS_fchmod, "fchmod", true, FD, 0, ASK_ERRORS},
    {SYS_fchmodat, "fchmodat", true, PATH, 1, ASK_ERRORS},
    {SYS_chown, "chown", true, PATH, 0, ASK_ERRORS},
    {SYS_fchown, "fchown", true, FD, 0, ASK_ERRORS},
    {SYS_fchownat, "fchownat", true, PATH, 1, ASK_ERRORS},
    {SYS_utimensat, "utimensat", true, PATH, 1, ASK_ERRORS},
    {SYS_mount, "mount", true, PATH, 1, "ENOMEM,EACCES"},
    {SYS_umount2, "umount2", true, PATH, 0, "EIO,EACCES"},
    {SYS_open_tree, "open_tree", true, PATH, 1, OPEN_ERRORS},
    {SYS_move_mount, "move_mount", true, PATH, 3, "ENOMEM,EACCES"},
    {SYS_mount_setattr, "mount_setattr", true, FD, 0, "ENOMEM,EACCES"},
    {SYS_fsopen, "fsopen", false, NOTHING, 0, "EMFILE,ENOMEM,EACCES"},
    {SYS_fsconfig, "fsconfig", false, NOTHING, 0, "ENOMEM,EACCES"},
    {SYS_fsmount, "fsmount", false, NOTHING, 0, "EMFILE,ENOMEM,EACCES"},
};

static const struct {
    const char *name;
    int number;
} errnos[] = {{"EIO", EIO},
              {"ENOSPC", ENOSPC},
              {"EMFILE", EMFILE},
              {"ENOMEM", ENOMEM},
              {"EACCES", EACCES},
              {"EPIPE", EPIPE},
              {"ECONNREFUSED", ECONNREFUSED},
              {"ECONNRESET", ECONNRESET}};

enum whose { OWN, CHANGES_ONLY };

static const char *const ways_to_end[] = {"status", "signal", "late"};
enum end { STATUS, SIGNAL, LATE, GOES_ON };

struct tracee {
    pid_t pid;
    bool is_inside; /* between the call's entry and its exit */
    bool has_begun; /* its own work */
    bool is_chosen; /* the call that it is in is the point */
    enum whose whose;
    enum end end;
    unsigned long ordinal, points; /* which process it is, and how many it has come to */
};

static struct tracee tracees[256];
static size_t n_tracees;

static enum { LIST, BEFORE, AFTER, FAIL, END } mode;
static enum end chosen_end;
static unsigned long chosen_process, chosen_point, n_processes;
static int error_number;
static FILE *report;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(125);
}

static struct tracee *find(pid_t pid)
{
    for (size_t i = 0; i < n_tracees; i++)
        if (tracees[i].pid == pid)
            return &tracees[i];
    return NULL;
}

static struct tracee *add(pid_t pid, const struct tracee *like)
{
    struct tracee *t = find(pid);

    if (t == NULL) {
        if (n_tracees == sizeof tracees / sizeof tracees[0]) {
            fputs("interrupt: too many processes\n", stderr);
            exit(125);
        }
        t = &tracees[n_tracees++];
        *t = (struct tracee){.pid = pid, .end = GOES_ON, .ordinal = ++n_processes};
    }
    if (like != NULL) {
        t->has_begun = like->has_begun;
        t->whose = like->whose;
    }
    return t;
}

static void forget(pid_t pid)
{
    struct tracee *t = find(pid);

    if (t != NULL)
        *t = tracees[--n_tracees];
}

static void kill_all(void)
{
    pid_t pid;
    int status;

    for (size_t i = 0; i < n_tracees; i++)
        kill(tracees[i].pid, SIGKILL);
    /* a child that has not been heard of yet stops at its beginning */
    while ((pid = waitpid(-1, &status, __WALL)) > 0)
        if (WIFSTOPPED(status))
            kill(pid, SIGKILL);
    fclose(report);
    exit(128 + SIGKILL);
}

static const struct call *find_call(uint64_t number)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if ((uint64_t)calls[i].number == number)
            return &calls[i];
    return NULL;
}

static void read_string(pid_t pid, uint64_t at, char *text, size_t size)
{
    /* one page at most: the next one may not be there */
    size_t len = 4096 - at % 4096 < size - 1 ? 4096 - at % 4096 : size - 1;
    struct iovec here = {text, len}, there = {(void *)(uintptr_t)at, len};
    ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);

    if (n == (ssize_t)len && len < size - 1 && memchr(text, '\0', len) == NULL) {
        struct iovec more_here = {text + len, size - 1 - len},
                     more_there = {(void *)(uintptr_t)(at + len), size - 1 - len};
        ssize_t more = process_vm_readv(pid, &more_here, 1, &more_there, 1, 0);
        n += more > 0 ? more : 0;
    }
    text[n > 0 ? n : 0] = '\0';
}

/* The file of the call, for people. */
static void describe(pid_t pid, const struct call *call, const uint64_t *arguments, char *text, size_t size)
{
    char link[64];
    ssize_t n;

    text[0] = '\0';
    if (call->kind == PATH)
        read_string(pid, arguments[call->argument], text, size);
    if (call->kind == FD || (call->kind == PATH && text[0] == '\0')) {
        int at = call->kind == PATH && call->argument > 0 ? call->argument - 1 : call->argument;
        snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)pid, (int)arguments[at]);
        n = readlink(link, text, size - 1);
        text[n > 0 ? n : 0] = '\0';
    }
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n' || *c == ' ')
            *c = '?';
}

static bool opens_a_root(const struct call *call, const uint64_t *arguments)
{
    return (call->number == SYS_openat && (arguments[2] & O_PATH) != 0) ||
           (call->number == SYS_open && (arguments[1] & O_PATH) != 0);
}

static bool opens_for_writing(const struct call *call, pid_t pid, const uint64_t *arguments)
{
    uint64_t flags;

    if (call->number == SYS_openat)
        flags = arguments[2];
    else if (call->number == SYS_open)
        flags = arguments[1];
    else if (call->number == SYS_openat2) {
        struct iovec here = {&flags, sizeof flags}, there = {(void *)(uintptr_t)arguments[2], sizeof flags};
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof flags)
            return false;
    } else
        return false;
    return (flags & (O_CREAT | O_TRUNC)) != 0;
}

/* What goes to no file: the command's own output, pipes, sockets. */
static bool is_speech(const struct call *call, const char *file)
{
    return (call->number == SYS_write || call->number == SYS_writev) &&
           (file[0] != '/' || strncmp(file, "/dev/", 5) == 0);
}

/* Has a program end with status 1: at its first call, or in place of its own end. */
static void end_program(struct tracee *t, uint64_t number)
{
    struct user_regs_struct registers;

    if (t->end == LATE && number != SYS_exit_group && number != SYS_exit)
        return;
    if (ptrace(PTRACE_GETREGS, t->pid, NULL, &registers) < 0)
        die("interrupt: registers");
    registers.orig_rax = SYS_exit_group;
    registers.rdi = 1;
    if (ptrace(PTRACE_SETREGS, t->pid, NULL, &registers) < 0)
        die("interrupt: registers");
}

static void on_entry(struct tracee *t, const struct ptrace_syscall_info *info)
{
    const struct call *call = find_call(info->entry.nr);
    const uint64_t *arguments = (const uint64_t *)info->entry.args;
    char file[512];

    if (t->end != GOES_ON)
        end_program(t, info->entry.nr);
    if (call == NULL)
        return;
    if (!t->has_begun) {
        t->has_begun = opens_a_root(call, arguments);
        return;
    }
    describe(t->pid, call, arguments, file, sizeof file);
    bool changes = (call->changes && !is_speech(call, file)) || opens_for_writing(call, t->pid, arguments);
    if (t->whose == CHANGES_ONLY && !changes)
        return;
    t->points++;
    if (mode == LIST)
        fprintf(report, "%lu.%lu %s %s %s %s\n", t->ordinal, t->points, call->name,
                changes ? "changes" : "asks", t->whose == OWN ? call->errors : "-", file);
    if (mode == LIST || mode == END || t->ordinal != chosen_process || t->points != chosen_point)
        return;
    fprintf(report, "reached %s %s\n", call->name, file);
    fflush(report);
    if (mode == BEFORE)
        kill_all();
    t->is_chosen = true;
    if (mode == FAIL) {
        struct user_regs_struct registers;
        if (ptrace(PTRACE_GETREGS, t->pid, NULL, &registers) < 0)
            die("interrupt: registers");
        registers.orig_rax = (unsigned long long)-1;
        if (ptrace(PTRACE_SETREGS, t->pid, NULL, &registers) < 0)
            die("interrupt: registers");
    }
}

static void on_exit_of_call(struct tracee *t)
{
    struct user_regs_struct registers;

    if (!t->is_chosen)
        return;
    t->is_chosen = false;
    if (mode == AFTER)
        kill_all();
    if (ptrace(PTRACE_GETREGS, t->pid, NULL, &registers) < 0)
        die("interrupt: registers");
    registers.rax = (unsigned long long)-error_number;
    if (ptrace(PTRACE_SETREGS, t->pid, NULL, &registers) < 0)
        die("interrupt: registers");
}

static void on_call(struct tracee *t)
{
    struct ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, (void *)sizeof info, &info) < 0)
        return; /* it was killed meanwhile */
    t->is_inside = info.op == PTRACE_SYSCALL_INFO_ENTRY;
    if (t->is_inside)
        on_entry(t, &info);
    else
        on_exit_of_call(t);
}

static void on_start_of_other(struct tracee *t, const char *name)
{
    if (mode == LIST)
        fprintf(report, "%lu.0 %s ends status,signal,late %s\n", t->ordinal, name, name);
    if (mode != END || t->ordinal != chosen_process)
        return;
    fprintf(report, "reached %s %s\n", name, ways_to_end[chosen_end]);
    fflush(report);
    t->end = chosen_end;
    if (chosen_end == SIGNAL)
        kill(t->pid, SIGKILL);
}

/* Which program it is now. */
static void on_exec(struct tracee *t)
{
    char link[64], path[512];

    snprintf(link, sizeof link, "/proc/%d/comm", (int)t->pid);
    int fd = open(link, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, path, sizeof path - 1) : 0;
    if (fd >= 0)
        close(fd);
    path[n > 0 ? n - 1 : 0] = '\0';
    /* a program run by its loader or by the descriptor is named by what its command line says */
    snprintf(link, sizeof link, "/proc/%d/cmdline", (int)t->pid);
    char line[4096];
    fd = open(link, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, line, sizeof line - 1) : 0;
    if (fd >= 0)
        close(fd);
    line[n > 0 ? n : 0] = '\0';
    bool is_nvlxc = false;
    for (ssize_t at = 0; at < n && at < 1024; at += (ssize_t)strlen(line + at) + 1) {
        const char *slash = strrchr(line + at, '/'), *name = slash != NULL ? slash + 1 : line + at;
        is_nvlxc = is_nvlxc || ((at == 0 || strncmp(line, "/real", 5) == 0) &&
                                (strcmp(name, "nvlxc") == 0 || strcmp(name, "hook") == 0));
    }
    if (t->whose == OWN && t->has_begun && !is_nvlxc)
        on_start_of_other(t, path);
    t->whose = is_nvlxc ? OWN : CHANGES_ONLY;
    /* before any of it has begun, it is what leads to the command: a shell, chroot */
    t->has_begun = is_nvlxc ? false : t->has_begun;
}

/* A stop at each call costs most of the time: only while one of them can be the point. */
static bool stops_at_calls(const struct tracee *t)
{
    if (mode == LIST || !t->has_begun || t->end != GOES_ON)
        return true;
    return mode != END && t->ordinal == chosen_process && (t->points < chosen_point || t->is_chosen);
}

static int follow(pid_t first)
{
    int status, result = 125;

    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0)
            return result;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == first)
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            forget(pid);
            continue;
        }
        struct tracee *t = add(pid, NULL);
        int event = status >> 16, send = 0, stopped = WSTOPSIG(status);
        if (stopped == (SIGTRAP | 0x80)) {
            on_call(t);
        } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            unsigned long child;
            if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child) == 0)
                add((pid_t)child, &(struct tracee){.has_begun = t->has_begun, .whose = t->whose});
        } else if (event == PTRACE_EVENT_EXEC) {
            on_exec(t);
        } else if (event == 0 && stopped != SIGSTOP) {
            send = stopped;
        }
        ptrace(stops_at_calls(t) ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL, (void *)(uintptr_t)send);
    }
}

static void read_point(const char *text)
{
    char *end;

    chosen_process = strtoul(text, &end, 10);
    chosen_point = *end == '.' ? strtoul(end + 1, &end, 10) : 0;
    for (size_t i = 0; mode == FAIL && *end == '=' && i < sizeof errnos / sizeof errnos[0]; i++)
        if (strcmp(errnos[i].name, end + 1) == 0)
            error_number = errnos[i].number;
    chosen_end = GOES_ON;
    for (size_t i = 0; mode == END && *end == '=' && i < GOES_ON; i++)
        if (strcmp(ways_to_end[i], end + 1) == 0)
            chosen_end = i;
    if (mode == END ? chosen_end == GOES_ON : chosen_point == 0 || (mode == FAIL && error_number == 0)) {
        fprintf(stderr, "interrupt: no such point: %s\n", text);
        exit(125);
    }
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"list", "before", "after", "fail", "end"};
    size_t m = 0;

    if (argc < 4)
        return 125;
    while (m < 5 && strcmp(modes[m], argv[2]) != 0)
        m++;
    if (m == 5)
        return 125;
    mode = m;
    if (mode != LIST)
        read_point(argv[3]);
    char **command = argv + (mode == LIST ? 3 : 4);
    report = fopen(argv[1], "we");
    if (report == NULL)
        die(argv[1]);
    pid_t pid = fork();
    if (pid < 0)
        die("interrupt: fork");
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        execvp(command[0], command);
        die(command[0]);
    }
    int status;
    waitpid(pid, &status, 0);
    add(pid, NULL)->whose = CHANGES_ONLY;
    if (ptrace(PTRACE_SETOPTIONS, pid, NULL,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                   PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0)
        die("interrupt: ptrace");
    ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
    int result = follow(pid);
    fclose(report);
    return result;
}
