/* What a shared library or program declares about itself: class and soname, or a kernel module's license, by
 * libelf. Not for the hook. */
#pragma once

#include "base/text.h"
#include "host/ldcache.h"

struct nvl_elf {
    enum nvl_elf_class elf;
    char *soname;           /* NULL if it has none (a program) */
    struct nvl_strv needed; /* DT_NEEDED */
};

/* -ENOEXEC if the descriptor is not an ELF file of a known class; -ENOSYS if libelf is not installed. */
int nvl_elf_read(int fd, struct nvl_elf *elf);
/* The license that a kernel module names in its .modinfo (modinfo(8)): "NVIDIA", "Dual MIT/GPL"; NULL if it
 * is not a module, is compressed, or names none. The caller frees. */
char *nvl_elf_licence(int fd);
void nvl_elf_clear(struct nvl_elf *elf);
