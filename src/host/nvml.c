/* Asking NVML for a MIG device's GPU and instances. The library is the host driver's own; it is opened only
 * for the moment of the question, so that nothing else of nvlxc depends on it being there. */
#include "host/nvml.h"

#include <dlfcn.h>
#include <errno.h>

/* Of nvml.h: handles are pointers, results are numbers. */
typedef struct nvmlDevice_st *device_t;
enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_FOUND = 6 };

struct nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int);
    int (*by_uuid)(const char *, device_t *);
    int (*parent)(device_t, device_t *);
    int (*uuid)(device_t, char *, unsigned);
    int (*gi)(device_t, unsigned *);
    int (*ci)(device_t, unsigned *);
};

static const struct {
    const char *name;
    size_t at;
} symbols[] = {
    {"nvmlInit_v2", offsetof(struct nvml, init)},
    {"nvmlShutdown", offsetof(struct nvml, shutdown)},
    {"nvmlErrorString", offsetof(struct nvml, error_string)},
    {"nvmlDeviceGetHandleByUUID", offsetof(struct nvml, by_uuid)},
    {"nvmlDeviceGetDeviceHandleFromMigDeviceHandle", offsetof(struct nvml, parent)},
    {"nvmlDeviceGetUUID", offsetof(struct nvml, uuid)},
    {"nvmlDeviceGetGpuInstanceId", offsetof(struct nvml, gi)},
    {"nvmlDeviceGetComputeInstanceId", offsetof(struct nvml, ci)},
};

static void close_library(struct nvml *nvml)
{
    if (nvml->library != NULL)
        dlclose(nvml->library);
}

static int open_library(struct nvml *nvml, const char *path, struct nvl_error *err)
{
    nvml->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (nvml->library == NULL) {
        int r = nvl_error_host(err, -ENOSYS, "cannot open NVML: %s", dlerror());
        nvl_error_hint(err,
                       "install the driver's libnvidia-ml1, or name the MIG device as MIG-GPU-UUID/GI/CI");
        return r;
    }
    for (size_t i = 0; i < NVL_LENGTH(symbols); i++) {
        void *symbol = dlsym(nvml->library, symbols[i].name);
        if (symbol == NULL)
            return nvl_error_host(err, -ENOSYS, "%s has no %s: it is too old for MIG", path, symbols[i].name);
        memcpy((char *)nvml + symbols[i].at, &symbol, sizeof symbol);
    }
    return 0;
}

static int ask(const struct nvml *nvml, const char *uuid, char gpu_uuid[NVL_UUID_MAX], unsigned *gi,
               unsigned *ci, struct nvl_error *err)
{
    device_t mig = NULL, gpu = NULL;
    char text[96] = ""; /* NVML's own buffer size, NVML_DEVICE_UUID_V2_BUFFER_SIZE */
    int result = nvml->by_uuid(uuid, &mig);

    if (result == NOT_FOUND || result == INVALID_ARGUMENT) {
        int r = nvl_error_set(err, -ENOENT, "%s is not on this host", uuid);
        nvl_error_hint(err, "'nvidia-smi -L' on the host lists its MIG devices");
        return r;
    }
    if (result == SUCCESS)
        result = nvml->parent(mig, &gpu);
    if (result == SUCCESS)
        result = nvml->uuid(gpu, text, sizeof text);
    if (result == SUCCESS)
        result = nvml->gi(mig, gi);
    if (result == SUCCESS)
        result = nvml->ci(mig, ci);
    if (result != SUCCESS)
        return nvl_error_set(err, -EIO, "NVML cannot say what %s is: %s", uuid, nvml->error_string(result));
    text[sizeof text - 1] = '\0';
    if (!nvl_is_gpu_uuid(text))
        return nvl_error_set(err, -EIO, "NVML names the GPU of %s '%s', which is no UUID", uuid, text);
    nvl_copy(gpu_uuid, NVL_UUID_MAX, text, strlen(text));
    return 0;
}

int nvl_nvml_find_mig(const char *library, const char *uuid, char gpu_uuid[NVL_UUID_MAX], unsigned *gi,
                      unsigned *ci, struct nvl_error *err)
{
    nvl_auto(close_library) struct nvml nvml = {0};
    int r = open_library(&nvml, library != NULL ? library : "libnvidia-ml.so.1", err);

    if (r < 0)
        return r;
    int result = nvml.init();
    if (result != SUCCESS)
        return nvl_error_host(err, -ENOSYS, "NVML does not start: %s", nvml.error_string(result));
    r = ask(&nvml, uuid, gpu_uuid, gi, ci, err);
    nvml.shutdown();
    return r;
}
