# Who uses the GPUs of a fixture host, for the command tests: an NVML of the test's own that has processes, and the fixture's
# /proc, which has their cgroups. $host is the fixture's folder.
# shellcheck shell=bash disable=SC2154

# program PID CGROUP COMM
program() {
    mkdir -p "$host/proc/$1"
    printf '0::%s\n' "$2" > "$host/proc/$1/cgroup"
    printf '%s\n' "$3" > "$host/proc/$1/comm"
}

# nvml UUID TEXT: the loaded version's, with one GPU of that UUID and the processes of TEXT (C initialisers).
nvml() {
    local lib64
    lib64=$host/var/lib/nvlxc/driver/$(grep -Eom1 '[0-9]+\.[0-9.]+' "$host/proc/driver/nvidia/version")/lib64
    mkdir -p "$lib64"
    rm -f "$lib64/libnvidia-ml.so.1"
    {
        printf '#define UUID "%s"\nstruct info { unsigned pid; unsigned long long memory; unsigned gi, ci; };\n' "$1"
        printf 'static const struct info compute[] = {%s {0}};\n' "$2"
        cat <<'C'
#include <stdlib.h>
#include <string.h>
int nvmlInit_v2(void) { const char *r = getenv("NVML_INIT"); return r ? atoi(r) : 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int r) { return r == 18 ? "Driver/library version mismatch" : "some error"; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = (void *)8; return i == 0 ? 0 : 2; }
int nvmlDeviceGetUUID(void *d, char *uuid, unsigned len) { (void)d; strncpy(uuid, UUID, len); return 0; }
int LIST(void *d, unsigned *n, struct info *infos)
{
    unsigned have = sizeof compute / sizeof *compute - 1, room = *n;
    (void)d;
    *n = have;
    if (room < have)
        return 7;
    memcpy(infos, compute, have * sizeof *infos);
    return 0;
}
#ifdef GRAPHICS
int GRAPHICS(void *d, unsigned *n, struct info *infos)
{
    (void)d;
    infos[0] = (struct info){77, 5ull << 20, 0xffffffff, 0xffffffff};
    *n = 1;
    return 0;
}
#endif
#ifdef READINGS /* of a GPU that has all; with BARE one that lacks some sensors; with WILD one that says nonsense */
#include <unistd.h>
#ifdef WILD
#define SAY(value, wild) ((wild))
#else
#define SAY(value, wild) ((value))
#endif
#ifdef BARE
#define LACKS 3
#else
#define LACKS 0
#endif
int nvmlDeviceGetMemoryInfo(void *d, unsigned long long *m)
{
    (void)d;
    m[0] = 16384ull << 20;
    m[1] = 10384ull << 20;
    m[2] = SAY(6000ull << 20, -1ull);
#ifdef UNIFIED /* GB10 has no memory of its own */
    return 3;
#endif
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *d, unsigned *u) { (void)d; u[0] = SAY(37, 101); u[1] = SAY(5, -1u); return 0; }
int nvmlDeviceGetEncoderUtilization(void *d, unsigned *u, unsigned *p) { (void)d; *u = SAY(100, 300); *p = 1; return 0; }
int nvmlDeviceGetDecoderUtilization(void *d, unsigned *u, unsigned *p) { (void)d; *u = SAY(0, -1u); *p = 1; return LACKS; }
int nvmlDeviceGetPowerUsage(void *d, unsigned *mw)
{
    (void)d;
#ifdef HANGS
    for (;;)
        pause();
#endif
    *mw = SAY(25043, -1u);
    return 0;
}
#include <sys/time.h>
struct use_sample { unsigned pid; unsigned long long time; unsigned use[4]; };
/* in pairs of samples: of process 100 an old and a new one, of another one nothing */
int nvmlDeviceGetProcessUtilization(void *d, struct use_sample *s, unsigned *n, unsigned long long since)
{
    struct timeval now;
    gettimeofday(&now, 0);
    (void)d;
    if (LACKS || since < (now.tv_sec - 3600) * 1000000ull)
        return 3;
    if (*n < 20) {
        *n = 20;
        return 7;
    }
    *n = 2;
    for (unsigned i = 0; i < 2; i++)
        s[i].pid = 100, s[i].time = now.tv_sec * 1000000ull - (i == 0 ? 0 : 1000000), s[i].use[0] = SAY(i == 0 ? 42 : 7, 101);
    return 0;
}
int nvmlDeviceGetEnforcedPowerLimit(void *d, unsigned *mw) { (void)d; *mw = SAY(80000, -1u); return LACKS; }
int nvmlDeviceGetTemperature(void *d, int sensor, unsigned *t) { (void)d; *t = SAY(45, -4u); return sensor ? 2 : 0; }
int nvmlDeviceGetClockInfo(void *d, int c, unsigned *mhz) { (void)d; *mhz = SAY(c == 1 ? 1695 : 8001, -1u); return c == 1 || c == 2 ? 0 : 2; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *d, unsigned long long *m) { (void)d; *m = SAY(0x1000000024ull, -1ull); return LACKS; }
int nvmlDeviceGetTotalEccErrors(void *d, int kind, int counter, unsigned long long *n) { (void)d; *n = SAY(kind ? 1 : 12, -1ull); return counter ? 2 : LACKS; }
#endif
C
    } > "$BATS_TEST_TMPDIR/ml.c"
    cc -shared -fPIC "${@:3}" -o "$lib64/libnvidia-ml.so.1" "$BATS_TEST_TMPDIR/ml.c"
}
# the names of the newest NVML
# shellcheck disable=SC2034 # for who sources this
V3=(-DLIST=nvmlDeviceGetComputeRunningProcesses_v3 -DGRAPHICS=nvmlDeviceGetGraphicsRunningProcesses_v3)
