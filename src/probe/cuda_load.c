/* Loads libcuda, and reports the results of its calls. */
#include "probe/cuda.h"
#include "probe/probe.h"

#include <dlfcn.h>

struct cuda cu;

static const struct {
    const char *name;
    void *function; /* the address of the pointer in cu */
} names[] = {
    {"cuInit", &cu.init},
    {"cuDriverGetVersion", &cu.driver_version},
    {"cuDeviceGetCount", &cu.device_count},
    {"cuDeviceGet", &cu.device},
    {"cuDeviceGetName", &cu.device_name},
    {"cuDeviceTotalMem_v2", &cu.device_memory},
    {"cuDeviceGetAttribute", &cu.device_attribute},
    {"cuCtxCreate_v2", &cu.context_create},
    {"cuCtxDestroy_v2", &cu.context_destroy},
    {"cuCtxSynchronize", &cu.synchronize},
    {"cuMemAlloc_v2", &cu.alloc},
    {"cuMemFree_v2", &cu.release},
    {"cuMemAllocHost_v2", &cu.alloc_pinned},
    {"cuMemFreeHost", &cu.release_pinned},
    {"cuMemcpyHtoD_v2", &cu.to_device},
    {"cuMemcpyDtoH_v2", &cu.from_device},
    {"cuMemcpyDtoD_v2", &cu.on_device},
    {"cuModuleLoadData", &cu.module_load},
    {"cuModuleGetFunction", &cu.function},
    {"cuLaunchKernel", &cu.launch},
};

static int take_functions(void *library)
{
    /* the newer one tells a MIG device from its GPU */
    void *uuid = dlsym(library, "cuDeviceGetUuid_v2");
    *(void **)&cu.device_uuid = uuid != NULL ? uuid : dlsym(library, "cuDeviceGetUuid");
    cu.error_name = (int (*)(int, const char **))dlsym(library, "cuGetErrorName");
    cu.error_string = (int (*)(int, const char **))dlsym(library, "cuGetErrorString");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *address = dlsym(library, names[i].name);
        if (address == NULL) {
            say("cuda.function", 1, "%s", names[i].name);
            return 0;
        }
        *(void **)names[i].function = address;
    }
    return 1;
}

int cuda_went(const char *what, const char *call, int code)
{
    const char *name = NULL, *text = NULL;

    if (code == 0) {
        say(what, 0, "%s", call);
        return 1;
    }
    if (cu.error_name != NULL && cu.error_name(code, &name) != 0)
        name = NULL;
    if (cu.error_string != NULL && cu.error_string(code, &text) != 0)
        text = NULL;
    say(what, code, "%s %s%s%s", call, name != NULL ? name : "", text != NULL ? ": " : "",
        text != NULL ? text : "");
    return 0;
}

int cuda_load(void)
{
    void *library = load("libcuda.so.1", "cuInit");

    return library != NULL && take_functions(library);
}
