/* What a shared library or program says of itself: class and soname, or a kernel module's licence, by libelf.
 * Not for the hook. */
#pragma once

#include "base/text.h"
#include "host/ldcache.h"

struct nvl_elf {
    enum nvl_elf_class elf;
    char *soname;           /* NULL where it has none (a program) */
    struct nvl_strv needed; /* DT_NEEDED */
};

/* -ENOEXEC where the descriptor is no ELF file of a class we know; -ENOSYS where libelf is not installed. */
int nvl_elf_read(int fd, struct nvl_elf *elf);
/* The licence that a kernel module names in its .modinfo (modinfo(8)): "NVIDIA", "Dual MIT/GPL"; NULL where
 * it is no module, is compressed, or says none. The caller frees. */
char *nvl_elf_licence(int fd);
void nvl_elf_clear(struct nvl_elf *elf);
