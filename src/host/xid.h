/* The driver's reports of errors in the kernel's log: "NVRM: Xid (PCI:0000:01:00): 79, pid=…". Sources: the
 * machine's own ring buffer by syslog(2), which forgets old lines; of a captured host the file
 * NVL_KERNEL_LOG. What the numbers mean: NVIDIA, 'XID Errors', and its catalog of them. */
#pragma once

#include "host/gpu.h"

#define NVL_KERNEL_LOG "/var/log/dmesg" /* as `capture` writes it */

/* One number of one GPU. */
struct nvl_xid {
    char pci[NVL_PCI_MAX]; /* in sysfs's form, with function 0: the driver names none */
    unsigned number;
    unsigned count; /* of its lines */
    char *last;     /* the last one, printable, with the time since the boot if the kernel prints it */
};

struct nvl_xids {
    struct nvl_xid *items; /* by GPU and number, in the order in which each was seen first */
    size_t count;
};

/* What kind of trouble a number tells. */
enum nvl_xid_kind {
    NVL_XID_PROGRAM,  /* mostly the program's own fault */
    NVL_XID_MEMORY,   /* the GPU's memory */
    NVL_XID_BUS,      /* the GPU answers no more, or its links fail */
    NVL_XID_FIRMWARE, /* its processors or their firmware stopped */
    NVL_XID_OTHER,
};
/* *meaning is a few words: "the GPU has fallen off the bus"; NULL if nvlxc does not know the number. */
enum nvl_xid_kind nvl_xid_kind(unsigned number, const char **meaning);

/* Adds those of a log's text. */
void nvl_xids_parse(const char *text, size_t len, struct nvl_xids *xids);
/* -ENOENT if a captured host has no log, -EPERM if this caller may not read the machine's. */
int nvl_xids_read(const struct nvl_root *root, struct nvl_xids *xids);
void nvl_xids_clear(struct nvl_xids *xids);
