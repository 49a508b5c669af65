/* The rows of GPUs and programs, and their JSON. */
#include "cli/usage.h"

#include <stdlib.h>

#include "cli/command.h"
#include "container/list.h"
#include "host/gpu_state.h"

/* ---- programs ---- */

struct nvl_table *nvl_program_table_new(void)
{
    static const char *const columns[] = {"CONTAINER", "GPU",    "PID",     "KIND",
                                          "USE",       "MEMORY", "PROGRAM", NULL};

    return nvl_table_new(columns);
}

/* "0", "0 MIG 1/0" (GI/CI). */
static char *describe_gpu(const struct nvl_gpu_program *row)
{
    const struct nvl_gpu_process *process = row->process;
    nvl_autofree char *gpu = row->gpu != NULL && row->gpu->index >= 0 ? nvl_xasprintf("%d", row->gpu->index)
                                                                      : nvl_xstrdup(process->uuid);

    return process->gi < 0 ? TAKE_PTR(gpu) : nvl_xasprintf("%s MIG %d/%d", gpu, process->gi, process->ci);
}

void nvl_program_row(struct nvl_table *table, const struct nvl_gpu_program *row)
{
    const struct nvl_gpu_process *process = row->process;
    nvl_autofree char *gpu = describe_gpu(row), *pid = nvl_xasprintf("%d", (int)process->pid);
    nvl_autofree char *memory =
        process->memory >= 0 ? nvl_xasprintf("%lld MiB", (long long)(process->memory >> 20)) : NULL;
    nvl_autofree char *use = process->use >= 0 ? nvl_xasprintf("%d %%", process->use) : NULL;
    const char *const cells[] = {
        row->container, gpu, pid, process->graphics ? "graphics" : "compute", use, memory, row->name};

    nvl_table_row(table, cells);
}

json_t *nvl_program_json(const struct nvl_gpu_program *row)
{
    const struct nvl_gpu_process *process = row->process;
    json_t *gpu = row->gpu != NULL ? nvl_json_gpu(row->gpu) : json_pack("{s:s}", "uuid", process->uuid);
    json_t *mig = process->gi < 0 ? json_null()
                                  : json_pack("{s:n,s:i,s:o}", "uuid", "gi", (int)process->gi, "ci",
                                              nvl_json_unsigned(process->ci));

    return json_pack("{s:o,s:o,s:o,s:i,s:s,s:o,s:o,s:o}", "container", nvl_json_string(row->container), "gpu",
                     gpu, "mig_device", mig, "pid", (int)process->pid, "kind",
                     process->graphics ? "graphics" : "compute", "gpu_percent",
                     nvl_json_unsigned(process->use), "memory_bytes", nvl_json_unsigned(process->memory),
                     "program", nvl_json_string(row->name));
}

static int by_pid(const void *a, const void *b)
{
    const struct nvl_gpu_program *one = a, *other = b;

    return (one->process->pid > other->process->pid) - (one->process->pid < other->process->pid);
}

/* The largest first. */
static int by_memory(const void *a, const void *b)
{
    const struct nvl_gpu_program *one = a, *other = b;
    int64_t x = one->process->memory, y = other->process->memory;

    return x != y ? (x < y) - (x > y) : by_pid(a, b);
}

/* ---- GPUs ---- */

static struct nvl_table *gpu_table_new(void)
{
    static const char *const columns[] = {"GPU", "MODEL", "MEMORY", "USE", "ENC",
                                          "DEC", "POWER", "TEMP",   NULL};

    return nvl_table_new(columns);
}

static const int64_t *values_of(const struct nvl_readings *readings, const struct nvl_gpu *gpu)
{
    const struct nvl_gpu_readings *found = nvl_readings_of(readings, gpu->uuid);

    return found != NULL ? found->values : NULL;
}

/* "37 %"; NULL if it is not known. */
static char *with_unit(const int64_t *values, enum nvl_reading reading, int64_t divisor, const char *unit)
{
    if (values == NULL || values[reading] < 0)
        return NULL;
    return nvl_xasprintf("%lld %s", (long long)(values[reading] / divisor), unit);
}

/* "812/24564 MiB", "23 W" without a limit. */
static char *of_limit(const int64_t *values, enum nvl_reading reading, enum nvl_reading limit,
                      int64_t divisor, const char *unit)
{
    nvl_autofree char *most = with_unit(values, limit, divisor, unit);

    if (most == NULL || values[reading] < 0)
        return with_unit(values, reading, divisor, unit);
    return nvl_xasprintf("%lld/%s", (long long)(values[reading] / divisor), most);
}

