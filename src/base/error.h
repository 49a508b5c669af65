/* One error, as it is told to the user: what failed, on what, why (message), and what to do now (hint).
 *
 * Functions that can fail return 0 or more, or a negative errno, and take `struct nvl_error *err` last. Only
 * the command line prints it. A NULL err is allowed: then only the number is given. */
#pragma once

#include "base/alloc.h"

/* The program's exit status; the command line's contract. */
enum nvl_exit {
    NVL_EXIT_OK = 0,     /* done, and all well */
    NVL_EXIT_FAILED = 1, /* it failed, or a check found something */
    NVL_EXIT_USAGE = 2,  /* the command line is wrong */
    NVL_EXIT_HOST = 3,   /* the host lacks what the command needs */
};

struct nvl_error {
    int code;           /* negative errno, 0 for none */
    enum nvl_exit exit; /* what the program returns for it */
    char message[1024]; /* one line, no full stop at its end */
    char hint[512];     /* what to do now; may be empty */
};

/* Each sets the error and returns `code`, so that a caller can write `return nvl_error_set(...)`.
 * The message carries its own reason; pass strerror text with %m or strerror(-code) where it helps. */
int nvl_error_set(struct nvl_error *err, int code, const char *fmt, ...) NVL_PRINTF(3, 4);
/* The same with exit status 2 and 3. */
int nvl_error_usage(struct nvl_error *err, const char *fmt, ...) NVL_PRINTF(2, 3);
int nvl_error_host(struct nvl_error *err, int code, const char *fmt, ...) NVL_PRINTF(3, 4);

/* Says what to do now. */
void nvl_error_hint(struct nvl_error *err, const char *fmt, ...) NVL_PRINTF(2, 3);
/* Puts context before the message ("context: message"); returns err's code. */
int nvl_error_prefix(struct nvl_error *err, const char *fmt, ...) NVL_PRINTF(2, 3);
/* Where the message came from an errno: "FMT: strerror(-code)". Returns code. */
int nvl_error_errno(struct nvl_error *err, int code, const char *fmt, ...) NVL_PRINTF(3, 4);
