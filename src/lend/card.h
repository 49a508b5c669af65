/* A graphics card as the PCI bus shows it: the GPU and the other functions of its slot (sound, USB, UCSI),
 * which go to a virtual machine together, and who shares their IOMMU groups. Sources:
 * Documentation/ABI/testing/sysfs-bus-pci, Documentation/driver-api/vfio.rst. */
#pragma once

#include "base/text.h"
#include "host/host.h"

struct nvl_error;
struct nvl_root;

struct nvl_function {
    char pci[NVL_PCI_MAX];
    unsigned class;  /* class, subclass and interface: 0x030000 */
    char driver[32]; /* "" for none */
    int group;       /* its IOMMU group; -1 for none */
};

struct nvl_card {
    struct nvl_function *functions; /* by address; the GPU is one of them */
    size_t count;
    /* "0000:02:00.0 (nvme)": devices outside of the slot that are in its groups and have a driver that keeps
     * a virtual machine from using the group */
    struct nvl_strv neighbours;
    struct nvl_strv group_files; /* "/dev/vfio/14", "/dev/vfio/devices/vfio0": open while a VM uses it */
};

/* -ENOENT if sysfs has no such device. */
int nvl_card_read(const struct nvl_root *root, const char *pci, struct nvl_card *card, struct nvl_error *err);
void nvl_card_clear(struct nvl_card *card);
/* What on this host keeps its GPU from being lent at all, said before anything is touched. */
struct nvl_obstacles {
    struct nvl_strv what; /* one a line, to follow "cannot be lent:" */
    struct nvl_strv fix;  /* in the lines of base/fix.h; may be empty */
};
/* `host` is read with NVL_GPUS_ALL. */
void nvl_obstacles_find(const struct nvl_host *host, const struct nvl_gpu *gpu, const struct nvl_card *card,
                        struct nvl_obstacles *obstacles);
void nvl_obstacles_clear(struct nvl_obstacles *obstacles);

/* What drives a PCI function now; "" for nothing. */
void nvl_function_driver(const struct nvl_root *root, const char *pci, char driver[32]);
