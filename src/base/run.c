/* A child with a tool of the host, and its output. */
#include "base/run.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

_Noreturn static void exec_tool(const char *const *argv, unsigned seconds, int out)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 && dup2(null_fd, STDERR_FILENO) >= 0 &&
        dup2(out, STDOUT_FILENO) >= 0) {
        alarm(seconds);
        execvp(argv[0], (char *const *)argv);
    }
    _exit(127);
}

int nvl_tool_read(const char *const *argv, unsigned seconds, char *data, size_t size, size_t *len)
{
    char rest[4096];
    int out[2], status;
    ssize_t n;

    data[0] = '\0';
    *len = 0;
    if (pipe2(out, O_CLOEXEC) < 0)
        return -errno;
    pid_t child = fork();
    if (child == 0)
        exec_tool(argv, seconds, out[1]);
    close(out[1]);
    if (child < 0) {
        close(out[0]);
        return -EAGAIN;
    }
    while ((n = *len + 1 < size ? read(out[0], data + *len, size - *len - 1)
                                : read(out[0], rest, sizeof rest)) != 0) {
        if (n > 0 && *len + 1 < size)
            *len += (size_t)n;
        else if (n < 0 && errno != EINTR)
            break;
    }
    data[*len] = '\0';
    close(out[0]);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int nvl_tool_run(const char *const *argv, unsigned seconds, char *text, size_t size)
{
    size_t len;

    return nvl_tool_read(argv, seconds, text, size, &len);
}
