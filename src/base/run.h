/* A child process from its start to its end: its streams, its output, its time, how it ended. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

#define NVL_TOOL_SECONDS 10 /* enough for LXC's own; who answers them may be hostile */

enum nvl_stream {
    NVL_STREAM_NONE,    /* /dev/null */
    NVL_STREAM_CALLERS, /* the one that nvlxc has itself */
    NVL_STREAM_TAKEN,   /* read by nvl_run; not for the input */
    NVL_STREAM_FD,      /* `output_fd`; not for the input */
};

struct nvl_run {
    const char *const *argv;  /* argv[0] is found by the child's PATH unless it has a slash */
    char *const *environment; /* all of it, NULL at its end; NULL: the caller's */
    /* In place of a program: called in the child, and gives its exit status. It has every descriptor of the
     * caller. */
    int (*body)(void *data);
    void *body_data;
    enum nvl_stream input, output, errors;
    int output_fd;
    size_t max; /* bytes of taken output that are kept; what is beyond is read and thrown away */
    /* Called with taken output as it comes; may be NULL. */
    void (*pass_on)(void *data, const char *bytes, size_t len);
    void *pass_on_data;
    /* 0: whatever it takes. With a limit the child has a session of its own, without a terminal, and all of
     * its process group ends with it, in time or not, and with nvlxc. */
    unsigned seconds;
};

struct nvl_run_result {
    char *text; /* NUL-terminated, may hold anything; "" where nothing was taken */
    size_t len;
    bool truncated, timed_out;
    int status;           /* as waitpid gives it; counts where the run gave 0 */
    unsigned long millis; /* that it took */
};

/* Runs it and waits until it has ended or its time is over; what it left running may keep the output open. 0
 * where it ended by itself, whatever its status; -ETIMEDOUT; else a negative errno, where it could not be
 * started: -ENOENT where there is no such program. `result` is to be cleared in any case. */
int nvl_run(const struct nvl_run *run, struct nvl_run_result *result);
void nvl_run_result_clear(struct nvl_run_result *result);
/* The same without output: its exit status as a shell has it (128 + signal), or the negative errno. */
int nvl_run_status(const struct nvl_run *run);
/* 128 + signal where that ended it. */
int nvl_exit_status(int status);
/* Waits for a child's end. `status` may be NULL. */
int nvl_child_wait(pid_t child, int *status);

/* One of the host's tools (LXC's own, the start hook), without input. Its standard output goes to `text`
 * (size bytes, NUL-terminated, cut at the end), its standard error nowhere. As nvl_run_status. */
int nvl_tool_run(const char *const *argv, unsigned seconds, char *text, size_t size);
/* The same for bytes that are no text: *len is how many came, at most size - 1. */
int nvl_tool_read(const char *const *argv, unsigned seconds, char *data, size_t size, size_t *len);
