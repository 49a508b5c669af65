/* Waits for locks, and reads /proc/locks. Source: proc_locks(5). */
#include "base/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/printable.h"
#include "base/text.h"

#define LOCKS_MAX (4u << 20)

static int64_t monotonic_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Polls: only a signal could interrupt a blocking flock. */
int nvl_lock_wait(int fd, unsigned wait_ms)
{
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    int64_t end = monotonic_ms() + wait_ms;

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (monotonic_ms() >= end)
            return -ETIMEDOUT;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static char *read_small_file(const char *path)
{
    char *text = NULL;
    size_t len;
    nvl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && nvl_fd_read(fd, LOCKS_MAX, &text, &len) == 0 ? text : NULL;
}

/* "1: FLOCK  ADVISORY  WRITE 4711 00:1b:1234 0 EOF"; one that waits has "->" behind its number. */
static pid_t parse_lock_line(const char *line, const struct stat *st, bool *is_same_device)
{
    unsigned major_of, minor_of;
    unsigned long long inode;
    int pid;

    if (sscanf(line, "%*u: %*s %*s %*s %d %x:%x:%llu", &pid, &major_of, &minor_of, &inode) != 4 ||
        inode != st->st_ino || pid <= 0)
        return 0;
    *is_same_device = major_of == major(st->st_dev) && minor_of == minor(st->st_dev);
    return pid;
}

/* overlayfs and btrfs show programs another device number than the kernel has: then the inode's number
 * decides. */
pid_t nvl_lock_holder(int fd)
{
    nvl_autofree char *text = read_small_file("/proc/locks");
    struct stat st;
    const char *line;
    size_t pos = 0, len;
    pid_t likely = 0;

    if (text == NULL || fstat(fd, &st) < 0)
        return 0;
    while (nvl_next_line(text, strlen(text), &pos, &line, &len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, len);
        bool is_same_device = false;
        pid_t pid = parse_lock_line(copy, &st, &is_same_device);
        if (is_same_device)
            return pid;
        likely = likely == 0 ? pid : likely;
    }
    return likely;
}

char *nvl_lock_holder_text(int fd)
{
    char path[32];
    pid_t pid = nvl_lock_holder(fd);

    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    nvl_autofree char *name = pid > 0 ? read_small_file(path) : NULL;
    if (pid <= 0)
        return nvl_xstrdup("another process");
    if (name == NULL)
        return nvl_xasprintf("process %d", (int)pid);
    name[strcspn(name, "\n")] = '\0';
    return nvl_xasprintf("process %d (%s)", (int)pid, nvl_make_printable(name));
}
