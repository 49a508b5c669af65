/* nvlxc ps: which programs use the GPUs now, in which container, and how much of the GPU's memory. */
#include <errno.h>
#include <stdio.h>

#include "check/check.h"
#include "cli/command.h"
#include "cli/grant_text.h"
#include "cli/target.h"
#include "container/running.h"
#include "host/nvml.h"
#include "output/table.h"

#define COMM_MAX 64u

struct ps {
    struct nvl_host host;
    struct nvl_containers containers;
    struct nvl_gpu_processes processes;
};

static void ps_clear(struct ps *p)
{
    nvl_gpu_processes_clear(&p->processes);
    nvl_containers_clear(&p->containers);
    nvl_host_clear(&p->host);
}

/* One line: a process on one GPU. */
struct row {
    const struct nvl_gpu_process *process;
    const struct nvl_gpu *gpu; /* NULL where /proc does not list it */
    char *container;           /* NULL for a program of the host */
    char *program;             /* NULL where it has ended meanwhile */
};

static void row_clear(struct row *row)
{
    free(row->container);
    free(row->program);
}

static void read_row(const struct nvl_context *ctx, const struct ps *p, const struct nvl_gpu_process *process,
                     struct row *row)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/comm", (int)process->pid);
    nvl_autofree char *cgroup = nvl_process_cgroup(&ctx->root, process->pid);
    size_t len;

    *row = (struct row){.process = process, .gpu = nvl_gpu_by_uuid(&p->host.gpus, process->uuid)};
    if (nvl_root_read(&ctx->root, path, COMM_MAX, &row->program, &len) == 0) {
        row->program[strcspn(row->program, "\n")] = '\0';
        nvl_make_printable(row->program);
    }
    nvl_autofree struct nvl_container *c =
        cgroup != NULL ? nvl_container_of_cgroup(&p->containers, cgroup) : NULL;
    if (c != NULL)
        row->container = nvl_container_full_name(&p->containers, c);
}

/* "0", "0 MIG 1/0" (GI/CI). */
static char *gpu_text(const struct row *row)
{
    const struct nvl_gpu_process *process = row->process;
    nvl_autofree char *gpu = row->gpu != NULL && row->gpu->index >= 0 ? nvl_xasprintf("%d", row->gpu->index)
                                                                      : nvl_xstrdup(process->uuid);

    return process->gi < 0 ? TAKE_PTR(gpu) : nvl_xasprintf("%s MIG %d/%d", gpu, process->gi, process->ci);
}

static void add_row(struct nvl_table *table, const struct row *row)
{
    const struct nvl_gpu_process *process = row->process;
    nvl_autofree char *gpu = gpu_text(row), *pid = nvl_xasprintf("%d", (int)process->pid);
    nvl_autofree char *memory =
        process->memory >= 0 ? nvl_xasprintf("%lld MiB", (long long)(process->memory >> 20)) : NULL;
    const char *const cells[] = {row->container, gpu,         pid, process->graphics ? "graphics" : "compute",
                                 memory,         row->program};

    nvl_table_row(table, cells);
}

static void add_json(json_t *array, const struct row *row)
{
    const struct nvl_gpu_process *process = row->process;

    json_array_append_new(
        array,
        json_pack("{s:o,s:o,s:s,s:o,s:o,s:i,s:s,s:o,s:o}", "container", nvl_json_string(row->container),
                  "gpu",
                  row->gpu != NULL && row->gpu->index >= 0 ? json_integer(row->gpu->index) : json_null(),
                  "uuid", process->uuid, "gi", process->gi >= 0 ? json_integer(process->gi) : json_null(),
                  "ci", process->ci >= 0 ? json_integer(process->ci) : json_null(), "pid", (int)process->pid,
                  "kind", process->graphics ? "graphics" : "compute", "memory",
                  process->memory >= 0 ? json_integer(process->memory) : json_null(), "program",
                  nvl_json_string(row->program)));
}

static int read_processes(struct ps *p, struct nvl_error *err)
{
    char library[NVL_NVML_LIBRARY_MAX];
    nvl_autofree char *path = NULL;

    if (!p->host.driver.loaded) {
        nvl_error_host(err, -ENODEV, "NVIDIA's kernel module is not loaded on the host: nothing uses a GPU");
        nvl_error_hint(err, "nvlxc host says why");
        return -ENODEV;
    }
    nvl_autofd int fd = nvl_nvml_open(&p->host, library, &path);
    if (fd < 0) {
        nvl_error_host(
            err, fd, "only libnvidia-ml.so.1 knows who uses the GPUs, and version %s of it is not installed",
            p->host.driver.version);
        nvl_error_hint(err, "install it (Debian: libnvidia-ml1), or run nvlxc driver sync");
        return fd;
    }
    int r = nvl_nvml_processes(library, &p->processes, err);
    return r < 0 ? nvl_error_prefix(err, "%s", path) : 0;
}

/* The processes of one container (NULL: all, and the host's), where they are to go. */
static size_t list(const struct nvl_context *ctx, const struct ps *p, const char *wanted,
                   struct nvl_table *table, json_t *array)
{
    size_t n = 0;

    for (size_t i = 0; i < p->processes.count; i++) {
        nvl_auto(row_clear) struct row row;
        read_row(ctx, p, &p->processes.items[i], &row);
        if (wanted != NULL && (row.container == NULL || strcmp(row.container, wanted) != 0))
            continue;
        n++;
        if (array != NULL)
            add_json(array, &row);
        else
            add_row(table, &row);
    }
    return n;
}

static int run_ps(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                  struct nvl_error *err)
{
    static const char *const columns[] = {"CONTAINER", "GPU", "PID", "KIND", "MEMORY", "PROGRAM", NULL};
    nvl_auto(ps_clear) struct ps p = {0};
    nvl_autofree char *wanted = NULL;
    nvl_autofree struct nvl_container *one = NULL;

    (void)data;
    int r = nvl_host_read(&p.host, &ctx->root, NVL_GPUS_PROC, err);
    if (r == 0)
        r = nvl_containers_find(&ctx->root, false, &p.containers, err);
    if (r == 0 && arguments->count > 0) {
        r = nvl_container_by_name(&p.containers, arguments->items[0], &one, err);
        wanted = r == 0 ? nvl_container_full_name(&p.containers, one) : NULL;
    }
    if (r == 0)
        r = read_processes(&p, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        json_t *array = json_array();
        list(ctx, &p, wanted, NULL, array);
        nvl_print_json(json_pack("{s:o}", "processes", array));
        return NVL_EXIT_OK;
    }
    struct nvl_table *table = nvl_table_new(columns);
    size_t n = list(ctx, &p, wanted, table, NULL);
    if (n > 0 && !ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
    if (n == 0)
        nvl_say(ctx, "%s uses a GPU now", wanted != NULL ? "nothing in that container" : "no program");
    return NVL_EXIT_OK;
}

const struct nvl_command nvl_cmd_ps = {
    .name = "ps",
    .arguments = "[CT]",
    .summary = "which programs use the GPUs now, in which container, and their memory",
    .details =
        "Process numbers are the host's. The programs of all containers and of the host, or of CT alone; "
        "\"-\" stands\n"
        "for the host, and for memory that the driver does not tell. A program that has a GPU's node open "
        "but no work\n"
        "on it is not listed.",
    .max_arguments = 1,
    .run = run_ps,
};
