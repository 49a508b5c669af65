/* One child process, its output in a pipe that is read to the end. */
#include "setup/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define OUTPUT_MAX (16u << 20) /* bytes kept of one command's output */

static void become(char *const *argv, const struct nvl_exec *how, int output)
{
    if (how->no_input) {
        int null = open("/dev/null", O_RDONLY);
        if (null >= 0)
            dup2(null, STDIN_FILENO);
        setenv("DEBIAN_FRONTEND", "noninteractive", 1);
    }
    if (how->c_locale)
        setenv("LC_ALL", "C", 1);
    /* `su` without a dash leaves the folders of root's programs out, and dpkg needs them */
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "%s: %m\n", argv[0]);
    _exit(127);
}

static void pass_on(int fd, const struct nvl_exec *how)
{
    char bytes[16384];
    ssize_t n;

    while ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        if (!how->quiet) {
            fwrite(bytes, 1, (size_t)n, stdout);
            fflush(stdout);
        }
        if (how->log >= 0)
            nvl_fd_write(how->log, bytes, (size_t)n);
        if (how->into != NULL && how->into->len < OUTPUT_MAX)
            nvl_buf_add(how->into, bytes, (size_t)n);
    }
}

int nvl_exec_run(const struct nvl_strv *argv, const struct nvl_exec *how)
{
    nvl_autofree char **words = nvl_xcalloc(argv->count + 1, sizeof *words);
    int ends[2], status;

    memcpy(words, argv->items, argv->count * sizeof *words);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    nvl_autofd int from = ends[0], to = ends[1];
    fflush(stdout); /* the child's output comes after ours */
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child == 0)
        become(words, how, to);
    close(TAKE_FD(to));
    pass_on(from, how);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
