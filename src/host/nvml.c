/* Asks NVML. The library is the host driver's own; it is open only for the moment of the question, so that
 * nothing else of nvlxc depends on it. */
#include "host/nvml.h"

#include <dlfcn.h>
#include <errno.h>
#include <time.h>

#include "base/paths.h"
#include "base/printable.h"
#include "base/root.h"
#include "host/userspace.h"

/* Of nvml.h: handles are pointers, results are numbers. */
typedef struct nvmlDevice_st *nvl_nvml_device;
enum {
    NVL_NVML_SUCCESS = 0,
    NVL_NVML_INVALID_ARGUMENT = 2,
    NVL_NVML_NOT_FOUND = 6,
    NVL_NVML_INSUFFICIENT_SIZE = 7,
};

struct nvl_nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int);
};

static char *find_installed(const struct nvl_host *host)
{
    const char *version = host->driver.version;
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};

    nvl_userspace_read(host->root, &us, NULL); /* none if it fails */
    for (size_t i = 0; i < us.n_dirs; i++) {
        if (us.dirs[i].elf != NVL_ELF_64 || strcmp(us.dirs[i].version, version) != 0)
            continue;
        nvl_autofree char *path = nvl_xasprintf("%s/libnvidia-ml.so.%s", us.dirs[i].path, version);
        if (nvl_root_exists(host->root, path))
            return TAKE_PTR(path);
    }
    return NULL;
}

int nvl_nvml_find(const struct nvl_host *host, char **path, struct nvl_error *err)
{
    if (!nvl_root_is_machine(host->root)) {
        nvl_error_host(err, -EXDEV,
                       "only NVML can answer this, and nvlxc does not load the libraries of a captured host");
        nvl_error_hint(err, "run nvlxc on that host itself, without --root");
        return -EXDEV;
    }
    *path = nvl_xasprintf(NVL_BUNDLE_DIR "/%s/lib64/libnvidia-ml.so.1", host->driver.version);
    if (nvl_root_exists(host->root, *path))
        return 0;
    free(*path);
    *path = find_installed(host);
    if (*path != NULL)
        return 0;
    nvl_error_host(err, -ENOENT, "only NVML can answer this, and libnvidia-ml.so.%s is not installed",
                   host->driver.version);
    nvl_error_hint(
        err, "how to install the driver's libraries: nvlxc doctor\nif they are installed: nvlxc driver sync");
    return -ENOENT;
}

static void *find_function(const struct nvl_nvml *nvml, const char *name)
{
    return dlsym(nvml->library, name);
}

static int start_nvml(struct nvl_nvml *nvml, const char *library, struct nvl_error *err)
{
    *nvml = (struct nvl_nvml){.library = dlopen(library, RTLD_NOW | RTLD_LOCAL)};
    if (nvml->library == NULL) {
        nvl_error_host(err, -ENOSYS, "cannot open NVML: %s", dlerror());
        nvl_error_hint(err, "install the driver's libnvidia-ml1");
        return -ENOSYS;
    }
    nvml->init = (int (*)(void))find_function(nvml, "nvmlInit_v2");
    nvml->shutdown = (int (*)(void))find_function(nvml, "nvmlShutdown");
    nvml->error_string = (const char *(*)(int))find_function(nvml, "nvmlErrorString");
    int result = -1;
    if (nvml->init != NULL && nvml->shutdown != NULL && nvml->error_string != NULL)
        result = nvml->init();
    if (result == NVL_NVML_SUCCESS)
        return 0;
    nvl_error_host(err, -ENOSYS, "NVML does not start: %s",
                   result < 0 ? "the library has no nvmlInit_v2" : nvml->error_string(result));
    dlclose(nvml->library);
    return -ENOSYS;
}

static void stop_nvml(struct nvl_nvml *nvml)
{
    nvml->shutdown();
    dlclose(nvml->library);
}

/* ---- MIG ---- */

struct mig_functions {
    int (*by_uuid)(const char *, nvl_nvml_device *);
    int (*parent)(nvl_nvml_device, nvl_nvml_device *);
    int (*uuid)(nvl_nvml_device, char *, unsigned);
    int (*gi)(nvl_nvml_device, unsigned *);
    int (*ci)(nvl_nvml_device, unsigned *);
};

static const struct {
    const char *name;
    size_t at;
} mig_symbols[] = {
    {"nvmlDeviceGetHandleByUUID", offsetof(struct mig_functions, by_uuid)},
    {"nvmlDeviceGetDeviceHandleFromMigDeviceHandle", offsetof(struct mig_functions, parent)},
    {"nvmlDeviceGetUUID", offsetof(struct mig_functions, uuid)},
    {"nvmlDeviceGetGpuInstanceId", offsetof(struct mig_functions, gi)},
    {"nvmlDeviceGetComputeInstanceId", offsetof(struct mig_functions, ci)},
};

