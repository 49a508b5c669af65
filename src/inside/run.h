/* Running something inside a container: in its namespaces, its cgroup (so that its device filter counts) and
 * its AppArmor profile, as its root or one of its users, with no capability but CAP_DAC_OVERRIDE, nothing of
 * the host's open, and no way to gain privileges. Whatever it starts is ended with it. Its output is hostile.
 */
#pragma once

#include "base/passwd.h"
#include "inside/enter.h"

struct nvl_inside_command {
    const char *const *argv; /* argv[0] is an absolute path in the container, unless `program` is given */
    int program;             /* descriptor of a program, or -1 */
    const struct nvl_account *user;     /* NULL: its root */
    const struct nvl_strv *environment; /* all of it */
    unsigned seconds;
    size_t max; /* bytes of output that are kept; what is beyond is read and thrown away */
};

struct nvl_output {
    char *text; /* standard output and standard error as they came; NUL-terminated, may hold anything */
    size_t len;
    bool truncated, timed_out;
    int status;           /* as waitpid gives it; counts where neither timed_out nor error */
    int error;            /* negative errno: it was not started */
    const char *at;       /* and where that failed: "enter its namespaces" */
    unsigned long millis; /* that it took */
};

void nvl_inside_run(const struct nvl_inside *in, const struct nvl_inside_command *command,
                    struct nvl_output *out);
/* One request to a server on the container's 127.0.0.1, by nvlxc itself: nothing in the container is run. The
 * answer as it came. */
void nvl_inside_http_get(const struct nvl_inside *in, uint16_t port, const char *path,
                         struct nvl_output *out);
void nvl_output_clear(struct nvl_output *out);
/* "exit status 9", "ended by signal 11", "no answer in 60 s", "cannot start: …"; the caller frees. */
char *nvl_output_ending(const struct nvl_output *out, unsigned seconds);
