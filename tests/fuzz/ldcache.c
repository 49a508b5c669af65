/* ld.so.cache of a container: each entry lies in the file, and what is found is one of them. Also whether it
 * is current, with the bundle's list of sonames as the second part. */
#include "fuzz.h"

#include "host/ldcache.h"
#include "inject/linker.h"

static bool lies_in(const struct nvl_ldcache *cache, const char *text)
{
    return text >= cache->data && text < cache->data + cache->len &&
           memchr(text, '\0', (size_t)(cache->data + cache->len - text)) != NULL;
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};
    struct nvl_ldcache_entry entry;
    nvl_autofree char *sonames = fuzz_text(&in);
    char *file = nvl_xcalloc(in.len, 1);

    memcpy(file, in.data, in.len);
    if (nvl_ldcache_parse(&cache, file, in.len) == 0)
        for (size_t i = 0; i < cache.n_entries; i++)
            if (nvl_ldcache_entry(&cache, i, &entry)) {
                CHECK(lies_in(&cache, entry.soname) && lies_in(&cache, entry.path));
                const char *found = nvl_ldcache_find(&cache, entry.elf, entry.soname);
                CHECK(found == NULL || lies_in(&cache, found));
                if (i > 64)
                    break;
            }
    fuzz_put("/etc/ld.so.cache", in.data, in.len);
    nvl_linker_is_current(fuzz_root(), "/usr/local/nvidia", sonames, strlen(sonames), len % 2 == 0);
    nvl_linker_names_bundle(fuzz_root());
}