static int find_mig_functions(const struct nvl_nvml *nvml, struct mig_functions *f, struct nvl_error *err)
{
    for (size_t i = 0; i < NVL_LENGTH(mig_symbols); i++) {
        void *symbol = find_function(nvml, mig_symbols[i].name);
        if (symbol == NULL)
            return nvl_error_host(err, -ENOSYS, "NVML has no %s: it is too old for MIG", mig_symbols[i].name);
        memcpy((char *)f + mig_symbols[i].at, &symbol, sizeof symbol);
    }
    return 0;
}

static int ask_mig(const struct nvl_nvml *nvml, const char *uuid, char gpu_uuid[NVL_UUID_MAX], unsigned *gi,
                   unsigned *ci, struct nvl_error *err)
{
    struct mig_functions f;
    nvl_nvml_device mig = NULL, gpu = NULL;
    char text[96] = ""; /* NVML's own buffer size, NVML_DEVICE_UUID_V2_BUFFER_SIZE */

    int r = find_mig_functions(nvml, &f, err);
    if (r < 0)
        return r;
    int result = f.by_uuid(uuid, &mig);
    if (result == NVL_NVML_NOT_FOUND || result == NVL_NVML_INVALID_ARGUMENT) {
        nvl_error_set(err, -ENOENT, "%s is not on this host", uuid);
        nvl_error_hint(err, "its MIG devices: nvidia-smi -L");
        return -ENOENT;
    }
    if (result == NVL_NVML_SUCCESS)
        result = f.parent(mig, &gpu);
    if (result == NVL_NVML_SUCCESS)
        result = f.uuid(gpu, text, sizeof text);
    if (result == NVL_NVML_SUCCESS)
        result = f.gi(mig, gi);
    if (result == NVL_NVML_SUCCESS)
        result = f.ci(mig, ci);
    if (result != NVL_NVML_SUCCESS)
        return nvl_error_set(err, -EIO, "NVML cannot resolve %s: %s", uuid, nvml->error_string(result));
    text[sizeof text - 1] = '\0';
    if (!nvl_is_gpu_uuid(text))
        return nvl_error_set(err, -EIO, "NVML names the GPU of %s '%s', which is not a UUID", uuid, text);
    nvl_copy(gpu_uuid, NVL_UUID_MAX, text, strlen(text));
    return 0;
}

int nvl_nvml_find_mig(const char *library, const char *uuid, char gpu_uuid[NVL_UUID_MAX], unsigned *gi,
                      unsigned *ci, struct nvl_error *err)
{
    struct nvl_nvml nvml;
    int r = start_nvml(&nvml, library != NULL ? library : "libnvidia-ml.so.1", err);

    if (r < 0)
        return r;
    r = ask_mig(&nvml, uuid, gpu_uuid, gi, ci, err);
    stop_nvml(&nvml);
    return r;
}

/* ---- who uses the GPUs ---- */

#define GPUS_MAX    1024
#define SPARE       16         /* processes that may start between two questions */
#define NO_MEMORY   UINT64_MAX /* NVML_VALUE_NOT_AVAILABLE */
#define NO_INSTANCE UINT32_MAX
#define USE_SECONDS 5 /* a program's use is that of its last sample in this time */

struct info {
    unsigned pid;
    unsigned long long memory; /* bytes */
    unsigned gi, ci;
};

/* nvmlProcessUtilizationSample_t */
struct use_sample {
    unsigned pid;
    unsigned long long time; /* in µs since 1970 */
    unsigned sm, memory, encoder, decoder;
};

typedef int list_fn(nvl_nvml_device, unsigned *, struct info *);

struct functions {
    void *library;
    int (*count)(unsigned *);
    int (*device)(unsigned, nvl_nvml_device *);
    int (*uuid)(nvl_nvml_device, char *, unsigned);
    list_fn *list[2];                                                                  /* compute, graphics */
    int (*uses)(nvl_nvml_device, struct use_sample *, unsigned *, unsigned long long); /* NULL: not there */
};

/* The newest that this version has. */
static list_fn *find_list(const struct nvl_nvml *nvml, const char *kind)
{
    static const char *const versions[] = {"_v3", "_v2"};
    void *found = NULL;

    for (size_t i = 0; i < NVL_LENGTH(versions) && found == NULL; i++) {
        nvl_autofree char *name = nvl_xasprintf("nvmlDeviceGet%sRunningProcesses%s", kind, versions[i]);
        found = find_function(nvml, name);
    }
    return (list_fn *)found;
}

static bool find_list_functions(const struct nvl_nvml *nvml, struct functions *f)
{
    f->library = nvml->library;
    f->count = (int (*)(unsigned *))find_function(nvml, "nvmlDeviceGetCount_v2");
    f->device = (int (*)(unsigned, nvl_nvml_device *))find_function(nvml, "nvmlDeviceGetHandleByIndex_v2");
    f->uuid = (int (*)(nvl_nvml_device, char *, unsigned))find_function(nvml, "nvmlDeviceGetUUID");
    f->list[0] = find_list(nvml, "Compute");
    f->list[1] = find_list(nvml, "Graphics");
    f->uses = (int (*)(nvl_nvml_device, struct use_sample *, unsigned *, unsigned long long))find_function(
        nvml, "nvmlDeviceGetProcessUtilization");
    return f->count != NULL && f->device != NULL && f->uuid != NULL && f->list[0] != NULL &&
           f->list[1] != NULL;
}

