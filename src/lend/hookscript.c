/* What the hookscript does, at the start and the end of a virtual machine. */
#include "lend/hookscript.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "base/locks.h"
#include "base/paths.h"
#include "base/root.h"
#include "base/run.h"
#include "host/gpu_claims.h"
#include "host/system.h"
#include "host/virtual_machines.h"
#include "lend/back.h"
#include "lend/lend.h"

#define WATCHER_SECONDS 30  /* for systemd to start it */
#define WATCH_SECONDS   900 /* a VM with much memory takes minutes until it runs */
#define LOOK_SECONDS    5

void nvl_vm_gpus(const struct nvl_host *host, const char *vm, struct nvl_strv *pcis)
{
    nvl_auto(nvl_vm_devices_clear) struct nvl_vm_devices devices = {0};

    nvl_vm_devices_read(host->root, &devices);
    for (size_t d = 0; d < devices.count; d++)
        for (size_t g = 0; g < host->gpus.count; g++)
            if (strcmp(devices.items[d].vm, vm) == 0 && !devices.items[d].goes &&
                nvl_vm_device_is(&devices.items[d], host->gpus.items[g].pci))
                nvl_strv_push_once(pcis, host->gpus.items[g].pci);
}

static void say_steps(const struct nvl_handover *handover, const char *what, struct nvl_strv *said)
{
    if (handover->gpu != NULL)
        nvl_strv_pushf(said, "nvlxc: %s %s", handover->gpu, what);
    for (size_t i = 0; i < handover->n_steps; i++)
        nvl_strv_pushf(said, "nvlxc:   %s", handover->steps[i].what);
    for (size_t i = 0; i < handover->problems.count; i++)
        nvl_strv_pushf(said, "nvlxc: warning: %s", handover->problems.items[i]);
}

static int bring_back(const struct nvl_root *root, const char *pci, struct nvl_strv *said,
                      struct nvl_error *err)
{
    nvl_auto(nvl_handover_clear) struct nvl_handover handover = {0};
    const struct nvl_handover_request request = {.root = root, .gpu = pci};

    int r = nvl_back(&request, &handover, err);
    say_steps(&handover, r == 0 ? "is back" : "is not back", said);
    return r;
}

/* What a VM's start would do later, whatever happens to it. */
static void start_watcher(const char *vm)
{
    nvl_autofree char *unit = nvl_xasprintf("--unit=nvlxc-lent-%s", vm);
    const char *const argv[] = {"systemd-run", "--quiet",    "--collect", unit, NVL_PROGRAM, "--quiet",
                                "gpu",         "hookscript", "run",       vm,   "watch",     NULL};
    char text[256];

    /* one that runs already watches, too */
    nvl_tool_run(argv, WATCHER_SECONDS, text, sizeof text);
}

static int lend_all(const struct nvl_root *root, const char *vm, const struct nvl_strv *pcis, bool stop,
                    struct nvl_strv *said, struct nvl_error *err)
{
    for (size_t i = 0; i < pcis->count; i++) {
        nvl_auto(nvl_handover_clear) struct nvl_handover handover = {0};
        const struct nvl_handover_request request = {
            .root = root, .gpu = pcis->items[i], .vm = vm, .stop = stop};
        int r = nvl_lend(&request, &handover, err);
        say_steps(&handover, r == 0 ? "is lent" : "is not lent", said);
        if (r == 0)
            continue;
        while (i-- > 0)
            bring_back(root, pcis->items[i], said, NULL);
        return r;
    }
    return 0;
}

static void find_lent_to(const struct nvl_host *host, const char *vm, struct nvl_strv *pcis)
{
    for (size_t i = 0; i < host->gpus.count; i++)
        if (host->gpus.items[i].is_lent && strcmp(host->gpus.items[i].lent_to, vm) == 0)
            nvl_strv_push(pcis, host->gpus.items[i].pci);
}

/* Those that Proxmox VE took for it, as it does for a VM that was running when the hookscript came. What the
 * host's configuration keeps for virtual machines stays theirs. */
