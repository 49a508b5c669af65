/* NVML's answers. The library's functions are here, in the program, and give the input's bytes. */
#include "fuzz.h"

#include "host/nvml.h"

/* dlopen takes "" for the program itself. */
#define ITSELF ""

static struct fuzz_input answers;

/* Bytes of the input; what is missing is zero. */
static void give(void *to, size_t size)
{
    size_t n = size < answers.len ? size : answers.len;

    memset(to, 0, size);
    memcpy(to, answers.data, n);
    answers.data += n;
    answers.len -= n;
}

/* Mostly success: a byte that says otherwise is a result. */
static int result(void)
{
    unsigned char byte;

    give(&byte, 1);
    return byte < 200 ? 0 : byte - 200;
}

int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int r);
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device);
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *mig, void **device);
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length);
int nvmlDeviceGetGpuInstanceId(void *device, unsigned *id);
int nvmlDeviceGetComputeInstanceId(void *device, unsigned *id);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, void *infos);
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, void *infos);

int nvmlInit_v2(void)
{
    return result();
}

int nvmlShutdown(void)
{
    return 0;
}

const char *nvmlErrorString(int r)
{
    return r == 3 ? "Not Supported" : "Unknown Error";
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    *device = &answers;
    return uuid[0] == 'M' ? result() : 2;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *mig, void **device)
{
    *device = mig;
    return result();
}

/* Without a NUL at its end, as no version does. */
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length)
{
    CHECK(device == &answers);
    give(uuid, length);
    return result();
}

int nvmlDeviceGetGpuInstanceId(void *device, unsigned *id)
{
    CHECK(device == &answers);
    give(id, sizeof *id);
    return result();
}

int nvmlDeviceGetComputeInstanceId(void *device, unsigned *id)
{
    return nvmlDeviceGetGpuInstanceId(device, id);
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    unsigned char byte;

    give(&byte, 1);
    *count = byte;
    return result();
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    CHECK(index < 256);
    *device = &answers;
    return result();
}

/* As many as fit; the number may be another. */
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, void *infos)
{
    unsigned short many;

    CHECK(device == &answers);
    give(infos, *count * 24);
    give(&many, sizeof many);
    *count = many;
    return result();
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, void *infos)
{
    return nvmlDeviceGetComputeRunningProcesses_v3(device, count, infos);
}

void fuzz_one(const char *data, size_t len)
{
    nvl_auto(nvl_gpu_processes_clear) struct nvl_gpu_processes processes = {0};
    char uuid[NVL_UUID_MAX];
    unsigned gi, ci;

    answers = (struct fuzz_input){data, len};
    if (nvl_nvml_find_mig(ITSELF, "MIG-11111111-2222-3333-4444-555555555555", uuid, &gi, &ci, NULL) == 0)
        CHECK(nvl_is_gpu_uuid(uuid));
    answers = (struct fuzz_input){data, len};
    if (nvl_nvml_processes(ITSELF, &processes, NULL, NULL) == 0)
        for (size_t i = 0; i < processes.count; i++)
            CHECK(strnlen(processes.items[i].uuid, NVL_UUID_MAX) < NVL_UUID_MAX);
}
