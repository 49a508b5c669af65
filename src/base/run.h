/* A child process from start to end: its streams, its output, its time, how it ended. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

#define NVL_TOOL_SECONDS 10 /* enough for LXC's own tools; whoever answers them may be hostile */

enum nvl_stream {
    NVL_STREAM_NONE,    /* /dev/null */
    NVL_STREAM_CALLERS, /* nvlxc's own */
    NVL_STREAM_TAKEN,   /* nvl_run reads it; not for the input */
    NVL_STREAM_FD,      /* `input_fd` or `output_fd` */
};

struct nvl_run {
    const char *const *argv;  /* argv[0] is found by the child's PATH unless it has a slash */
    char *const *environment; /* the whole environment, ends with NULL; NULL: the caller's */
    /* Replaces the program: runs in the child and returns its exit status. It has every descriptor of the
     * caller. */
    int (*body)(void *data);
    void *body_data;
    enum nvl_stream input, output, errors;
    int input_fd, output_fd;
    size_t max; /* bytes of taken output to keep; the rest is read and discarded */
    /* Called with taken output as it arrives; may be NULL. */
    void (*pass_on)(void *data, const char *bytes, size_t len);
    void *pass_on_data;
    /* 0: no limit. With a limit the child has its own session, without a terminal, and its whole process
     * group ends with it, in time or not, and with nvlxc. One that no signal ends is left behind. */
    unsigned seconds;
    bool spares_rest; /* with a limit: what a child that ended in time has started goes on without it */
    bool is_helper;   /* limits its memory, processor time and files, too: it works on what others wrote */
};

struct nvl_run_result {
    char *text; /* NUL-terminated, may contain anything; "" if nothing was taken */
    size_t len;
    bool truncated, timed_out;
    pid_t left;           /* it was killed and stays: it waits for what does not answer; else 0 */
    int status;           /* from waitpid; valid if the run returned 0 */
    unsigned long millis; /* its duration */
};

/* Runs it and waits until it has ended or its time is over; processes that it left running may keep the
 * output open. 0 if it ended by itself, whatever its status; -ETIMEDOUT; else a negative errno if it could
 * not start (-ENOENT if there is no such program), or if its output could not be read: then it is killed.
 * Clear `result` in any case. */
int nvl_run(const struct nvl_run *run, struct nvl_run_result *result);
void nvl_run_result_clear(struct nvl_run_result *result);
/* The same without output: its exit status as in a shell (128 + signal), or the negative errno. */
int nvl_run_status(const struct nvl_run *run);
/* That result in words, to follow a program's name: "status 25", "it is not installed"; the caller frees. */
char *nvl_status_text(int status);
/* 128 + signal if a signal ended it. */
int nvl_exit_status(int status);
/* Closes what nvlxc was given besides its three streams: all of its own closes on exec. A child that may be
 * left behind would keep the caller's locks and pipes. Reads the process's own /proc. */
void nvl_close_callers(void);
/* Waits for a child to end. `status` may be NULL. */
int nvl_child_wait(pid_t child, int *status);

/* Runs one of the host's tools (LXC's own, the start hook), without input. Its standard output goes to `text`
 * (size bytes, NUL-terminated, cut at the end), its standard error nowhere. Returns like nvl_run_status. */
int nvl_tool_run(const char *const *argv, unsigned seconds, char *text, size_t size);
/* The same for bytes that are not text: *len is how many arrived, at most size - 1. */
int nvl_tool_read(const char *const *argv, unsigned seconds, char *data, size_t size, size_t *len);
