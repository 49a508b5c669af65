/* One error, as the user sees it: what failed, on what, why (message), and what to do now (hint).
 *
 * Functions that can fail return 0 or more, or a negative errno, and take `struct nvl_error *err` last. Only
 * the command line prints it. err may be NULL: then only the number is returned. */
#pragma once

#include "base/alloc.h"

/* The program's exit status, a contract of the command line. */
enum nvl_exit {
    NVL_EXIT_OK = 0,     /* success */
    NVL_EXIT_FAILED = 1, /* failure, or a check found a problem */
    NVL_EXIT_USAGE = 2,  /* the command line is wrong */
    NVL_EXIT_HOST = 3,   /* the host lacks what the command needs */
};

struct nvl_error {
    int code;           /* negative errno, 0 for none */
    enum nvl_exit exit; /* the program's exit status for it */
    char message[2048]; /* one line, without a final full stop; or one that ends with a colon and a list, an
                           item a line */
    char hint[1536];    /* what to do now, in the lines of base/fix.h; may be empty */
};

/* Each sets the error and returns `code`, so that a caller can write `return nvl_error_set(...)`. The message
 * contains its own reason; use strerror text with %m or strerror(-code) if it helps. */
int nvl_error_set(struct nvl_error *err, int code, const char *fmt, ...) NVL_PRINTF(3, 4);
/* The same with exit status 2 and 3. */
int nvl_error_usage(struct nvl_error *err, const char *fmt, ...) NVL_PRINTF(2, 3);
int nvl_error_host(struct nvl_error *err, int code, const char *fmt, ...) NVL_PRINTF(3, 4);

/* Changes the program's exit status for it. */
void nvl_error_exit(struct nvl_error *err, enum nvl_exit exit_status);
/* Sets what to do now. */
void nvl_error_hint(struct nvl_error *err, const char *fmt, ...) NVL_PRINTF(2, 3);
/* Puts context before the message ("context: message"); returns err's code. */
int nvl_error_prefix(struct nvl_error *err, const char *fmt, ...) NVL_PRINTF(2, 3);
/* For a message with an errno: "FMT: strerror(-code)". Returns code. */
int nvl_error_errno(struct nvl_error *err, int code, const char *fmt, ...) NVL_PRINTF(3, 4);
