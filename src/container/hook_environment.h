/* What a config's environment does to the host: liblxc sets lxc.environment (and LXC 6's
 * lxc.environment.hooks) and then runs every hook by the host's own /bin/sh, outside of the container's root
 * file system. A variable that makes the loader or the shell run a file is then code as the host's root,
 * whose file the container's image may bring (the class of CVE-2025-23266). `lxc-create -t oci` copies an
 * image's variables there. */
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

/* LD_LIBRARY_PATH by itself is no danger, and every CUDA image has one: its folders are looked at. A danger
 * are those that are relative, that lie, on the host and with links followed, in the container's root file
 * system or below LXC's mount of it, or that somebody else than root can write or make. */
void nvl_hook_dangers_find(const struct nvl_root *root, const struct nvl_container *c,
                           const struct nvl_effective *effective, struct nvl_hook_dangers *dangers);
void nvl_hook_dangers_clear(struct nvl_hook_dangers *dangers);

/* What to do about them: "move it to lxc.environment.runtime …". */
extern const char nvl_hook_danger_fix[];
