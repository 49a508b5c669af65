/* The other way in: as lxc-attach does, or the client of Incus or LXD, with all that the container's root may
 * do, seccomp filter included. The child holds nothing of nvlxc's when it enters: it is their own program,
 * without a terminal, with an environment of its own, and with three descriptors. */
#include "inside/run.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/run.h"
#include "container/instance.h"
#include "container/list.h"

#define TOOLS_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* In the child. Also what nvlxc's own caller left open for it must not come into a container. */
static int become_attach(void *data)
{
    static char path[] = TOOLS_PATH, locale[] = "LC_ALL=C";
    static char *environment[] = {path, locale, NULL};
    char *const *argv = data;

    if (close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
        return 126;
    environ = environment; /* PATH is also taken from it */
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    return 127;
}

/* Whoever calls for it reports "cannot start" as of any program inside. */
static void give_attached(const char *program, struct nvl_run_result *ran, int r, struct nvl_output *out)
{
    *out = (struct nvl_output){.at = program,
                               .text = TAKE_PTR(ran->text),
                               .len = ran->len,
                               .truncated = ran->truncated,
                               .timed_out = ran->timed_out,
                               .status = ran->status,
                               .error = r == -ETIMEDOUT ? 0 : r,
                               .millis = ran->millis};
}

static void add_words(const char *const *words, size_t count, const char ***all, size_t *n)
{
    for (size_t i = 0; i < count; i++)
        *NVL_APPEND(*all, *n) = words[i];
}

static void add_lxcs_entry(const struct nvl_container *c, const char ***all, size_t *n)
{
    const char *const words[] = {"lxc-attach", "-P", c->lxcpath,   "-n", c->lxc_name, "--clear-env", "-v",
                                 TOOLS_PATH,   "-v", "HOME=/root", "-v", "LC_ALL=C",  "--"};

    add_words(words, NVL_LENGTH(words), all, n);
}

/* On a host of Incus or LXD, where LXC's tools are not. What a program prints in its last moment may be lost
 * on the daemon's way to its client (one in a hundred on a busy machine, with Incus 6.0.4 and LXD 5.0.2), so
 * the end waits a little. */
static void add_clients_entry(const struct nvl_instance *instance, const char ***all, size_t *n)
{
    const char *const words[] = {instance->daemon->client,
                                 "exec",
                                 instance->name,
                                 "--project",
                                 instance->project,
                                 "-T",
                                 "--env",
                                 TOOLS_PATH,
                                 "--env",
                                 "HOME=/root",
                                 "--env",
                                 "LC_ALL=C",
                                 "--",
                                 "sh",
                                 "-c",
                                 "\"$@\"; ended=$?; sleep 0.3; exit $ended",
                                 "sh"};

    add_words(words, NVL_LENGTH(words), all, n);
}

void nvl_inside_attach(const struct nvl_container *container, const char *const *argv, int input,
                       unsigned seconds, size_t max, struct nvl_output *out)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran = {0};
    nvl_autofree const char **all = NULL;
    size_t n = 0;

    if (container->kind == NVL_CONTAINER_DAEMON)
        add_clients_entry(container->instance, &all, &n);
    else
        add_lxcs_entry(container, &all, &n);
    for (; *argv != NULL; argv++)
        *NVL_APPEND(all, n) = *argv;
    *NVL_APPEND(all, n) = NULL;
    const struct nvl_run run = {.body = become_attach,
                                .body_data = all,
                                .input = NVL_STREAM_FD,
                                .input_fd = input,
                                .output = NVL_STREAM_TAKEN,
                                .errors = NVL_STREAM_TAKEN,
                                .max = max,
                                .seconds = seconds};
    int r = nvl_run(&run, &ran);
    give_attached(all[0], &ran, r, out);
}
