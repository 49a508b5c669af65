/* Which programs use the GPUs, by NVML, and in which container, by its cgroup. */
#include "container/gpu_programs.h"

#include <errno.h>
#include <fcntl.h>

#include "base/printable.h"
#include "base/root.h"
#include "base/visit.h"
#include "container/state.h"

#define COMM_MAX     64u
#define NVML_SECONDS 30 /* without a persistence daemon each of many GPUs takes seconds to initialize */

/* A driver that hangs answers no question and no signal. The library stands for it: one that waits for it
 * holds the lock. */
static int visit_nvml(const char *path, struct nvl_gpu_processes *processes, struct nvl_readings *readings,
                      struct nvl_error *err)
{
    int r = nvl_visit_begin("NVIDIA's driver", open(path, O_RDONLY | O_CLOEXEC));

    if (r < 0) {
        nvl_error_host(err, r, "NVIDIA's driver did not answer NVML within %d s", NVML_SECONDS);
        nvl_error_hint(err, "what its kernel module says: journalctl -k -g NVRM");
        return r;
    }
    nvl_visit_may_take(NVML_SECONDS);
    r = nvl_nvml_processes(path, processes, readings, err);
    nvl_visit_end();
    return r < 0 ? nvl_error_prefix(err, "%s", path) : 0;
}

static int ask_nvml(const struct nvl_host *host, struct nvl_gpu_processes *processes,
                    struct nvl_readings *readings, struct nvl_error *err)
{
    nvl_autofree char *path = NULL;

    if (!host->driver.loaded) {
        nvl_error_host(err, -ENODEV, "NVIDIA's kernel module is not loaded on the host: nothing uses a GPU");
        nvl_error_hint(err, "see why: nvlxc host");
        return -ENODEV;
    }
    int r = nvl_nvml_find(host, &path, err);
    return r < 0 ? r : visit_nvml(path, processes, readings, err);
}

static void describe_program(const struct nvl_host *host, const struct nvl_containers *containers,
                             const struct nvl_gpu_process *process, struct nvl_gpu_program *program)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/comm", (int)process->pid);
    nvl_autofree char *cgroup = nvl_process_cgroup(host->root, process->pid);
    size_t len;

    *program =
        (struct nvl_gpu_program){.process = process, .gpu = nvl_gpu_by_uuid(&host->gpus, process->uuid)};
    if (nvl_root_read(host->root, path, COMM_MAX, &program->name, &len) == 0) {
        program->name[strcspn(program->name, "\n")] = '\0';
        nvl_make_printable(program->name);
    }
    nvl_autofree struct nvl_container *c =
        cgroup != NULL ? nvl_container_of_cgroup(containers, cgroup) : NULL;
    if (c != NULL)
        program->container = nvl_container_full_name(containers, c);
}

int nvl_gpu_programs_read(const struct nvl_host *host, const struct nvl_containers *containers,
                          struct nvl_gpu_programs *programs, struct nvl_readings *readings,
                          struct nvl_error *err)
{
    int r = ask_nvml(host, &programs->processes, readings, err);

    for (size_t i = 0; i < programs->processes.count && r == 0; i++)
        describe_program(host, containers, &programs->processes.items[i],
                         NVL_APPEND(programs->items, programs->count));
    return r;
}

void nvl_gpu_programs_clear(struct nvl_gpu_programs *programs)
{
    for (size_t i = 0; i < programs->count; i++) {
        free(programs->items[i].container);
        free(programs->items[i].name);
    }
    free(programs->items);
    nvl_gpu_processes_clear(&programs->processes);
}