static void add_gpu_row(struct nvl_table *table, const struct nvl_gpu *gpu,
                        const struct nvl_readings *readings)
{
    const int64_t *values = values_of(readings, gpu);
    static const char maker[] = "NVIDIA ";
    nvl_autofree char *index = gpu->index >= 0 ? nvl_xasprintf("%d", gpu->index) : NULL;
    nvl_autofree char *memory =
        of_limit(values, NVL_READING_MEMORY_USED, NVL_READING_MEMORY_TOTAL, 1 << 20, "MiB");
    nvl_autofree char *use = with_unit(values, NVL_READING_GPU_USE, 1, "%");
    nvl_autofree char *encoder = with_unit(values, NVL_READING_ENCODER_USE, 1, "%");
    nvl_autofree char *decoder = with_unit(values, NVL_READING_DECODER_USE, 1, "%");
    nvl_autofree char *power = of_limit(values, NVL_READING_POWER, NVL_READING_POWER_LIMIT, 1000, "W");
    nvl_autofree char *temperature = with_unit(values, NVL_READING_TEMPERATURE, 1, "C");
    const char *model = nvl_has_prefix(gpu->model, maker) ? gpu->model + strlen(maker) : gpu->model;
    const char *const cells[] = {index, model, memory, use, encoder, decoder, power, temperature};

    nvl_table_row(table, cells);
}

static json_t *json_throttle(int64_t mask)
{
    json_t *reasons = mask >= 0 ? json_array() : json_null();
    const char *reason;

    while ((reason = nvl_throttle_next(&mask)) != NULL)
        json_array_append_new(reasons, json_string(reason));
    return reasons;
}

static json_t *json_readings(const struct nvl_readings *gpus, const struct nvl_gpu *gpu)
{
    const int64_t *values = values_of(gpus, gpu);
    static const struct {
        const char *key;
        enum nvl_reading reading;
    } numbers[] = {
        {"memory_used_bytes", NVL_READING_MEMORY_USED},
        {"memory_total_bytes", NVL_READING_MEMORY_TOTAL},
        {"gpu_percent", NVL_READING_GPU_USE},
        {"memory_percent", NVL_READING_MEMORY_USE},
        {"encoder_percent", NVL_READING_ENCODER_USE},
        {"decoder_percent", NVL_READING_DECODER_USE},
        {"power_milliwatts", NVL_READING_POWER},
        {"power_limit_milliwatts", NVL_READING_POWER_LIMIT},
        {"temperature_celsius", NVL_READING_TEMPERATURE},
        {"sm_clock_mhz", NVL_READING_SM_CLOCK},
        {"memory_clock_mhz", NVL_READING_MEMORY_CLOCK},
        {"ecc_corrected", NVL_READING_ECC_CORRECTED},
        {"ecc_uncorrected", NVL_READING_ECC_UNCORRECTED},
    };

    if (values == NULL)
        return json_null();
    json_t *readings = json_object();
    for (size_t i = 0; i < NVL_LENGTH(numbers); i++)
        json_object_set_new(readings, numbers[i].key, nvl_json_unsigned(values[numbers[i].reading]));
    json_object_set_new(readings, "throttle_reasons", json_throttle(values[NVL_READING_THROTTLE]));
    return readings;
}

/* ---- both ---- */

void nvl_usage_clear(struct nvl_usage *usage)
{
    nvl_readings_clear(&usage->readings);
    nvl_gpu_programs_clear(&usage->programs);
    nvl_containers_clear(&usage->containers);
    nvl_host_clear(&usage->host);
}

int nvl_usage_read(const struct nvl_root *root, struct nvl_usage *usage, struct nvl_error *err)
{
    int r = nvl_host_read(&usage->host, root, NVL_GPUS_PROC, err);

    if (r == 0)
        r = nvl_containers_find(root, false, &usage->containers, err);
    if (r == 0)
        r = nvl_gpu_programs_read(&usage->host, &usage->containers, &usage->programs, &usage->readings, err);
    return r;
}

void nvl_usage_print(const struct nvl_context *ctx, struct nvl_usage *usage, enum nvl_program_order order)
{
    struct nvl_table *gpus = gpu_table_new(), *programs = nvl_program_table_new();
    struct nvl_gpu_program *items = usage->programs.items;
    size_t count = usage->programs.count;

    for (size_t i = 0; i < usage->host.gpus.count; i++)
        if (nvl_gpu_state(&usage->host.gpus.items[i]) != NVL_GPU_IS_VIRTUAL)
            add_gpu_row(gpus, &usage->host.gpus.items[i], &usage->readings);
    nvl_table_print(gpus, stdout);
    putchar('\n');
    if (count > 0)
        qsort(items, count, sizeof *items, order == NVL_BY_PID ? by_pid : by_memory);
    for (size_t i = 0; i < count; i++)
        nvl_program_row(programs, &items[i]);
    if (count > 0)
        nvl_table_print(programs, stdout);
    else
        nvl_say(ctx, "no program uses a GPU now");
    nvl_table_free(gpus);
    nvl_table_free(programs);
}

json_t *nvl_usage_json(const struct nvl_usage *usage)
{
    json_t *gpus = json_array(), *programs = json_array();

    for (size_t i = 0; i < usage->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &usage->host.gpus.items[i];
        if (nvl_gpu_state(gpu) == NVL_GPU_IS_VIRTUAL)
            continue;
        json_t *object = nvl_json_gpu(gpu);
        json_object_set_new(object, "readings", json_readings(&usage->readings, gpu));
        json_array_append_new(gpus, object);
    }
    for (size_t i = 0; i < usage->programs.count; i++)
        json_array_append_new(programs, nvl_program_json(&usage->programs.items[i]));
    return json_pack("{s:o,s:o}", "gpus", gpus, "processes", programs);
}
