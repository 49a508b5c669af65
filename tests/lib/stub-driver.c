/* A driver of our own for tests: libcuda or libnvidia-ml with one small device in them, or a library for
 * /etc/ld.so.preload that opens the driver's nodes where there is no driver. Compiled with STUB_CUDA,
 * STUB_ML, STUB_VIDEO, STUB_OPENCL or STUB_OPEN; see stub-driver.bash. What shall go wrong stands in
 * /etc/stub-driver, "WHAT NUMBER" a line. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The number of a line of the file, or `otherwise`. */
__attribute__((unused)) static long setting(const char *what, long otherwise)
{
    char name[64];
    long value;
    FILE *file = fopen("/etc/stub-driver", "re");

    while (file != NULL && fscanf(file, "%63s %ld", name, &value) == 2)
        if (strcmp(name, what) == 0) {
            fclose(file);
            return value;
        }
    if (file != NULL)
        fclose(file);
    return otherwise;
}

/* The error that a call shall give; a crash for -1, no end for -2, ten million lines for -3. */
__attribute__((unused)) static int outcome(const char *call)
{
    long code = setting(call, 0);

    if (code == -1)
        *(volatile int *)NULL = 1;
    while (code == -2)
        pause();
    for (int i = 0; code == -3 && i < 10000000; i++)
        puts("nvlxc\tcuda.init\t0\tnot so fast");
    return (int)code;
}

