/* What a config's environment does to the host: liblxc sets lxc.environment (and LXC 6's
 * lxc.environment.hooks) and then runs every hook with the host's own /bin/sh, outside of the container's
 * root file system. So a variable that makes the loader or the shell run a file is code with the rights of
 * the host's root, and the file may come from the container's image (the class of CVE-2025-23266).
 * `lxc-create -t oci` copies an image's variables there. */
#pragma once

#include "container/effective.h"

struct nvl_hook_danger {
    const struct nvl_setting *setting; /* of the effective config */
    char *why; /* "sets LD_PRELOAD", "LD_LIBRARY_PATH names /tmp/lib, where others can write" */
};

struct nvl_hook_dangers {
    struct nvl_hook_danger *items;
    size_t count;
};

/* LD_LIBRARY_PATH by itself is harmless, and every CUDA image sets it, so its folders decide. Dangerous are
 * folders that are relative, that are (on the host, with links followed) in the container's root file system
 * or below LXC's mount of it, or that somebody other than root can write or make. */
void nvl_hook_dangers_find(const struct nvl_root *root, const struct nvl_container *c,
                           const struct nvl_effective *effective, struct nvl_hook_dangers *dangers);
void nvl_hook_dangers_clear(struct nvl_hook_dangers *dangers);

/* The fix: "move the variable to lxc.environment.runtime …". */
extern const char nvl_hook_danger_fix[];
