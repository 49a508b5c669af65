/* A libnvidia-ml.so.1 for tests: it knows one MIG device. STUB_NVML_INIT makes nvmlInit_v2 fail with that
 * number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef const char *device_t;

int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int result);
int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *device);
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device_t mig, device_t *device);
int nvmlDeviceGetUUID(device_t device, char *uuid, unsigned length);
int nvmlDeviceGetGpuInstanceId(device_t device, unsigned *id);
int nvmlDeviceGetComputeInstanceId(device_t device, unsigned *id);

static const char mig_device[] = "MIG-11111111-2222-3333-4444-555555555555";
static const char gpu_device[] = "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689";
static int running;

int nvmlInit_v2(void)
{
    const char *failure = getenv("STUB_NVML_INIT");

    if (failure != NULL)
        return atoi(failure);
    running++;
    return 0;
}

int nvmlShutdown(void)
{
    running--;
    return 0;
}

const char *nvmlErrorString(int result)
{
    return result == 18 ? "Driver/library version mismatch" : "Some error";
}

int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *device)
{
    if (running != 1)
        return 1;
    if (strcmp(uuid, gpu_device) == 0)
        *device = gpu_device;
    else if (strcmp(uuid, mig_device) == 0)
        *device = mig_device;
    else
        return 6;
    return 0;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device_t mig, device_t *device)
{
    *device = gpu_device;
    return mig == mig_device ? 0 : 2;
}

int nvmlDeviceGetUUID(device_t device, char *uuid, unsigned length)
{
    snprintf(uuid, length, "%s", device);
    return 0;
}

int nvmlDeviceGetGpuInstanceId(device_t device, unsigned *id)
{
    *id = 7;
    return device == mig_device ? 0 : 2;
}

int nvmlDeviceGetComputeInstanceId(device_t device, unsigned *id)
{
    *id = 2;
    return device == mig_device ? 0 : 2;
}
