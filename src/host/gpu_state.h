/* What state a GPU is in, in a word and in a sentence: the one answer of the hook, `attach`, `show`, `gpus`,
 * `host`, `doctor` and `verify`. Why it came to be so, with files and lines, and what mends it, is told by
 * gpu_reason.h, which the hook does without. Pure: all is taken from the nvl_gpu. */
#pragma once

#include "host/gpu.h"

enum nvl_gpu_state {
    NVL_GPU_IS_USABLE,
    NVL_GPU_IS_MIG,         /* in MIG mode: CUDA takes its MIG devices, not the whole */
    NVL_GPU_IS_UNUSED,      /* usable; nothing has used it since the boot, so the driver says no UUID yet */
    NVL_GPU_IS_SILENT,      /* used since the boot, and still without a UUID: it does not come up */
    NVL_GPU_IS_LOST,        /* fallen off the bus */
    NVL_GPU_IS_EXCLUDED,    /* by the driver's option NVreg_ExcludedGpus */
    NVL_GPU_IS_UNNUMBERED,  /* nvidia drives it, and gives no device minor */
    NVL_GPU_IS_HELD,        /* driven by something else */
    NVL_GPU_IS_UNDRIVEN,    /* by nothing */
    NVL_GPU_IS_UNSUPPORTED, /* by nothing, and the driver here is not one for it; nvl_gpu_explain alone says
                               it */
    NVL_GPU_IS_VIRTUAL,     /* a virtual function (SR-IOV): no GPU of its own */
};

enum nvl_gpu_state nvl_gpu_state(const struct nvl_gpu *gpu);
/* "usable", "lost": for JSON; stable. */
const char *nvl_gpu_state_name(enum nvl_gpu_state state);

/* Whether a container can be given it: nvidia drives it, as a GPU of its own, and gives it a node. One that
 * is lost or silent is among them: what is wrong with it passes, and its grant stays. */
bool nvl_gpu_can_be_given(const struct nvl_gpu *gpu);
/* "vfio-pci holds the GPU at 0000:01:00.0, not nvidia": why it cannot be given; NULL where it can. The caller
 * frees. */
char *nvl_gpu_why_not(const struct nvl_gpu *gpu);
/* "fallen off the bus": a remark on what a list of GPUs does not show otherwise: lost, silent, excluded,
 * virtual; NULL for the others. The caller frees. */
char *nvl_gpu_remark(const struct nvl_gpu *gpu);
