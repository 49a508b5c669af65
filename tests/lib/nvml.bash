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
C
    } > "$BATS_TEST_TMPDIR/ml.c"
    cc -shared -fPIC "${@:3}" -o "$lib64/libnvidia-ml.so.1" "$BATS_TEST_TMPDIR/ml.c"
}
# the names of the newest NVML
# shellcheck disable=SC2034 # for who sources this
V3=(-DLIST=nvmlDeviceGetComputeRunningProcesses_v3 -DGRAPHICS=nvmlDeviceGetGraphicsRunningProcesses_v3)