/* Asks until the buffer is large enough. */
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

static void take_process(struct nvl_gpu_processes *p, const char *uuid, const struct info *info,
                         bool graphics)
{
    struct nvl_gpu_process *process = NVL_APPEND(p->items, p->count);

    *process = (struct nvl_gpu_process){
        .gi = info->gi == NO_INSTANCE ? -1 : (int)info->gi,
        .ci = info->ci == NO_INSTANCE ? -1 : (int)info->ci,
        .pid = (pid_t)info->pid,
        .graphics = graphics,
        .memory = info->memory == NO_MEMORY ? -1 : (int64_t)info->memory,
        .use = -1,
    };
    nvl_copy(process->uuid, sizeof process->uuid, uuid, strlen(uuid));
}

/* Asks until the buffer is large enough. NOT_FOUND if nothing computed. */
static int list_uses(const struct functions *f, nvl_nvml_device device, struct use_sample **samples,
                     unsigned *count)
{
    struct timespec now;
    unsigned room = 0;
    int result;

    clock_gettime(CLOCK_REALTIME, &now);
    unsigned long long since = (unsigned long long)(now.tv_sec - USE_SECONDS) * 1000000;
    do {
        room = room * 2 + SPARE;
        *samples = nvl_xrealloc(*samples, room, sizeof **samples);
        *count = room;
        result = f->uses(device, *samples, count, since);
    } while (result == NVL_NVML_INSUFFICIENT_SIZE && room < 1u << 20);
    if (*count > room || result != NVL_NVML_SUCCESS)
        *count = 0;
    return result;
}

/* Sets the use of a device's processes: who is in no sample did nothing. */
static void take_uses(const struct functions *f, nvl_nvml_device device, struct nvl_gpu_process *processes,
                      size_t n_processes)
{
    nvl_autofree struct use_sample *samples = NULL;
    unsigned count;

    int result = f->uses != NULL && n_processes > 0 ? list_uses(f, device, &samples, &count) : -1;
    if (result != NVL_NVML_SUCCESS && result != NVL_NVML_NOT_FOUND)
        return;
    for (size_t i = 0; i < n_processes; i++) {
        const struct use_sample *last = NULL;
        for (unsigned s = 0; s < count; s++)
            if ((pid_t)samples[s].pid == processes[i].pid && (last == NULL || samples[s].time >= last->time))
                last = &samples[s];
        processes[i].use = last == NULL ? 0 : last->sm <= 100 ? (int)last->sm : -1;
    }
}

static int read_device(const struct functions *f, unsigned index, struct nvl_gpu_processes *p,
                       struct nvl_readings *readings)
{
    nvl_autofree struct info *infos = NULL;
    nvl_nvml_device device;
    char uuid[96] = "";
    unsigned count;
    size_t before = p->count;

    int result = f->device(index, &device);
    if (result == NVL_NVML_SUCCESS)
        result = f->uuid(device, uuid, sizeof uuid);
    uuid[NVL_UUID_MAX - 1] = '\0';
    nvl_make_printable(uuid);
    if (result == NVL_NVML_SUCCESS && readings != NULL)
        nvl_readings_take(readings, f->library, device, uuid);
    for (int graphics = 0; graphics < 2 && result == NVL_NVML_SUCCESS; graphics++) {
        result = list_of(f->list[graphics], device, &infos, &count);
        for (unsigned i = 0; result == NVL_NVML_SUCCESS && i < count; i++)
            take_process(p, uuid, &infos[i], graphics);
    }
    if (result == NVL_NVML_SUCCESS && p->count > before)
        take_uses(f, device, p->items + before, p->count - before);
    return result;
}

int nvl_nvml_processes(const char *library, struct nvl_gpu_processes *processes,
                       struct nvl_readings *readings, struct nvl_error *err)
{
    struct functions f;
    struct nvl_nvml nvml;
    unsigned count = 0;

    *processes = (struct nvl_gpu_processes){0};
    if (readings != NULL)
        *readings = (struct nvl_readings){0};
    int r = start_nvml(&nvml, library, err);
    if (r < 0)
        return r;
    bool has_all = find_list_functions(&nvml, &f);
    int result = has_all ? f.count(&count) : NVL_NVML_SUCCESS;
    for (unsigned i = 0; result == NVL_NVML_SUCCESS && i < count && i < GPUS_MAX; i++)
        result = read_device(&f, i, processes, readings);
    if (!has_all)
        r = nvl_error_host(err, -ENOSYS, "NVML is too old to list the programs that use a GPU (before 470)");
    else if (result != NVL_NVML_SUCCESS)
        r = nvl_error_set(err, -EIO, "NVML cannot list the programs that use a GPU: %s",
                          nvml.error_string(result));
    stop_nvml(&nvml);
    return r;
}

void nvl_gpu_processes_clear(struct nvl_gpu_processes *processes)
{
    free(processes->items);
    *processes = (struct nvl_gpu_processes){0};
}
