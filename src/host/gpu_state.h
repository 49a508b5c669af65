/* What state a GPU is in, in a word and in a sentence: the single answer for the hook, `attach`, `show`,
 * `gpus`, `host`, `doctor` and `verify`. gpu_reason.h, which the hook does not use, tells the cause, with
 * files and lines, and the fix. Pure: everything comes from the nvl_gpu. */
#pragma once

#include "host/gpu.h"

enum nvl_gpu_state {
    NVL_GPU_IS_USABLE,
    NVL_GPU_IS_MIG,        /* in MIG mode: CUDA takes its MIG devices, not the whole */
    NVL_GPU_IS_UNUSED,     /* usable; nothing has used it since the boot, so the driver reports no UUID yet */
    NVL_GPU_IS_SILENT,     /* used since the boot, and still without a UUID: it does not come up */
    NVL_GPU_IS_LOST,       /* fallen off the bus */
    NVL_GPU_IS_EXCLUDED,   /* by the driver's option NVreg_ExcludedGpus */
    NVL_GPU_IS_UNNUMBERED, /* nvidia drives it, but reports no device minor */
    NVL_GPU_IS_LENT,       /* to a virtual machine, by nvlxc: on its way there, there, or on its way back */
    NVL_GPU_IS_HELD,       /* driven by something else */
    NVL_GPU_IS_UNDRIVEN,   /* by nothing */
    NVL_GPU_IS_UNSUPPORTED, /* by nothing, and the installed driver does not support it; only nvl_gpu_explain
                               can tell */
    NVL_GPU_IS_VIRTUAL,     /* a virtual function (SR-IOV): not a physical GPU */
};

enum nvl_gpu_state nvl_gpu_state(const struct nvl_gpu *gpu);
/* "usable", "lost": for JSON; stable. */
const char *nvl_gpu_state_name(enum nvl_gpu_state state);

/* Whether a container can get it: nvidia drives it, as a physical GPU, and has a node for it. That includes
 * lost and silent ones: their fault may pass, and the grant stays. */
bool nvl_gpu_can_be_given(const struct nvl_gpu *gpu);
/* "vfio-pci holds the GPU at 0000:01:00.0, not nvidia": why no container can get it; NULL if one can. The
 * caller frees. */
char *nvl_gpu_why_not(const struct nvl_gpu *gpu);
/* "fallen off the bus": a remark about what a list of GPUs does not show otherwise: lost, silent, excluded,
 * lent, virtual, its virtual functions; NULL for the others. The caller frees. */
char *nvl_gpu_remark(const struct nvl_gpu *gpu);
