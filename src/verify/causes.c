/* From an error to its cause. The driver has few error numbers, and each has several causes; the right one
 * follows from earlier steps: the nodes as they are in the container, the files that the loader took, the
 * host's state. */
#include "verify/causes.h"

#include "base/paths.h"
#include "inject/home.h"
#include "verify/cause_libraries.h"
#include "verify/cause_nodes.h"
#include "doctor/container/shared.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

/* The first node of one of these kinds that cannot be used. */
static const struct nvl_inside_node *bad_node(const struct nvl_verify *v, unsigned kinds)
{
    for (size_t i = 0; i < v->n_nodes; i++) {
        const struct nvl_inside_node *n = &v->nodes[i];
        if ((kinds & (1u << n->node.kind)) != 0 && nvl_inside_node_is_bad(n, n->error))
            return n;
    }
    return NULL;
}

#define KIND(kind) (1u << NVL_NODE_##kind)

static bool has_kind(const struct nvl_verify *v, enum nvl_node_kind kind)
{
    for (size_t i = 0; i < v->n_nodes; i++)
        if (v->nodes[i].node.kind == kind)
            return true;
    return false;
}

/* Names the node as the cause, if one explains the error. */
static bool explained_by_node(const struct nvl_verify *v, unsigned kinds, struct nvl_step *step)
{
    const struct nvl_inside_node *n = bad_node(v, kinds);

    if (n == NULL)
        return false;
    nvl_cause_of_node(v, n, n->error, step);
    return true;
}

static void cause_mismatch(const struct nvl_verify *v, const char *path, struct nvl_step *step)
{
    nvl_step_cause(step,
                   "the container's %s does not have the kernel module's version, %s: the packages were "
                   "upgraded without a reboot, or the container has its own driver",
                   path != NULL ? path : "driver library", v->facts->host->host.driver.version);
    if (path != NULL && nvl_path_below_home(path) == NULL)
        nvl_step_fix(step,
                     "in the container: remove the driver that is installed there, so that programs "
                     "load the one at %s",
                     nvl_home(&v->facts->rootfs));
    else
        nvl_step_fix(step, "nvlxc driver sync\n%s", v->request->restart);
}

/* An error that has only one cause. */
struct known_cause {
    int code;
    const char *cause;
    struct nvl_fix fix;
};

static bool is_known_cause(const struct nvl_verify *v, const struct known_cause *list, size_t n, int code,
                           struct nvl_step *step)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].code == code) {
            nvl_step_cause(step, "%s", list[i].cause);
            nvl_step_fix_from_table(v, step, &list[i].fix);
            return true;
        }
    return false;
}

static const struct known_cause nvml_causes[] = {
    {6,
     "the driver answers, but finds no GPU that this container may use",
     {"nvlxc show", NVL_FIX_CONTAINER}},
    {9,
     "NVML reaches no driver: the kernel module is not loaded, or something else answers at /dev/nvidiactl",
     {"nvlxc host", NVL_FIX_ALL}},
    {13,
     "libnvidia-ml is older than the program that uses it: the driver's files have different versions",
     {"nvlxc driver sync", NVL_FIX_THEN_RESTART}},
    {15, nvl_gpu_lost_cause, {nvl_gpu_lost_fix, NVL_FIX_ALL}},
    {16,
     "the GPU needs a reset",
     {"while nothing uses it: nvidia-smi --gpu-reset -i 0\nor: reboot", NVL_FIX_ALL}},
    {17,
     "the nodes can be opened, but what answers behind them does not work with a GPU: the kernel module "
     "failed to initialize it, or another driver has the number",
     {"nvlxc host\ndmesg | grep -e NVRM -e Xid", NVL_FIX_ALL}},
    {27,
     "the driver is not ready: on machines with NVSwitch, the fabric manager is not running",
     {"systemctl start nvidia-fabricmanager", NVL_FIX_ALL}},
    {28, "this driver supports none of the GPUs", {"nvlxc gpus", NVL_FIX_ALL}},
};

void nvl_cause_of_nvml(const struct nvl_verify *v, int code, struct nvl_step *step)
{
    if (code == 18) {
        cause_mismatch(v, v->libnvidia_ml, step);
        return;
    }
    if (code == 12) {
        nvl_cause_of_library(v, "libnvidia-ml.so.1", NULL, step);
        return;
    }
    if (explained_by_node(v, KIND(CTL) | KIND(GPU) | KIND(CAP), step))
        return;
    if (is_known_cause(v, nvml_causes, NVL_LENGTH(nvml_causes), code, step))
        return;
    if (code == 4)
        nvl_step_cause(
            step,
            "a device node may not be opened, though root can: with MIG, the nodes below /dev/nvidia-caps");
    else
        nvl_step_cause(step, "the driver reports only error %d; its log says more", code);
    nvl_step_fix(step, "dmesg | grep -e NVRM -e Xid");
}

