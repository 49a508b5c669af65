/* The device filter that LXC will make of a config: only where it is an allow-list does a grant need rules of
 * its own. Evaluated as liblxc does: in order, with lxc.include files; an empty value clears the list; `a`
 * sets its type. */
#pragma once

#include "container/container.h"

enum nvl_device_filter {
    NVL_FILTER_NONE,  /* everything opens: no rule may be written, the first would deny all the rest */
    NVL_FILTER_ALLOW, /* an allow-list: the grant's nodes need rules */
    NVL_FILTER_DENY,  /* a deny-list (`allow = a`): rules would do nothing */
};

/* `config` without nvlxc's own rules is what counts: they are skipped. Proxmox: the list that its generated
 * config begins with is an allow-list for privileged CTs and `allow a` for unprivileged ones
 * (lxc-pve-userns.conf). A container that a user runs is NONE whatever it says: liblxc makes filters for root
 * alone. */
int nvl_device_filter(const struct nvl_root *root, const struct nvl_container *c,
                      const struct nvl_config *config, enum nvl_device_filter *filter, struct nvl_error *err);
