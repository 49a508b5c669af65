/* Reads the linker cache. A container's cache is not trusted: every count and offset is checked against the
 * file's length before use, and every string must end inside the file. */
#include "host/ldcache.h"

#include <errno.h>
#include <endian.h>

#include "base/machine.h"
#include "base/root.h"

#define CACHE_FILE "/etc/ld.so.cache"

static const char magic_old[] = "ld.so-1.7.0";
static const char magic_new[] = "glibc-ld.so.cache1.1";

/* Sizes and offsets of glibc's structures. */
enum {
    OLD_HEADER = 16, /* 11 bytes of magic, padding, a count of 4 bytes */
    OLD_ENTRY = 12,
    NEW_HEADER = 48,
    NEW_COUNT_AT = 20,
    NEW_FLAGS_AT = 28,
    NEW_ENTRY = 24,
    ENTRY_KEY_AT = 4,
    ENTRY_VALUE_AT = 8,
    ENTRY_HWCAP_AT = 16,
};

#define ENDIAN_MASK 3 /* of the header's flags: 0 unspecified, 2 little, 3 big */
#define ENDIAN_OWN  (__BYTE_ORDER == __LITTLE_ENDIAN ? 2 : 3)

/* Set in the upper half of hwcap if the entry belongs to a glibc-hwcaps folder. */
#define HWCAP_EXTENSION (1ull << 62)

/* The callers have checked that the bytes exist; they need not be aligned. */
static uint32_t get32(const struct nvl_ldcache *cache, size_t at)
{
    uint32_t value;

    memcpy(&value, cache->data + at, sizeof value);
    return value;
}

static uint64_t get64(const struct nvl_ldcache *cache, size_t at)
{
    uint64_t value;

    memcpy(&value, cache->data + at, sizeof value);
    return value;
}

static bool has_magic(const struct nvl_ldcache *cache, size_t at, const char *magic)
{
    size_t len = strlen(magic);

    return at <= cache->len && cache->len - at >= len && memcmp(cache->data + at, magic, len) == 0;
}

static int parse_new(struct nvl_ldcache *cache, size_t at)
{
    if (cache->len - at < NEW_HEADER)
        return -EINVAL;
    unsigned endian = (unsigned char)cache->data[at + NEW_FLAGS_AT] & ENDIAN_MASK;
    if (endian != 0 && endian != ENDIAN_OWN)
        return 0; /* another machine's */
    size_t count = get32(cache, at + NEW_COUNT_AT);
    if (count > (cache->len - at - NEW_HEADER) / NEW_ENTRY)
        return -EINVAL;
    cache->entries_at = at + NEW_HEADER;
    cache->n_entries = count;
    cache->strings_at = at;
    return 0;
}

/* The new table follows the old one, aligned as its 64-bit members need: 8 bytes, on i386 4. */
static int parse_old(struct nvl_ldcache *cache)
{
    if (cache->len < OLD_HEADER)
        return -EINVAL;
    size_t count = get32(cache, OLD_HEADER - 4);
    if (count > (cache->len - OLD_HEADER) / OLD_ENTRY)
        return -EINVAL;
    size_t end = OLD_HEADER + count * OLD_ENTRY;
    for (size_t align = 8; align >= 4; align -= 4) {
        size_t at = (end + align - 1) / align * align;
        if (has_magic(cache, at, magic_new))
            return parse_new(cache, at);
    }
    return 0; /* of a C library of the last century: nothing useful */
}

int nvl_ldcache_parse(struct nvl_ldcache *cache, char *data, size_t len)
{
    int r;

    *cache = (struct nvl_ldcache){.data = data, .len = len};
    if (len == 0)
        r = 0;
    else if (has_magic(cache, 0, magic_new))
        r = parse_new(cache, 0);
    else if (has_magic(cache, 0, magic_old))
        r = parse_old(cache);
    else
        r = -EINVAL;
    if (r < 0)
        nvl_ldcache_clear(cache);
    return r;
}

int nvl_ldcache_read(struct nvl_ldcache *cache, const struct nvl_root *root)
{
    nvl_autofree char *data = NULL;
    size_t len;

    *cache = (struct nvl_ldcache){0};
    int r = nvl_root_read(root, CACHE_FILE, NVL_LDCACHE_MAX, &data, &len);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : nvl_ldcache_parse(cache, TAKE_PTR(data), len);
}

static const char *string_at(const struct nvl_ldcache *cache, uint32_t offset)
{
    if (offset >= cache->len - cache->strings_at)
        return NULL;
    const char *s = cache->data + cache->strings_at + offset;
    return memchr(s, '\0', cache->len - cache->strings_at - offset) != NULL ? s : NULL;
}

static enum nvl_elf_class class_of(uint32_t flags)
{
    for (size_t i = 0; i < NVL_MACHINES; i++)
        if (flags == nvl_machines[i].cache_flags)
            return NVL_ELF_64;
        else if (flags == nvl_machines[i].cache_flags_32)
            return NVL_ELF_32;
    return NVL_ELF_OTHER;
}

bool nvl_ldcache_entry(const struct nvl_ldcache *cache, size_t i, struct nvl_ldcache_entry *entry)
{
    if (i >= cache->n_entries)
        return false;
    size_t at = cache->entries_at + i * NEW_ENTRY;
    entry->elf = class_of(get32(cache, at));
    entry->soname = string_at(cache, get32(cache, at + ENTRY_KEY_AT));
    entry->path = string_at(cache, get32(cache, at + ENTRY_VALUE_AT));
    return entry->soname != NULL && entry->path != NULL;
}

/* Compares in place: a search reads some thousand entries, and for few is it worth finding the end of their
 * strings. */
static bool has_soname(const struct nvl_ldcache *cache, size_t at, const char *soname, size_t size)
{
    uint32_t offset = get32(cache, at + ENTRY_KEY_AT);
    size_t room = cache->len - cache->strings_at;

    return offset < room && room - offset >= size &&
           memcmp(cache->data + cache->strings_at + offset, soname, size) == 0;
}

const char *nvl_ldcache_find(const struct nvl_ldcache *cache, enum nvl_elf_class elf, const char *soname)
{
    size_t size = strlen(soname) + 1;
    const char *other = NULL; /* of another architecture, as a captured host may have it */

    for (size_t i = 0; i < cache->n_entries; i++) {
        size_t at = cache->entries_at + i * NEW_ENTRY;
        uint32_t flags = get32(cache, at);
        struct nvl_ldcache_entry entry;
        if (class_of(flags) != elf || !has_soname(cache, at, soname, size) ||
            (get64(cache, at + ENTRY_HWCAP_AT) & HWCAP_EXTENSION) != 0 ||
            !nvl_ldcache_entry(cache, i, &entry))
            continue;
        if (elf == NVL_ELF_32 || flags == nvl_machine()->cache_flags)
            return entry.path;
        other = other != NULL ? other : entry.path;
    }
    return other;
}

void nvl_ldcache_clear(struct nvl_ldcache *cache)
{
    free(cache->data);
    *cache = (struct nvl_ldcache){0};
}