static const struct known_cause cuda_causes[] = {
    {2, "other programs use the GPU's memory", {"on the host, who uses it: nvidia-smi", NVL_FIX_ALL}},
    {34,
     "programs load a stub of libcuda, from a toolkit's `stubs` folder: it is only for linking",
     {"in the container: remove the stubs folder from LD_LIBRARY_PATH and /etc/ld.so.conf.d, then ldconfig",
      NVL_FIX_ALL}},
    {46, "the GPU is in exclusive mode and in use, or needs a reset", {"nvidia-smi -c 0", NVL_FIX_ALL}},
    {100, "the driver sees no GPU for this container", {"nvlxc show", NVL_FIX_CONTAINER}},
    {209, "this GPU is older than Maxwell: no kernel can be compiled for it", {NULL, NVL_FIX_ALL}},
    {214,
     "the GPU's memory has an error that could not be corrected",
     {"nvidia-smi -q -d ECC\nreboot", NVL_FIX_ALL}},
    {218,
     "the PTX compiler rejects the kernel: libnvidia-ptxjitcompiler has another version than libcuda",
     {"nvlxc driver sync", NVL_FIX_THEN_RESTART}},
    {221,
     "libnvidia-ptxjitcompiler.so.1 is not in the container: programs that have only PTX cannot run",
     {"libnvidia-ptxjitcompiler1", NVL_FIX_LIBRARIES}},
    {222,
     "the driver is older than the PTX: it needs driver 384 or later, for PTX version 6.0",
     {"install a newer driver on the host", NVL_FIX_ALL}},
    {223,
     "CUDA_DISABLE_PTX_JIT is set",
     {"remove it from the container's environment", NVL_FIX_THEN_RESTART}},
    {304, "/proc or /sys is not mounted in the container, or not readable", {NULL, NVL_FIX_ALL}},
    {700,
     "the kernel accessed memory that is not its own: the GPU or the driver is at fault, since this kernel "
     "is known to be right",
     {"dmesg | grep -e NVRM -e Xid", NVL_FIX_ALL}},
    {719, "the kernel failed on the GPU", {"dmesg | grep -e NVRM -e Xid", NVL_FIX_ALL}},
    {800, "the GPU is in exclusive or prohibited compute mode", {"nvidia-smi -c 0", NVL_FIX_ALL}},
    {802,
     "NVSwitch connects the GPUs of this machine, and its fabric manager is not running or has another "
     "version than the driver",
     {"systemctl enable --now nvidia-fabricmanager\nsystemctl status nvidia-fabricmanager", NVL_FIX_ALL}},
    {804,
     "programs load a CUDA compatibility library (cuda-compat, .../compat/libcuda.so), which works only on "
     "data center GPUs",
     {"in the container: apt remove 'cuda-compat-*', or remove the compat folder from LD_LIBRARY_PATH and "
      "/etc/ld.so.conf.d, then ldconfig",
      NVL_FIX_ALL}},
    {805,
     "the MPS daemon does not answer: it is configured for this container but not reachable from it",
     {"unset CUDA_MPS_PIPE_DIRECTORY, or start nvidia-cuda-mps-control on the host", NVL_FIX_ALL}},
};

static bool is_mig_without_instance(const struct nvl_verify *v)
{
    const struct nvl_gpus *gpus = &v->facts->host->host.gpus;

    for (size_t i = 0; i < gpus->count; i++)
        if (gpus->items[i].mig_enabled && gpus->items[i].n_migs == 0)
            return true;
    return false;
}

static void cause_unknown_cuda_error(const struct nvl_verify *v, struct nvl_step *step)
{
    if (explained_by_node(v, KIND(UVM), step) ||
        explained_by_node(v, KIND(CTL) | KIND(GPU) | KIND(CAP), step))
        return;
    if (!has_kind(v, NVL_NODE_UVM)) {
        nvl_step_cause(step, "/dev/nvidia-uvm is not granted: it belongs to the capability compute, and "
                             "without it CUDA fails with error 999");
        nvl_autofree char *again = nvl_attach_with_capabilities(v->facts, v->capabilities | NVL_CAP_COMPUTE);
        nvl_step_fix(step, "%s\n%s", again, v->request->restart);
        return;
    }
    nvl_step_cause(step, "the nodes are right, so the module nvidia-uvm itself fails: it must be reloaded "
                         "after a suspend of the host");
    nvl_step_fix(step,
                 "journalctl -k -g 'NVRM|Xid'\nwhile nothing uses the GPU: rmmod nvidia_uvm && modprobe "
                 "nvidia-uvm\n%s",
                 v->request->restart);
}

