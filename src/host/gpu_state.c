/* Derives a GPU's state from what was read of it. */
#include "host/gpu_state.h"

#include "base/alloc.h"

static enum nvl_gpu_state state_of_driven(const struct nvl_gpu *gpu)
{
    if (gpu->is_lost)
        return NVL_GPU_IS_LOST;
    if (gpu->excluded)
        return NVL_GPU_IS_EXCLUDED;
    if (gpu->minor < 0)
        return NVL_GPU_IS_UNNUMBERED;
    if (gpu->uuid[0] == '\0')
        return gpu->was_used ? NVL_GPU_IS_SILENT : NVL_GPU_IS_UNUSED;
    return gpu->mig_enabled ? NVL_GPU_IS_MIG : NVL_GPU_IS_USABLE;
}

enum nvl_gpu_state nvl_gpu_state(const struct nvl_gpu *gpu)
{
    if (gpu->physical[0] != '\0')
        return NVL_GPU_IS_VIRTUAL;
    if (gpu->is_lent)
        return NVL_GPU_IS_LENT;
    if (gpu->driver == NVL_GPU_NVIDIA)
        return state_of_driven(gpu);
    if (gpu->driver == NVL_GPU_NO_DRIVER)
        return gpu->is_lost ? NVL_GPU_IS_LOST : NVL_GPU_IS_UNDRIVEN;
    return NVL_GPU_IS_HELD;
}

const char *nvl_gpu_state_name(enum nvl_gpu_state state)
{
    static const char *const names[] = {[NVL_GPU_IS_USABLE] = "usable",
                                        [NVL_GPU_IS_MIG] = "mig",
                                        [NVL_GPU_IS_UNUSED] = "unused",
                                        [NVL_GPU_IS_SILENT] = "silent",
                                        [NVL_GPU_IS_LOST] = "lost",
                                        [NVL_GPU_IS_EXCLUDED] = "excluded",
                                        [NVL_GPU_IS_UNNUMBERED] = "unnumbered",
                                        [NVL_GPU_IS_LENT] = "lent",
                                        [NVL_GPU_IS_HELD] = "held",
                                        [NVL_GPU_IS_UNDRIVEN] = "undriven",
                                        [NVL_GPU_IS_UNSUPPORTED] = "unsupported",
                                        [NVL_GPU_IS_VIRTUAL] = "virtual-function"};

    return names[state];
}

bool nvl_gpu_can_be_given(const struct nvl_gpu *gpu)
{
    return gpu->driver == NVL_GPU_NVIDIA && gpu->physical[0] == '\0' && gpu->minor >= 0 && !gpu->excluded &&
           !gpu->is_lent;
}

char *nvl_gpu_why_not(const struct nvl_gpu *gpu)
{
    if (nvl_gpu_can_be_given(gpu))
        return NULL;
    if (gpu->physical[0] != '\0')
        return nvl_xasprintf("%s is a virtual function of the GPU at %s, not a GPU of its own", gpu->pci,
                             gpu->physical);
    if (gpu->is_lent)
        return nvl_xasprintf(gpu->lent_to[0] != '\0' ? "the GPU at %s is lent to VM %s"
                                                     : "the GPU at %s is lent to a virtual machine",
                             gpu->pci, gpu->lent_to);
    if (gpu->driver == NVL_GPU_NO_DRIVER)
        return nvl_xasprintf(gpu->is_lost ? "the GPU at %s has fallen off the bus"
                                          : "no driver holds the GPU at %s",
                             gpu->pci);
    if (gpu->driver != NVL_GPU_NVIDIA)
        return nvl_xasprintf("%s holds the GPU at %s, not nvidia", gpu->driver_name, gpu->pci);
    if (gpu->excluded)
        return nvl_xasprintf("the options of the nvidia driver exclude the GPU at %s", gpu->pci);
    return nvl_xasprintf("the nvidia driver reports no device minor for the GPU at %s", gpu->pci);
}

char *nvl_gpu_remark(const struct nvl_gpu *gpu)
{
    switch (nvl_gpu_state(gpu)) {
    case NVL_GPU_IS_LOST:
        return nvl_xstrdup("fallen off the bus");
    case NVL_GPU_IS_SILENT:
        return nvl_xstrdup("does not come up");
    case NVL_GPU_IS_EXCLUDED:
        return nvl_xstrdup("excluded by the driver's options");
    case NVL_GPU_IS_LENT:
        return nvl_xasprintf("lent%s%s", gpu->lent_to[0] != '\0' ? " to VM " : "", gpu->lent_to);
    case NVL_GPU_IS_VIRTUAL:
        return nvl_xasprintf("virtual function of %s", gpu->physical);
    default:
        return gpu->n_functions == 0 ? NULL
                                     : nvl_xasprintf("%u virtual function%s", gpu->n_functions,
                                                     gpu->n_functions == 1 ? "" : "s");
    }
}
