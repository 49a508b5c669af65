/* Which C library a container's programs have. NVIDIA's libraries need glibc of the host's processor. Names
 * do not tell: musl, and gcompat's loader, can stand at the path of glibc's. */
#pragma once

#include <stdbool.h>

struct nvl_root;

enum nvl_libc_kind {
    NVL_LIBC_NONE,      /* nothing that could load a library: static programs alone, or unknown */
    NVL_LIBC_GLIBC,     /* where every program looks for it */
    NVL_LIBC_ELSEWHERE, /* glibc, but only at a path of its own (NixOS) */
    NVL_LIBC_MUSL,
    NVL_LIBC_FOREIGN, /* its programs are for another processor */
};

struct nvl_libc {
    enum nvl_libc_kind kind;
    char *loader;        /* ELSEWHERE, MUSL: its path */
    bool is_disguised;   /* MUSL: something that is not glibc stands at the path of its loader */
    const char *machine; /* FOREIGN: "aarch64" */
};

void nvl_libc_read(const struct nvl_root *rootfs, struct nvl_libc *libc);
void nvl_libc_clear(struct nvl_libc *libc);
