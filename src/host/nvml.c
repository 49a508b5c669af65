/* Asking NVML. The library is the host driver's own; it is opened only for the moment of the question, so
 * that nothing else of nvlxc depends on it being there. */
#include "host/nvml.h"

#include <dlfcn.h>
#include <errno.h>

#include "base/paths.h"
#include "host/nvml_library.h"
#include "host/userspace.h"

static char *find_installed(const struct nvl_host *host)
{
    const char *version = host->driver.version;
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};

    nvl_userspace_read(host->root, &us, NULL); /* none where it fails */
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
    nvl_error_hint(err, "install it (Debian: libnvidia-ml1), or run nvlxc driver sync");
    return -ENOENT;
}

void *nvl_nvml_function(const struct nvl_nvml *nvml, const char *name)
{
    return dlsym(nvml->library, name);
}

int nvl_nvml_start(struct nvl_nvml *nvml, const char *library, struct nvl_error *err)
{
    *nvml = (struct nvl_nvml){.library = dlopen(library, RTLD_NOW | RTLD_LOCAL)};
    if (nvml->library == NULL) {
        nvl_error_host(err, -ENOSYS, "cannot open NVML: %s", dlerror());
        nvl_error_hint(err, "install the driver's libnvidia-ml1");
        return -ENOSYS;
    }
    nvml->init = (int (*)(void))nvl_nvml_function(nvml, "nvmlInit_v2");
    nvml->shutdown = (int (*)(void))nvl_nvml_function(nvml, "nvmlShutdown");
    nvml->error_string = (const char *(*)(int))nvl_nvml_function(nvml, "nvmlErrorString");
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

void nvl_nvml_stop(struct nvl_nvml *nvml)
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

static int find_functions(const struct nvl_nvml *nvml, struct mig_functions *f, struct nvl_error *err)
{
    for (size_t i = 0; i < NVL_LENGTH(mig_symbols); i++) {
        void *symbol = nvl_nvml_function(nvml, mig_symbols[i].name);
        if (symbol == NULL)
            return nvl_error_host(err, -ENOSYS, "NVML has no %s: it is too old for MIG", mig_symbols[i].name);
        memcpy((char *)f + mig_symbols[i].at, &symbol, sizeof symbol);
    }
    return 0;
}

static int ask(const struct nvl_nvml *nvml, const char *uuid, char gpu_uuid[NVL_UUID_MAX], unsigned *gi,
               unsigned *ci, struct nvl_error *err)
{
    struct mig_functions f;
    nvl_nvml_device mig = NULL, gpu = NULL;
    char text[96] = ""; /* NVML's own buffer size, NVML_DEVICE_UUID_V2_BUFFER_SIZE */

    int r = find_functions(nvml, &f, err);
    if (r < 0)
        return r;
    int result = f.by_uuid(uuid, &mig);
    if (result == NVL_NVML_NOT_FOUND || result == NVL_NVML_INVALID_ARGUMENT) {
        nvl_error_set(err, -ENOENT, "%s is not on this host", uuid);
        nvl_error_hint(err, "'nvidia-smi -L' on the host lists its MIG devices");
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
    struct nvl_nvml nvml;
    int r = nvl_nvml_start(&nvml, library != NULL ? library : "libnvidia-ml.so.1", err);

    if (r < 0)
        return r;
    r = ask(&nvml, uuid, gpu_uuid, gi, ci, err);
    nvl_nvml_stop(&nvml);
    return r;
}
