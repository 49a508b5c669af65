/* GPUs: NVIDIA's PCI functions of class display, and what drives each. Sources: /sys/bus/pci/devices and
 * /proc/driver/nvidia/gpus/PCI/information; MIG devices from /proc/driver/nvidia/capabilities. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nvl_error;
struct nvl_root;

#define NVL_PCI_MAX  20 /* "0000:01:00.0"; the domain may have 8 digits */
#define NVL_UUID_MAX 48 /* "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689" */

enum nvl_gpu_driver {
    NVL_GPU_NO_DRIVER,
    NVL_GPU_NVIDIA,
    NVL_GPU_NOUVEAU,
    NVL_GPU_NOVA, /* nova_core */
    NVL_GPU_VFIO, /* vfio-pci */
    NVL_GPU_OTHER_DRIVER,
};

/* One MIG compute instance: what a container can get. */
struct nvl_mig {
    unsigned gi, ci;
    /* Of /dev/nvidia-caps/nvidia-capN: DeviceFileMinor of the two `access` files. */
    unsigned gi_minor, ci_minor;
};

struct nvl_gpu {
    char pci[NVL_PCI_MAX];   /* lower case, as in sysfs */
    char uuid[NVL_UUID_MAX]; /* "" if the driver does not report it */
    char model[96];          /* the driver's name for it; "" if not driven by nvidia */
    int minor;               /* of /dev/nvidiaN; -1 if unknown */
    int index; /* position in PCI order among those that nvidia drives and does not exclude, as NVML counts;
                  -1 for the others */
    unsigned pci_device; /* PCI device id, 0x2438; 0 if sysfs was not read */
    enum nvl_gpu_driver driver;
    char driver_name[32]; /* the driver link's last component; "" for none */
    int card, render;     /* N of /dev/dri/cardN and /dev/dri/renderDN, -1 for none */
    bool excluded;        /* "GPU Excluded: Yes" */
    bool runs_firmware;   /* "GPU Firmware" names a version; "N/A" if it runs none */
    bool mig_enabled;     /* capabilities/gpuN/mig exists and contains at least `config` or an instance */
    struct nvl_mig *migs;
    size_t n_migs;
    /* The GPU that this is a virtual function of (SR-IOV: sysfs has a link physfn), "0000:17:00.0"; "" for a
     * physical GPU. A virtual function has no index, minor or UUID. */
    char physical[NVL_PCI_MAX];
    unsigned n_functions; /* virtual functions of it (NVL_GPUS_ALL) */
    bool is_lost;     /* its PCI configuration space reads all 0xff: nothing answers there (NVL_GPUS_ALL) */
    uint64_t memory;  /* bytes, set by callers that asked NVML; 0: not known */
    bool is_lent;     /* to a virtual machine (host/loan.h); then uuid and model are those of before */
    char lent_to[16]; /* that VM, "101"; "" if unknown */
    bool was_used;    /* set by callers that know it: something has opened it since the boot */
};

struct nvl_gpus {
    struct nvl_gpu *items; /* by PCI address */
    size_t count;
};

/* What to read. The hook needs no sysfs unless DRI nodes are requested. */
enum nvl_gpus_depth {
    NVL_GPUS_PROC, /* nvidia's GPUs and MIG, only from /proc; card and render are -1 */
    NVL_GPUS_DRI,  /* also their card and render from sysfs */
    NVL_GPUS_ALL,  /* every NVIDIA GPU of the machine, whatever drives it */
};

/* 0 also if there is none. The list is the caller's. was_used stays false. */
int nvl_gpus_read(const struct nvl_root *root, enum nvl_gpus_depth depth, struct nvl_gpus *gpus,
                  struct nvl_error *err);
void nvl_gpus_clear(struct nvl_gpus *gpus);

const struct nvl_gpu *nvl_gpu_by_uuid(const struct nvl_gpus *gpus, const char *uuid);
const struct nvl_gpu *nvl_gpu_by_index(const struct nvl_gpus *gpus, unsigned index);
/* Converts "01:00.0", "0000:01:00.0", "00000000:01:00.0", upper or lower case, to sysfs's form. False if it
 * is not a PCI address. */
bool nvl_pci_normalise(const char *text, char pci[NVL_PCI_MAX]);
/* Whether this is "GPU-" and a UUID in digits: the driver prints question marks for a GPU that it has not
 * initialized. */
bool nvl_is_gpu_uuid(const char *s);
/* "MIG-GPU-UUID/GI/CI": the name of a MIG device that /proc resolves; NULL if the GPU has no UUID. The caller
 * frees. */
char *nvl_mig_uuid(const struct nvl_gpu *gpu, const struct nvl_mig *mig);
/* Takes every form of nvl_pci_normalise. */
const struct nvl_gpu *nvl_gpu_by_pci(const struct nvl_gpus *gpus, const char *pci);
/* The text of .../information into `gpu` (pci, uuid, model, minor, excluded). For tests and fuzzing. */
void nvl_gpu_parse_information(const char *text, size_t len, struct nvl_gpu *gpu);
/* "GPU 0, NVIDIA RTX A5500 Laptop GPU (GPU-…)"; the caller frees. */
char *nvl_gpu_text(const struct nvl_gpu *gpu);

/* Fills mig_enabled, migs and n_migs; `gpu` has its device minor. */
void nvl_gpu_read_migs(const struct nvl_root *root, struct nvl_gpu *gpu);

/* Sets driver and driver_name by the name of the kernel driver: "nvidia", "vfio-pci". */
void nvl_gpu_set_driver(struct nvl_gpu *gpu, const char *name);
/* Whether the driver has not said its UUID, which it learns at the GPU's first use after a boot. */
bool nvl_gpu_lacks_uuid(const struct nvl_gpu *gpu);
