/* The machines whose LXC hosts nvlxc serves, x86-64 and arm64: every name that one of them has with Debian,
 * NVIDIA, glibc, LXC or Proxmox. Nothing else in nvlxc tells them apart. */
#pragma once

struct nvl_root;

struct nvl_machine {
    unsigned elf, elf_32;                 /* EM_… of its programs and of its 32-bit ones */
    const char *title;                    /* for people: "x86-64" */
    const char *kernel;                   /* as uname, NVIDIA's files and Fedora say it: "x86_64" */
    const char *debian;                   /* also Proxmox's word: "amd64" */
    const char *lxc;                      /* lxc.arch */
    const char *archive;                  /* the folder of NVIDIA's apt archive: "x86_64", "sbsa" */
    const char *multiarch;                /* "x86_64-linux-gnu" */
    const char *libraries;                /* "/usr/lib/x86_64-linux-gnu" */
    const char *libraries_32;             /* "/usr/lib/i386-linux-gnu" */
    const char *glibc, *musl;             /* the paths of their loaders: /lib64/ld-linux-x86-64.so.2 */
    unsigned cache_flags, cache_flags_32; /* of an entry of ld.so.cache: its architecture, and 3 for glibc */
    const char *const *hwcaps;            /* folders that glibc searches before all others; NULL at the end */
};

#define NVL_MACHINES 2
extern const struct nvl_machine nvl_machines[NVL_MACHINES];

/* Of the host that is looked at: the one that nvlxc is built for, until nvl_machine_take has found another.
 */
const struct nvl_machine *nvl_machine(void);
/* Takes over what a captured host is, by what its kernel, its driver or its library folders say. */
void nvl_machine_take(const struct nvl_root *root);
/* NULL for any other. */
const struct nvl_machine *nvl_machine_of_elf(unsigned elf);
