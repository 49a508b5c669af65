/* A grant: what a container's config gives it. Its text form is the two variables of NVIDIA's container tools
 * and LXC's own hook, NVIDIA_VISIBLE_DEVICES and NVIDIA_DRIVER_CAPABILITIES, with the same values. Those
 * tools do not know open selectors, which each start decides: a grant with one has NVLXC_GPUS, and beside it
 * NVIDIA_VISIBLE_DEVICES=void, which means nothing to them. */
#pragma once

#include "grant/delivery.h"
#include "host/gpu.h"

#define NVL_ENV_DEVICES      "NVIDIA_VISIBLE_DEVICES"
#define NVL_ENV_CAPABILITIES "NVIDIA_DRIVER_CAPABILITIES"
#define NVL_ENV_GPUS         "NVLXC_GPUS"

/* NVIDIA's own driver capability words, as bits. */
enum nvl_capability {
    NVL_CAP_COMPUTE = 1 << 0,
    NVL_CAP_UTILITY = 1 << 1,
    NVL_CAP_VIDEO = 1 << 2,
    NVL_CAP_GRAPHICS = 1 << 3,
    NVL_CAP_DISPLAY = 1 << 4,
    NVL_CAP_NGX = 1 << 5,
    NVL_CAP_COMPAT32 = 1 << 6,
};
#define NVL_CAP_ALL     0x7fu
#define NVL_CAP_DEFAULT ((unsigned)(NVL_CAP_COMPUTE | NVL_CAP_UTILITY))

enum nvl_selector_kind {
    NVL_SELECT_INDEX,    /* "0" */
    NVL_SELECT_UUID,     /* "GPU-…" */
    NVL_SELECT_PCI,      /* "0000:01:00.0": for a GPU whose UUID the driver does not give */
    NVL_SELECT_MIG,      /* "MIG-GPU-…/GI/CI": a MIG device, in the form that /proc resolves */
    NVL_SELECT_MIG_UUID, /* "MIG-…": only NVML knows it; attach turns it into the form above */
    /* Open: each start decides anew, on its host. Each gives one GPU, the first that fits and is free for it.
     */
    NVL_SELECT_MAPPING, /* "mapping:NAME": of Proxmox's mapping of PCI devices */
    NVL_SELECT_MODEL,   /* "model:RTX 3090": whose model has these words, in either case */
    NVL_SELECT_ANY,     /* "any" */
};
#define NVL_OPEN_MAX 64 /* open selectors of one grant */

struct nvl_selector {
    enum nvl_selector_kind kind;
    char text[80];          /* as the variable has it */
    unsigned index;         /* INDEX */
    char gpu[NVL_UUID_MAX]; /* UUID and MIG: the GPU's UUID; PCI: the address */
    unsigned gi, ci;        /* MIG */
};
bool nvl_selector_is_open(const struct nvl_selector *selector);
/* What an open selector names behind its colon: the mapping, the model; "" for `any`. */
const char *nvl_selector_name(const struct nvl_selector *selector);

enum nvl_devices { NVL_DEVICES_VOID, NVL_DEVICES_NONE, NVL_DEVICES_ALL, NVL_DEVICES_LIST };

struct nvl_grant {
    enum nvl_devices devices; /* VOID: no GPU and no driver (also for an absent or empty variable); NONE: the
                               * driver without GPUs; ALL; LIST */
    struct nvl_selector *selectors; /* for LIST */
    size_t n_selectors;
    unsigned capabilities; /* bits of enum nvl_capability */
    struct nvl_delivery delivery;
};

/* Parses one selector: an index, a UUID, a PCI address, a MIG form, an open one. -EINVAL says what it should
 * look like. */
int nvl_selector_parse(const char *text, struct nvl_selector *selector, struct nvl_error *err);
/* Parses the variables' values; NULL for an absent one (capabilities then default to compute and utility).
 * Unknown capability words are an error that names them. `gpus`, NVLXC_GPUS, counts only where `devices` is
 * "void": an image that sets it does not add to a grant. */
int nvl_grant_parse(struct nvl_grant *grant, const char *devices, const char *gpus, const char *capabilities,
                    struct nvl_error *err);
/* Whether it has an open selector. */
bool nvl_grant_is_open(const struct nvl_grant *grant);
/* -EINVAL if there are more open selectors than NVL_OPEN_MAX. */
int nvl_grant_check_size(const struct nvl_grant *grant, struct nvl_error *err);
int nvl_capabilities_parse(const char *text, unsigned *capabilities, struct nvl_error *err);
/* What --gpu takes: "all", or all selectors; the caller frees. */
char *nvl_grant_devices(const struct nvl_grant *grant);
/* The values to write; the caller frees. NVLXC_GPUS is NULL unless the grant is open. Capabilities in the
 * order compute,utility,video,…; all seven become "all". */
char *nvl_grant_visible_devices(const struct nvl_grant *grant);
char *nvl_grant_gpus(const struct nvl_grant *grant);
char *nvl_capabilities_format(unsigned capabilities);
void nvl_grant_clear(struct nvl_grant *grant);
