/* Proxmox's resource mappings of PCI devices: names for devices that each node of a cluster has its own of.
 * Source: PVE::Mapping::PCI, /etc/pve/mapping/pci.cfg: a line with the name, below it, indented, "map
 * id=10de:2204,node=pve1,path=0000:01:00.0" for each device of a node. */
#pragma once

#include "base/text.h"

struct nvl_root;

#define NVL_PCI_MAPPINGS "/etc/pve/mapping/pci.cfg"

struct nvl_pci_mappings {
    int code; /* why the file could not be read; -ENOENT if it is not there */
    char *text;
    size_t len;
    char *node; /* whose devices count; NULL if it is not known: then every device is taken for its own */
};

/* One device of a mapping. */
struct nvl_pci_map {
    char *id;                  /* "10de:2204"; NULL if it says none */
    struct nvl_strv addresses; /* one or more, in sysfs's form; "0000:01:00" for all functions */
    char *place;               /* "/etc/pve/mapping/pci.cfg:2: map …" */
    char *text;                /* "map …" */
};

struct nvl_pci_maps {
    struct nvl_pci_map *items;
    size_t count;
};

/* `copy`: NULL for Proxmox's own file; else a copy that has only this node's devices. `node`: whose devices
 * count; NULL for this one's. */
void nvl_pci_mappings_read(const struct nvl_root *root, const char *copy, const char *node,
                           struct nvl_pci_mappings *mappings);
void nvl_pci_mappings_clear(struct nvl_pci_mappings *mappings);
/* This node's devices of the mapping with that name; false if there is no such mapping. */
bool nvl_pci_mapping_find(const struct nvl_pci_mappings *mappings, const char *name,
                          struct nvl_pci_maps *maps);
void nvl_pci_maps_clear(struct nvl_pci_maps *maps);
/* The names of all mappings, in the file's order. */
void nvl_pci_mapping_names(const struct nvl_pci_mappings *mappings, struct nvl_strv *names);
/* Whether Proxmox takes this for a mapping's name (pve-configid). */
bool nvl_is_pci_mapping_name(const char *name);

/* The value of "KEY=VALUE" among the pieces of a line of Proxmox's; NULL. */
const char *nvl_pve_property(const struct nvl_strv *pieces, const char *key);
/* "01:00" and "0000:01:00.0" to sysfs's form, with a function only if one is named; NULL if it is not an
 * address. The caller frees. */
char *nvl_pci_address(const char *text);
/* Whether an address in this form names the function ("0000:01:00.0"). */
bool nvl_pci_address_is(const char *address, const char *pci);
