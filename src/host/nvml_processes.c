/* Which programs use the GPUs: nvmlDeviceGet{Compute,Graphics}RunningProcesses. Source of the layout: nvml.h,
 * nvmlProcessInfo_t, the same in _v2 and _v3. */
#include "host/nvml.h"

#include <errno.h>

#include "host/nvml_library.h"

#define SPARE       16         /* processes that may come between two questions */
#define NO_MEMORY   UINT64_MAX /* NVML_VALUE_NOT_AVAILABLE */
#define NO_INSTANCE UINT32_MAX

struct info {
    unsigned pid;
    unsigned long long memory; /* bytes */
    unsigned gi, ci;
};

typedef int list_fn(nvl_nvml_device, unsigned *, struct info *);

struct functions {
    int (*count)(unsigned *);
    int (*device)(unsigned, nvl_nvml_device *);
    int (*uuid)(nvl_nvml_device, char *, unsigned);
    list_fn *list[2]; /* compute, graphics */
};

/* The newest that this version has. */
static list_fn *find_list(const struct nvl_nvml *nvml, const char *kind)
{
    static const char *const versions[] = {"_v3", "_v2"};
    void *found = NULL;

    for (size_t i = 0; i < NVL_LENGTH(versions) && found == NULL; i++) {
        nvl_autofree char *name = nvl_xasprintf("nvmlDeviceGet%sRunningProcesses%s", kind, versions[i]);
        found = nvl_nvml_function(nvml, name);
    }
    return (list_fn *)found;
}

static bool find_functions(const struct nvl_nvml *nvml, struct functions *f)
{
    f->count = (int (*)(unsigned *))nvl_nvml_function(nvml, "nvmlDeviceGetCount_v2");
    f->device =
        (int (*)(unsigned, nvl_nvml_device *))nvl_nvml_function(nvml, "nvmlDeviceGetHandleByIndex_v2");
    f->uuid = (int (*)(nvl_nvml_device, char *, unsigned))nvl_nvml_function(nvml, "nvmlDeviceGetUUID");
    f->list[0] = find_list(nvml, "Compute");
    f->list[1] = find_list(nvml, "Graphics");
    return f->count != NULL && f->device != NULL && f->uuid != NULL && f->list[0] != NULL &&
           f->list[1] != NULL;
}

/* Asks until the room is enough. */
static int list_of(list_fn *list, nvl_nvml_device device, struct info **infos, unsigned *count)
{
    unsigned room = 0;
    int result;

    do {
        room += SPARE;
        *infos = nvl_xrealloc(*infos, room, sizeof **infos);
        *count = room;
        result = list(device, count, *infos);
        if (result == NVL_NVML_INSUFFICIENT_SIZE)
            room = *count > room ? *count : room;
    } while (result == NVL_NVML_INSUFFICIENT_SIZE && room < 1u << 20);
    if (*count > room)
        *count = room;
    return result;
}

static void take(struct nvl_gpu_processes *p, const char *uuid, const struct info *info, bool graphics)
{
    struct nvl_gpu_process *process = NVL_APPEND(p->items, p->count);

    *process = (struct nvl_gpu_process){
        .gi = info->gi == NO_INSTANCE ? -1 : (int)info->gi,
        .ci = info->ci == NO_INSTANCE ? -1 : (int)info->ci,
        .pid = (pid_t)info->pid,
        .graphics = graphics,
        .memory = info->memory == NO_MEMORY ? -1 : (int64_t)info->memory,
    };
    nvl_copy(process->uuid, sizeof process->uuid, uuid, strlen(uuid));
}

static int read_device(const struct functions *f, unsigned index, struct nvl_gpu_processes *p)
{
    nvl_autofree struct info *infos = NULL;
    nvl_nvml_device device;
    char uuid[96] = "";
    unsigned count;

    int result = f->device(index, &device);
    if (result == NVL_NVML_SUCCESS)
        result = f->uuid(device, uuid, sizeof uuid);
    uuid[NVL_UUID_MAX - 1] = '\0';
    for (int graphics = 0; graphics < 2 && result == NVL_NVML_SUCCESS; graphics++) {
        result = list_of(f->list[graphics], device, &infos, &count);
        for (unsigned i = 0; result == NVL_NVML_SUCCESS && i < count; i++)
            take(p, uuid, &infos[i], graphics);
    }
    return result;
}

int nvl_nvml_processes(const char *library, struct nvl_gpu_processes *processes, struct nvl_error *err)
{
    struct functions f;
    struct nvl_nvml nvml;
    unsigned count = 0;

    *processes = (struct nvl_gpu_processes){0};
    int r = nvl_nvml_start(&nvml, library, err);
    if (r < 0)
        return r;
    bool has_all = find_functions(&nvml, &f);
    int result = has_all ? f.count(&count) : NVL_NVML_SUCCESS;
    for (unsigned i = 0; result == NVL_NVML_SUCCESS && i < count; i++)
        result = read_device(&f, i, processes);
    if (!has_all)
        r = nvl_error_host(err, -ENOSYS, "NVML is too old to say which programs use a GPU (before 470)");
    else if (result != NVL_NVML_SUCCESS)
        r = nvl_error_set(err, -EIO, "NVML cannot say which programs use a GPU: %s",
                          nvml.error_string(result));
    nvl_nvml_stop(&nvml);
    return r;
}

void nvl_gpu_processes_clear(struct nvl_gpu_processes *processes)
{
    free(processes->items);
    *processes = (struct nvl_gpu_processes){0};
}
