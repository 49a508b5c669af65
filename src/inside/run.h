/* Runs something inside a container: in its namespaces, its cgroup (so that its device filter applies) and
 * its AppArmor profile, as its root or one of its users, with no capability but CAP_DAC_OVERRIDE, none of the
 * host's files open, and no way to gain privileges. Everything that it starts ends with it. Its output is
 * hostile. */
#pragma once

#include "base/passwd.h"
#include "inside/enter.h"

struct nvl_container;

struct nvl_inside_command {
    const char *const *argv; /* argv[0] is an absolute path in the container, unless `program` is given */
    int program;             /* descriptor of a program, or -1 */
    const struct nvl_account *user;     /* NULL: its root */
    const struct nvl_strv *environment; /* the whole environment */
    unsigned seconds;
    size_t max; /* bytes of output that are kept; the rest is read and discarded */
};

struct nvl_output {
    char *text; /* standard output and standard error as they came; NUL-terminated, may contain anything */
    size_t len;
    bool truncated, timed_out;
    int status;           /* as waitpid returns it; valid if neither timed_out nor error */
    int error;            /* negative errno: it was not started */
    const char *at;       /* the step that failed: "enter its namespaces" */
    unsigned long millis; /* its duration */
};

void nvl_inside_run(const struct nvl_inside *in, const struct nvl_inside_command *command,
                    struct nvl_output *out);
/* One request to a server on the container's 127.0.0.1, made by nvlxc itself: nothing runs in the container.
 * The answer as it came. */
void nvl_inside_http_get(const struct nvl_inside *in, uint16_t port, const char *path,
                         struct nvl_output *out);
/* Runs a program with all that the container's root may do, by LXC's own lxc-attach or the daemon's client:
 * for what cannot work with less. Only a container of root's; the program is a name that the container's PATH
 * finds. `input` is its standard input. What it leaves running goes on. */
void nvl_inside_attach(const struct nvl_container *container, const char *const *argv, int input,
                       unsigned seconds, size_t max, struct nvl_output *out);
void nvl_output_clear(struct nvl_output *out);
/* "exit status 9", "ended by signal 11", "no answer in 60 s", "cannot start: …"; the caller frees. */
char *nvl_output_ending(const struct nvl_output *out, unsigned seconds);
