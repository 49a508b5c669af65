/* The linker cache, /etc/ld.so.cache, of a host or of a container (then it is hostile: every offset is
 * checked). Format: glibc's sysdeps/generic/dl-cache.h, "glibc-ld.so.cache1.1", by itself or after the old
 * "ld.so-1.7.0" table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nvl_root;

#define NVL_LDCACHE_MAX (64u << 20) /* bytes; a larger file is refused */

enum nvl_elf_class { NVL_ELF_OTHER, NVL_ELF_64, NVL_ELF_32 };

struct nvl_ldcache {
    char *data; /* the file */
    size_t len;
    size_t entries_at, n_entries; /* the new table; n_entries 0 for an empty or foreign file */
    size_t strings_at;            /* the base of its string offsets */
};

struct nvl_ldcache_entry {
    enum nvl_elf_class elf; /* x86-64 and arm64 are 64; i386 and armhf are 32 */
    const char *soname;     /* both point into the cache */
    const char *path;
};

/* 0 and an empty cache if the file does not exist; -EINVAL if it is not a cache. */
int nvl_ldcache_read(struct nvl_ldcache *cache, const struct nvl_root *root);
/* The same for bytes in memory, which the function takes over. For tests and fuzzing. */
int nvl_ldcache_parse(struct nvl_ldcache *cache, char *data, size_t len);
/* False if the entry's offsets lead outside the file. */
bool nvl_ldcache_entry(const struct nvl_ldcache *cache, size_t i, struct nvl_ldcache_entry *entry);
/* The path that the loader takes for this soname: the first entry of that class, of this program's
 * architecture if there is one (glibc-hwcaps variants, which the driver never has, are skipped). NULL for
 * none. */
const char *nvl_ldcache_find(const struct nvl_ldcache *cache, enum nvl_elf_class elf, const char *soname);
void nvl_ldcache_clear(struct nvl_ldcache *cache);
