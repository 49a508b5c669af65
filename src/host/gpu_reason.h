/* Why a GPU is in its state, in words: the evidence (files and lines), the effect, and the fix. If the cause
 * was not found there is no fix. Everything that tells users about a GPU takes its texts from here. */
#pragma once

#include "host/compat.h"
#include "host/gpu_claims.h"
#include "host/gpu_state.h"
#include "host/host.h"
#include "host/system.h"

/* What it is judged by; borrowed. */
struct nvl_gpu_surroundings {
    const struct nvl_host *host; /* NVL_GPUS_ALL */
    const struct nvl_system *system;
    const struct nvl_modprobe *modprobe;
    const struct nvl_vm_devices *vms;
    const struct nvl_support *support; /* NULL: do not ask whether the driver supports the GPU */
    const char *version;               /* of the driver that is loaded, or would be; "" for none */
    enum nvl_flavour flavour;
};

/* The same, read for a command that has only the host; does not ask whether a driver that is not loaded would
 * fit. An error is the table's (compat_table.h): the rest is read all the same. */
struct nvl_gpu_context {
    struct nvl_system system;
    struct nvl_support support;
    struct nvl_modprobe modprobe;
    struct nvl_vm_devices vms;
    struct nvl_gpu_surroundings surroundings; /* points to these members: do not move the struct */
};
int nvl_gpu_context_read(const struct nvl_host *host, struct nvl_gpu_context *context, struct nvl_error *err);
void nvl_gpu_context_clear(struct nvl_gpu_context *context);

struct nvl_gpu_reason {
    enum nvl_gpu_state state;
    enum nvl_gpu_fit fit;     /* of the driver, if nvidia does not drive it */
    char *what;               /* "is held by nouveau, …", to follow the GPU's name; NULL if all is well */
    char *cause;              /* NULL if `what` is */
    struct nvl_strv evidence; /* lines */
    struct nvl_strv fix;      /* commands or words, one a line; empty if no fix is known */
    struct nvl_claims
        claims; /* of vfio-pci: what gave it the GPU; else the VMs that take it at their start */
};

void nvl_gpu_explain(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                     struct nvl_gpu_reason *reason);
/* The same only for the driver's fit, which may be wrong even if another driver holds the GPU; `fit` is one
 * of those that do not fit. Without a fix: driver/replace.h tells which driver would fit. */
void nvl_gpu_explain_fit(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                         enum nvl_gpu_fit fit, struct nvl_gpu_reason *reason);
void nvl_gpu_reason_clear(struct nvl_gpu_reason *reason);

/* What to say of a host without a GPU on PCI: "this host has no NVIDIA GPU", or that it is a Jetson or
 * another machine with Tegra, whose own driver (nvgpu) has other nodes and libraries; *hint: what to do then,
 * NULL where that depends on who asks. The caller frees the text. */
char *nvl_gpu_absence(const struct nvl_root *root, const char **hint);
/* The same as an error: -ENODEV. The first only for Tegra, else it is 0; the other has the hint `otherwise`
 * where there is none. */
int nvl_gpu_refuse_tegra(const struct nvl_root *root, struct nvl_error *err);
int nvl_gpu_refuse_absence(const struct nvl_root *root, const char *otherwise, struct nvl_error *err);
/* "VM 100 (runs; starts at boot) takes it when it starts: …"; the caller frees. */
char *nvl_vm_claim_text(const struct nvl_claim *claim);
/* The cause and the fix of a GPU that has fallen off the bus. */
extern const char nvl_gpu_lost_cause[], nvl_gpu_lost_fix[];