#ifdef STUB_OPEN
static int open_stub(const char *path, int flags, mode_t mode)
{
    /* where the node is there */
    if (strncmp(path, "/dev/nvidia", 11) == 0 && access(path, F_OK) == 0)
        path = "/dev/null";
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;

    va_start(ap, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_stub(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
#endif

#ifdef STUB_ML
struct process {
    unsigned pid;
    unsigned long long memory;
    unsigned gi, ci;
};

/* On the first GPU each program that is called nvlxc-spin, with 3 MiB. */
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *processes)
{
    unsigned n = 0;
    DIR *proc = opendir("/proc");

    for (struct dirent *d = readdir(proc); d != NULL && (uintptr_t)device == 1; d = readdir(proc)) {
        char path[300], comm[32] = "";
        snprintf(path, sizeof path, "/proc/%s/comm", d->d_name);
        FILE *file = atoi(d->d_name) > 0 ? fopen(path, "re") : NULL;
        if (file == NULL)
            continue;
        if (fscanf(file, "%31s", comm) == 1 && strcmp(comm, "nvlxc-spin") == 0 && n < *count)
            processes[n++] = (struct process){(unsigned)atoi(d->d_name), 3u << 20, ~0u, ~0u};
        fclose(file);
    }
    closedir(proc);
    *count = n;
    return 0;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, struct process *processes)
{
    (void)device;
    (void)processes;
    *count = 0;
    return 0;
}
int nvmlInit_v2(void)
{
    return outcome("nvmlInit");
}
int nvmlShutdown(void)
{
    return 0;
}
const char *nvmlErrorString(int code)
{
    return code == 18 ? "Driver/library version mismatch" : "an error of the stub";
}
int nvmlSystemGetDriverVersion(char *text, unsigned size)
{
    snprintf(text, size, "550.163.01");
    return 0;
}
int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = (unsigned)setting("devices", 1);
    return outcome("nvmlDeviceGetCount");
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = (void *)(uintptr_t)(index + 1);
    return outcome("nvmlDeviceGetHandleByIndex");
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned size)
{
    snprintf(text, size, "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c68%u", 10 - (unsigned)(uintptr_t)device);
    return 0;
}
int nvmlDeviceGetName(void *device, char *text, unsigned size)
{
    snprintf(text, size, "Stub GPU %u", (unsigned)(uintptr_t)device - 1);
    return 0;
}
#endif

#ifdef STUB_VIDEO
int NvEncodeAPICreateInstance(void *list)
{
    return list != NULL;
}
int NvEncodeAPIGetMaxSupportedVersion(uint32_t *version)
{
    *version = 12 << 4 | 2;
    return outcome("nvenc");
}
int cuvidCreateDecoder(void *decoder, void *info)
{
    return decoder != info;
}
#endif

#ifdef STUB_OPENCL
void *clGetExtensionFunctionAddress(const char *name)
{
    return name != NULL ? (void *)clGetExtensionFunctionAddress : NULL;
}
#endif

#ifdef STUB_CUDA
static char program[8192];

/* How long a call takes, in microseconds, where the file says so: "slow-cuInit 20000". */
static int timed(const char *call)
{
    char what[64];

    snprintf(what, sizeof what, "slow-%s", call);
    long us = setting(what, 0);
    const struct timespec pause = {us / 1000000, us % 1000000 * 1000};
    if (us > 0)
        nanosleep(&pause, NULL);
    return outcome(call);
}

/* Without the driver's nodes there is no device. */
int cuInit(unsigned flags)
{
    if (access("/dev/nvidiactl", F_OK) != 0)
        return 100;
    return flags != 0 ? 1 : timed("cuInit");
}

/* The UUID that CUDA_VISIBLE_DEVICES names, since only that GPU would be shown; another one for a driver that
 * does not heed it. */
int cuDeviceGetUuid(unsigned char uuid[16], int device)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");

    memset(uuid, device == 100 ? 0x55 : 0x66, 16);
    if (visible == NULL || strncmp(visible, "GPU-", 4) != 0 || setting("other-gpu", 0) != 0)
        return 0;
    visible += 4;
    for (int i = 0; i < 16 && *visible != '\0'; i++, visible += 2) {
        unsigned byte;
        visible += *visible == '-';
        if (sscanf(visible, "%2x", &byte) == 1)
            uuid[i] = (unsigned char)byte;
    }
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = attribute == 16 && device >= 100 ? 4 : 0;
    return outcome("cuDeviceGetAttribute");
}
int cuMemAllocHost_v2(void **address, size_t bytes)
{
    *address = malloc(bytes);
    return outcome("cuMemAllocHost");
}
int cuMemFreeHost(void *address)
{
    free(address);
    return 0;
}
/* Small parts stand for the whole: what is measured is what the file says. */
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes)
{
    memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes < 4096 ? bytes : 4096);
    return timed("cuMemcpyDtoD");
}
int cuDriverGetVersion(int *version)
{
    *version = 12040;
    return 0;
}
int cuDeviceGetCount(int *count)
{
    *count = (int)setting("devices", 1);
    return outcome("cuDeviceGetCount");
}
int cuDeviceGet(int *device, int ordinal)
{
    *device = 100 + ordinal;
    return outcome("cuDeviceGet");
}
int cuDeviceGetName(char *name, int size, int device)
{
    /* what a hostile library would print */
    if (setting("hostile", 0) != 0)
        snprintf(name, (size_t)size,
                 "\033[2J\033]0;owned\007\xc2\x9b"
                 "31m\xff%d",
                 device);
    else
        snprintf(name, (size_t)size, "Stub GPU %d", device - 100);
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    *bytes = device >= 100 ? (size_t)16 << 30 : 0;
    return 0;
}
int cuCtxCreate_v2(void **context, unsigned flags, int device)
{
    *context = (void *)(uintptr_t)(device + (int)flags);
    return device == 101 && setting("second", 0) != 0 ? (int)setting("second", 0) : outcome("cuCtxCreate");
}
int cuCtxDestroy_v2(void *context)
{
    return context == NULL;
}
int cuCtxSynchronize(void)
{
    return outcome("cuCtxSynchronize");
}
int cuMemAlloc_v2(uint64_t *address, size_t bytes)
{
    *address = (uint64_t)(uintptr_t)malloc(bytes);
    return outcome("cuMemAlloc");
}
int cuMemFree_v2(uint64_t address)
{
    free((void *)(uintptr_t)address);
    return 0;
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes)
{
    memcpy((void *)(uintptr_t)to, from, bytes);
    return timed("cuMemcpyHtoD");
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes)
{
    memcpy(to, (void *)(uintptr_t)from, bytes);
    if (setting("broken-memory", 0) != 0)
        ((unsigned char *)to)[bytes / 2] ^= 4;
    return timed("cuMemcpyDtoH");
}
int cuModuleLoadData(void **module, const void *image)
{
    snprintf(program, sizeof program, "%s", (const char *)image);
    *module = program;
    return outcome("cuModuleLoadData");
}
int cuModuleGetFunction(void **function, void *module, const char *name)
{
    char entry[64];

    snprintf(entry, sizeof entry, ".visible .entry %s(", name);
    *function = strstr(module, entry);
    return *function != NULL ? 0 : 500;
}
/* Sixteen for each thread: what eight chains that end at two come to. */
static int launch_sums(unsigned threads, float *sums, unsigned steps)
{
    float sum = steps >= 32 && setting("broken-kernel", 0) == 0 ? 16 : 15;

    for (unsigned i = 0; i < threads; i++)
        sums[i] = sum;
    return timed("compute");
}
/* Does what the program says: of one that multiplies each word by a number and xors its index. */
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared, void *stream, void **parameters, void **extra)
{
    if (strncmp(function, ".visible .entry nothing(", 24) == 0)
        return timed("nothing");
    if (strncmp(function, ".visible .entry compute(", 24) == 0)
        return launch_sums(gx * bx, *(float **)parameters[0], *(unsigned *)parameters[1]);
    uint32_t *words = *(uint32_t **)parameters[0], count = *(uint32_t *)parameters[1], factor = 1;
    const char *multiply = strstr(function, "mul.lo.u32 %word, %word, ");
    int has_xor = strstr(function, "xor.b32 %word, %word, %index;") != NULL;

    if (gy * gz * by * bz != 1 || shared != 0 || stream != NULL || extra != NULL || gx * bx < count)
        return 1;
    if (multiply != NULL)
        factor = (uint32_t)strtoul(multiply + strlen("mul.lo.u32 %word, %word, "), NULL, 10);
    for (uint32_t i = 0; i < count; i++)
        words[i] = (words[i] * factor) ^ (has_xor ? i : 0);
    if (setting("broken-kernel", 0) != 0)
        words[count - 1]++;
    return outcome("cuLaunchKernel");
}
int cuGetErrorName(int code, const char **text)
{
    *text = code == 999 ? "CUDA_ERROR_UNKNOWN" : NULL;
    return *text != NULL ? 0 : 1;
}
int cuGetErrorString(int code, const char **text)
{
    *text = code == 999 ? "unknown error" : NULL;
    return *text != NULL ? 0 : 1;
}
#endif
