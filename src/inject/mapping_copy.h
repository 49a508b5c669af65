/* What Proxmox's mappings mean on this node at a container's start: /run/nvlxc/mapping/NAME.cfg, made by
 * pre-start as the host's root. The mount hook is the container's root, who may not read /etc/pve: it reads
 * this copy, so that both hooks see the same. */
#pragma once

struct nvl_grant;
struct nvl_root;

/* The copy of the container of that name; NULL if the name is none. The caller frees. */
char *nvl_mapping_copy_path(const char *container);
/* Writes those of Proxmox's mappings that the grant names, of each only this node's devices. On an error,
 * also if Proxmox's file cannot be read, there is no copy. Does nothing, and takes no system call, for a
 * grant that names none. */
int nvl_mapping_copy_make(const struct nvl_root *host, const char *container, const struct nvl_grant *grant);
void nvl_mapping_copy_remove(const struct nvl_root *host, const char *container);