static void find_taken_for(const struct nvl_host *host, const char *vm, struct nvl_strv *pcis)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv named = {0};
    nvl_auto(nvl_modprobe_clear) struct nvl_modprobe modprobe = {0};

    nvl_vm_gpus(host, vm, &named);
    if (named.count > 0)
        nvl_modprobe_read(host->root, &modprobe);
    for (size_t i = 0; i < named.count; i++) {
        nvl_auto(nvl_claims_clear) struct nvl_claims claims = {0};
        const struct nvl_gpu *gpu = nvl_gpu_by_pci(&host->gpus, named.items[i]);
        if (gpu->is_lent || gpu->driver != NVL_GPU_VFIO)
            continue;
        nvl_module_claims_read(host->root, &modprobe, gpu, "vfio-pci", &claims);
        if (claims.count == 0)
            nvl_strv_push(pcis, gpu->pci);
    }
}

static int bring_all_back(const struct nvl_root *root, const char *vm, struct nvl_strv *said,
                          struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv lent = {0}, taken = {0};

    int r = nvl_host_read(&host, root, NVL_GPUS_ALL, err);
    if (r < 0)
        return r;
    find_lent_to(&host, vm, &lent);
    find_taken_for(&host, vm, &taken);
    for (size_t i = 0; i < lent.count; i++) {
        int one = bring_back(root, lent.items[i], said, r == 0 ? err : NULL);
        r = r == 0 ? one : r;
    }
    for (size_t i = 0; i < taken.count; i++) {
        int one = bring_back(root, taken.items[i], said, r == 0 ? err : NULL);
        r = r == 0 && one != -EBUSY ? one : r; /* another VM may have it now */
    }
    return r;
}

/* `qm start` holds the VM's lock until the VM runs or its start has failed. */
static bool is_starting(const struct nvl_root *root, const char *vm)
{
    nvl_autofree char *path = nvl_xasprintf("/run/lock/qemu-server/lock-%s.conf", vm);
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);

    return fd >= 0 && nvl_lock_holder(fd) > 0;
}

static bool does_run(const struct nvl_root *root, const char *vm)
{
    nvl_autofree char *pid_file = nvl_xasprintf("/run/qemu-server/%s.pid", vm);

    return nvl_pid_file_holds(root, pid_file, "kvm");
}

/* Between two looks a start may have begun anew. */
static int watch_start(const struct nvl_root *root, const char *vm, struct nvl_strv *said,
                       struct nvl_error *err)
{
    const struct timespec pause = {LOOK_SECONDS, 0};
    int n_idle = 0;

    for (int i = 0; i < WATCH_SECONDS / LOOK_SECONDS && n_idle < 2; i++) {
        nanosleep(&pause, NULL);
        if (does_run(root, vm))
            return 0;
        n_idle = is_starting(root, vm) ? 0 : n_idle + 1;
    }
    return n_idle == 2 ? bring_all_back(root, vm, said, err) : 0;
}

static int lend_for_start(const struct nvl_root *root, const char *vm, bool stop, struct nvl_strv *said,
                          struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv pcis = {0};

    int r = nvl_host_read(&host, root, NVL_GPUS_ALL, err);
    if (r < 0)
        return r;
    nvl_vm_gpus(&host, vm, &pcis);
    r = lend_all(root, vm, &pcis, stop, said, err);
    if (r == 0 && pcis.count > 0)
        start_watcher(vm);
    return r;
}

int nvl_hookscript_run(const struct nvl_root *root, const char *vm, const char *phase, bool stop,
                       struct nvl_strv *said, struct nvl_error *err)
{
    if (strcmp(phase, "pre-start") == 0)
        return lend_for_start(root, vm, stop, said, err);
    if (strcmp(phase, "post-stop") == 0)
        return bring_all_back(root, vm, said, err);
    if (strcmp(phase, "watch") == 0)
        return watch_start(root, vm, said, err);
    return 0;
}
