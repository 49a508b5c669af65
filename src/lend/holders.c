/* Open files say who has it; cgroups say whose program that is. */
#include "lend/holders.h"

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "apply/open_files.h"
#include "container/state.h"

#define ASK_SECONDS  10
#define KILL_SECONDS 5
#define LOOK_MS      100

/* "ollama.service" of "/system.slice/ollama.service"; NULL for a session's scope. */
static char *unit_of(const struct nvl_root *root, pid_t pid)
{
    nvl_autofree char *group = nvl_process_cgroup(root, pid);
    char *slash = group != NULL ? strrchr(group, '/') : NULL;

    return slash != NULL && nvl_has_suffix(slash, ".service") && nvl_is_plain(slash + 1)
               ? nvl_xstrdup(slash + 1)
               : NULL;
}

static void take_programs(const struct nvl_root *root, const struct nvl_containers *containers,
                          const struct nvl_programs *programs, struct nvl_holders *holders)
{
    for (size_t i = 0; i < programs->count; i++) {
        const struct nvl_program *program = &programs->items[i];
        struct nvl_holder *holder = NVL_APPEND(holders->items, holders->count);
        *holder = (struct nvl_holder){
            .pid = program->pid,
            .container = nvl_container_of_process(root, containers, program->pid),
            .open = nvl_strv_join(&program->devices, " "),
        };
        nvl_copy(holder->name, sizeof holder->name, program->name, strlen(program->name));
        if (holder->container != NULL)
            continue;
        holder->unit = unit_of(root, program->pid);
        /* the kernel keeps 15 characters of the name */
        holder->is_persistenced = strcmp(holder->name, "nvidia-persiste") == 0;
    }
}

void nvl_holders_find(const struct nvl_host *host, const struct nvl_gpu *gpu,
                      const struct nvl_containers *containers, struct nvl_holders *holders)
{
    nvl_auto(nvl_programs_clear) struct nvl_programs programs = {0};

    nvl_programs_of_gpu(host, gpu, &programs);
    take_programs(host->root, containers, &programs, holders);
}

void nvl_holders_of_files(const struct nvl_root *root, const struct nvl_strv *paths,
                          const struct nvl_containers *containers, struct nvl_holders *holders)
{
    nvl_auto(nvl_programs_clear) struct nvl_programs programs = {0};

    nvl_programs_of_files(root, paths, &programs);
    take_programs(root, containers, &programs, holders);
}

void nvl_holders_clear(struct nvl_holders *holders)
{
    for (size_t i = 0; i < holders->count; i++) {
        free(holders->items[i].container);
        free(holders->items[i].unit);
        free(holders->items[i].open);
    }
    free(holders->items);
    *holders = (struct nvl_holders){0};
}

char *nvl_holder_text(const struct nvl_holder *holder)
{
    nvl_autofree char *whose = holder->container != NULL ? nvl_xasprintf("container %s", holder->container)
                               : holder->unit != NULL    ? nvl_xasprintf("the host's %s", holder->unit)
                                                         : nvl_xstrdup("the host");

    return nvl_xasprintf("%s: %s (pid %d) has %s open", whose, holder->name, (int)holder->pid, holder->open);
}

static const struct nvl_holder *find_by_pid(const struct nvl_holders *holders, pid_t pid)
{
    for (size_t i = 0; i < holders->count; i++)
        if (holders->items[i].pid == pid)
            return &holders->items[i];
    return NULL;
}

/* Returns how many there are. */
static size_t signal_programs(const struct nvl_host *host, const struct nvl_gpu *gpu,
                              const struct nvl_containers *containers, int number)
{
    nvl_auto(nvl_holders_clear) struct nvl_holders before = {0}, now = {0};
    nvl_autofree int *fds = NULL;
    size_t n_fds = 0, n = 0;

    nvl_holders_find(host, gpu, containers, &before);
    for (size_t i = 0; i < before.count; i++)
        *NVL_APPEND(fds, n_fds) = (int)syscall(SYS_pidfd_open, before.items[i].pid, 0);
    /* who has it open now is the process that the descriptor stands for */
    nvl_holders_find(host, gpu, containers, &now);
    for (size_t i = 0; i < before.count; i++) {
        const struct nvl_holder *holder = find_by_pid(&now, before.items[i].pid);
        if (holder != NULL && holder->container != NULL) {
            n++;
            if (fds[i] >= 0 && number != 0)
                syscall(SYS_pidfd_send_signal, fds[i], number, NULL, 0);
        }
        if (fds[i] >= 0)
            close(fds[i]);
    }
    return n;
}

static void sleep_between(void)
{
    const struct timespec pause = {0, LOOK_MS * 1000000L};

    nanosleep(&pause, NULL);
}

/* Signals those that are there, also such as come meanwhile, once a second. */
static bool end_within(const struct nvl_host *host, const struct nvl_gpu *gpu,
                       const struct nvl_containers *containers, int number, unsigned seconds)
{
    for (unsigned i = 0; i < seconds * (1000 / LOOK_MS); i++) {
        if (signal_programs(host, gpu, containers, i % (1000 / LOOK_MS) == 0 ? number : 0) == 0)
            return true;
        sleep_between();
    }
    return false;
}

void nvl_holders_end(const struct nvl_host *host, const struct nvl_gpu *gpu,
                     const struct nvl_containers *containers)
{
    if (!end_within(host, gpu, containers, SIGTERM, ASK_SECONDS))
        end_within(host, gpu, containers, SIGKILL, KILL_SECONDS);
}

void nvl_holders_wait(const struct nvl_host *host, const struct nvl_gpu *gpu,
                      const struct nvl_containers *containers, unsigned seconds, bool with_persistenced,
                      struct nvl_holders *holders)
{
    for (unsigned i = 0; i <= seconds * (1000 / LOOK_MS); i++) {
        size_t others = 0;
        nvl_holders_clear(holders);
        nvl_holders_find(host, gpu, containers, holders);
        for (size_t n = 0; n < holders->count; n++)
            others += with_persistenced || !holders->items[n].is_persistenced;
        if (others == 0)
            return;
        sleep_between();
    }
}