/* An environment that hides the GPUs. */
static bool is_hidden(const struct nvl_verify *v, struct nvl_step *step)
{
    for (size_t i = 0; i < v->environment.count; i++)
        if (nvl_has_prefix(v->environment.items[i], "CUDA_VISIBLE_DEVICES=")) {
            nvl_autofree char *text =
                nvl_printable(v->environment.items[i], strlen(v->environment.items[i]), 120);
            nvl_step_cause(step, "the container's config sets %s, which names no GPU of this container",
                           text);
            nvl_step_fix(step, "remove that lxc.environment line from the config\n%s", v->request->restart);
            return true;
        }
    return false;
}

static void cause_no_device(const struct nvl_verify *v, struct nvl_step *step)
{
    if (explained_by_node(v, KIND(CTL) | KIND(GPU) | KIND(CAP), step) || is_hidden(v, step))
        return;
    is_known_cause(v, cuda_causes, NVL_LENGTH(cuda_causes), 100, step);
}

void nvl_cause_of_cuda(const struct nvl_verify *v, int code, struct nvl_step *step)
{
    if (code == 999 || code == 3)
        cause_unknown_cuda_error(v, step);
    else if (code == 100)
        cause_no_device(v, step);
    else if (code == 803)
        cause_mismatch(v, v->libcuda, step);
    else if (code == 101 && is_mig_without_instance(v)) {
        nvl_step_cause(step,
                       "MIG mode is on and the GPU has no instance: the GPU as a whole cannot be used then");
        nvl_step_fix(step,
                     "which profiles there are: nvidia-smi mig -lgip\ncreate instances, here of profile 19: "
                     "nvidia-smi mig "
                     "-cgi 19 -C\nor leave MIG mode: nvidia-smi -mig 0\nthen with a name of nvlxc gpus "
                     "--wide: nvlxc attach %s --gpu GPU",
                     v->request->name);
    } else if (code == 101) {
        if (!is_hidden(v, step))
            nvl_step_cause(step,
                           "the device ordinal does not exist: in MIG mode the GPU has no instance; "
                           "otherwise CUDA_VISIBLE_DEVICES names a GPU that the container does not have");
        if (step->fix == NULL)
            nvl_step_fix(step, "nvidia-smi -L\nnvlxc show %s", v->request->name);
    } else if (!is_known_cause(v, cuda_causes, NVL_LENGTH(cuda_causes), code, step)) {
        nvl_step_cause(step, "CUDA reports only error %d; the driver's log may say more", code);
        nvl_step_fix(step, "dmesg | grep -e NVRM -e Xid");
    }
}

const char *nvl_cuda_name(int code)
{
    static const struct {
        int code;
        const char *name;
    } names[] = {
        {2, "CUDA_ERROR_OUT_OF_MEMORY"},
        {3, "CUDA_ERROR_NOT_INITIALIZED"},
        {34, "CUDA_ERROR_STUB_LIBRARY"},
        {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"},
        {100, "CUDA_ERROR_NO_DEVICE"},
        {101, "CUDA_ERROR_INVALID_DEVICE"},
        {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
        {214, "CUDA_ERROR_ECC_UNCORRECTABLE"},
        {218, "CUDA_ERROR_INVALID_PTX"},
        {221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND"},
        {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
        {223, "CUDA_ERROR_JIT_COMPILATION_DISABLED"},
        {304, "CUDA_ERROR_OPERATING_SYSTEM"},
        {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
        {719, "CUDA_ERROR_LAUNCH_FAILED"},
        {800, "CUDA_ERROR_NOT_PERMITTED"},
        {801, "CUDA_ERROR_NOT_SUPPORTED"},
        {802, "CUDA_ERROR_SYSTEM_NOT_READY"},
        {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"},
        {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"},
        {805, "CUDA_ERROR_MPS_CONNECTION_FAILED"},
        {999, "CUDA_ERROR_UNKNOWN"},
    };

    for (size_t i = 0; i < NVL_LENGTH(names); i++)
        if (names[i].code == code)
            return names[i].name;
    return "";
}
