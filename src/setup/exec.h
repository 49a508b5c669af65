/* Running one command: its output to our stdout and the log, or into memory. Not public: for this room. */
#pragma once

#include "base/text.h"

struct nvl_exec {
    int log;    /* descriptor; -1 for none */
    bool quiet; /* not to stdout */
    bool no_input;
    bool c_locale;        /* what is read by a program, not by people */
    struct nvl_buf *into; /* a copy of the output, where not NULL */
};

/* The exit status; 128 + N where signal N ended it; 127 where there is no such program. A negative errno
 * where it could not be run. */
int nvl_exec_run(const struct nvl_strv *argv, const struct nvl_exec *how);
