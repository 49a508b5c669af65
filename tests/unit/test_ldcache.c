/* The linker cache's reader, against caches made here, the machine's own, and damaged copies of both:
 * whatever the bytes are, it must neither crash nor read outside them (run it with the address sanitizer). */
#include "machine.h"
#include "temp_root.h"

#include <errno.h>
#include <stdlib.h>

#include "host/ldcache.h"

struct made_entry {
    uint32_t flags;
    uint64_t hwcap;
    const char *soname, *path;
};

/* of x86-64, and of arm64 */
#define OWN   0x0303
#define OTHER 0x0a03

#define HWCAPS (1ull << 62 | 3ull << 32) /* a glibc-hwcaps folder, some level */

static const struct made_entry made[] = {
    {OTHER, 0, "libcuda.so.1", "/lib/other-linux-gnu/libcuda.so.1"},
    {0x0303, HWCAPS, "libcuda.so.1", "/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libcuda.so.1"},
    {0x0003, 0, "libcuda.so.1", "/lib/i386-linux-gnu/libcuda.so.1"},
    {OWN, 0, "libcuda.so.1", "/lib/own-linux-gnu/libcuda.so.1"},
    {OWN, 0, "libcuda.so.1", "/opt/second/libcuda.so.1"},
    {0x0803, 0, "libx32.so.1", "/libx32/libx32.so.1"},
    {0x0a03, 0, "libarm.so.1", "/lib/aarch64-linux-gnu/libarm.so.1"},
    {0x0303, 0, "libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"},
};

static void add32(struct nvl_buf *b, size_t value)
{
    uint32_t word = (uint32_t)value;

    nvl_buf_add(b, &word, sizeof word);
}

/* As ldconfig writes it: header, entries, strings. `endian` is the header's flag byte. */
static void make_new(struct nvl_buf *b, char endian)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf strings = {0};
    static const char padding[15];
    size_t strings_at = 48 + NVL_LENGTH(made) * 24;

    nvl_buf_add(b, "glibc-ld.so.cache1.1", 20);
    add32(b, NVL_LENGTH(made));
    add32(b, 0); /* the length of the strings, which the reader does not need */
    nvl_buf_add(b, &endian, 1);
    nvl_buf_add(b, padding, 15);
    add32(b, 0);
    for (size_t i = 0; i < NVL_LENGTH(made); i++) {
        add32(b, made[i].flags);
        add32(b, strings_at + strings.len);
        nvl_buf_add(&strings, made[i].soname, strlen(made[i].soname) + 1);
        add32(b, strings_at + strings.len);
        nvl_buf_add(&strings, made[i].path, strlen(made[i].path) + 1);
        add32(b, 0);
        nvl_buf_add(b, &made[i].hwcap, sizeof made[i].hwcap);
    }
    nvl_buf_add(b, strings.data, strings.len);
}

/* `count` entries of the old table before it, and the alignment of the machine that wrote it. */
static void make_both(struct nvl_buf *b, size_t count, size_t align)
{
    static const char zeros[16];

    nvl_buf_add(b, "ld.so-1.7.0\0", 12);
    add32(b, count);
    for (size_t i = 0; i < count; i++)
        nvl_buf_add(b, zeros, 12);
    nvl_buf_add(b, zeros, (align - b->len % align) % align);
    make_new(b, 2);
}

/* Of exactly that size, so that the sanitizer sees the first byte too far. */
static char *copy_of(const char *data, size_t len)
{
    char *copy = nvl_xcalloc(1, len);

    memcpy(copy, data, len);
    return copy;
}

static void check_made(struct nvl_buf *b)
{
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};
    struct nvl_ldcache_entry e;

    assert_int_equal(nvl_ldcache_parse(&cache, copy_of(b->data, b->len), b->len), 0);
    assert_int_equal(cache.n_entries, NVL_LENGTH(made));
    for (size_t i = 0; i < NVL_LENGTH(made); i++) {
        assert_true(nvl_ldcache_entry(&cache, i, &e));
        assert_string_equal(e.soname, made[i].soname);
        assert_string_equal(e.path, made[i].path);
    }
    assert_false(nvl_ldcache_entry(&cache, NVL_LENGTH(made), &e));
    assert_string_equal(nvl_ldcache_find(&cache, NVL_ELF_64, "libcuda.so.1"), made[3].path);
    assert_string_equal(nvl_ldcache_find(&cache, NVL_ELF_32, "libcuda.so.1"), made[2].path);
    be_machine("aarch64");
    assert_string_equal(nvl_ldcache_find(&cache, NVL_ELF_64, "libcuda.so.1"), made[0].path);
    be_machine("x86_64");
    assert_string_equal(nvl_ldcache_find(&cache, NVL_ELF_64, "libarm.so.1"), made[6].path);
    assert_string_equal(nvl_ldcache_find(&cache, NVL_ELF_OTHER, "libx32.so.1"), made[5].path);
    assert_null(nvl_ldcache_find(&cache, NVL_ELF_64, "libcuda.so"));
    assert_null(nvl_ldcache_find(&cache, NVL_ELF_64, "libcuda.so.10"));
    assert_null(nvl_ldcache_find(&cache, NVL_ELF_32, "libc.so.6"));
}

static void test_formats(void **state)
{
    (void)state;
    nvl_auto(nvl_buf_clear) struct nvl_buf plain = {0}, unsaid = {0}, both = {0}, none = {0}, i386 = {0};

    make_new(&plain, 2);
    check_made(&plain);
    make_new(&unsaid, 0);
    check_made(&unsaid);
    make_both(&both, 3, 8); /* 16 + 36: four bytes of padding */
    check_made(&both);
    make_both(&none, 0, 8);
    check_made(&none);
    make_both(&i386, 3, 4);
    check_made(&i386);
}

static void test_foreign(void **state)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf big = {0}, old = {0};
    static const char *const not_caches[] = {"#!/bin/sh\n", "glibc-ld.so.cache1.0", "ld.so-1.7", "g"};
    struct nvl_ldcache cache;

    (void)state;
    make_new(&big, 3); /* big-endian */
    assert_int_equal(nvl_ldcache_parse(&cache, copy_of(big.data, big.len), big.len), 0);
    assert_int_equal(cache.n_entries, 0);
    nvl_ldcache_clear(&cache);
    nvl_buf_add(&old, "ld.so-1.7.0\0\0\0\0\0", 16);
    assert_int_equal(nvl_ldcache_parse(&cache, copy_of(old.data, old.len), old.len), 0);
    assert_int_equal(cache.n_entries, 0);
    nvl_ldcache_clear(&cache);
    old.data[12] = 1; /* one entry, for which there is no room */
    assert_int_equal(nvl_ldcache_parse(&cache, copy_of(old.data, old.len), old.len), -EINVAL);
    assert_int_equal(nvl_ldcache_parse(&cache, nvl_xstrdup(""), 0), 0);
    nvl_ldcache_clear(&cache);
    for (size_t i = 0; i < NVL_LENGTH(not_caches); i++)
        assert_int_equal(
            nvl_ldcache_parse(&cache, copy_of(not_caches[i], strlen(not_caches[i])), strlen(not_caches[i])),
            -EINVAL);
}

/* Reads everything of a cache that may say anything. */
static void read_all(const char *data, size_t len)
{
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};
    struct nvl_ldcache_entry e;
    size_t sum = 0;

    if (nvl_ldcache_parse(&cache, copy_of(data, len), len) < 0)
        return;
    assert_true(cache.n_entries <= len / 24);
    for (size_t i = 0; i < cache.n_entries; i++)
        if (nvl_ldcache_entry(&cache, i, &e))
            sum += strlen(e.soname) + strlen(e.path);
    const char *found = nvl_ldcache_find(&cache, NVL_ELF_64, "libc.so.6");
    assert_true(found == NULL || (found >= cache.data && found < cache.data + cache.len));
    (void)sum;
}

static void test_truncated(void **state)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf plain = {0}, both = {0};

    (void)state;
    make_new(&plain, 2);
    make_both(&both, 3, 8);
    for (size_t len = 0; len < plain.len; len++)
        read_all(plain.data, len);
    for (size_t len = 0; len < both.len; len++)
        read_all(both.data, len);
    /* without the last NUL the last string does not end: its entry is refused, the others stay */
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};
    struct nvl_ldcache_entry e;
    assert_int_equal(nvl_ldcache_parse(&cache, copy_of(plain.data, plain.len - 1), plain.len - 1), 0);
    assert_false(nvl_ldcache_entry(&cache, NVL_LENGTH(made) - 1, &e));
    assert_null(nvl_ldcache_find(&cache, NVL_ELF_64, "libc.so.6"));
    assert_non_null(nvl_ldcache_find(&cache, NVL_ELF_64, "libcuda.so.1"));
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* The same damage at each run: some bytes anywhere, or words of the header and the table with telling values.
 */
static void mutate(const char *data, size_t len, unsigned rounds)
{
    static const uint32_t words[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0, 0x0aaaaaab};
    uint32_t seed = 20240406;

    for (unsigned i = 0; i < rounds; i++) {
        nvl_autofree char *bad = copy_of(data, len);
        for (unsigned n = next(&seed) % 4; n < 4; n++) {
            if (next(&seed) % 2 == 0) {
                bad[next(&seed) % len] ^= (char)(1u << (next(&seed) % 8));
            } else {
                size_t at = next(&seed) % (len < 256 ? len / 4 : 64) * 4;
                memcpy(bad + at, &words[next(&seed) % NVL_LENGTH(words)], 4);
            }
        }
        read_all(bad, len);
    }
}

static void test_mutated(void **state)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf plain = {0}, both = {0};

    (void)state;
    make_new(&plain, 2);
    make_both(&both, 3, 8);
    mutate(plain.data, plain.len, 20000);
    mutate(both.data, both.len, 20000);
}

static void test_absent_and_huge(void **state)
{
    const struct temp_root *t = *state;
    struct nvl_ldcache cache;

    assert_int_equal(nvl_ldcache_read(&cache, &t->root), 0);
    assert_int_equal(cache.n_entries, 0);
    put(t, "/etc/ld.so.cache", "");
    assert_int_equal(nvl_ldcache_read(&cache, &t->root), 0);
    nvl_ldcache_clear(&cache);
    nvl_autofd int fd = openat(t->fd, "etc/ld.so.cache", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, (off_t)NVL_LDCACHE_MAX + 1), 0);
    assert_int_equal(nvl_ldcache_read(&cache, &t->root), -EFBIG);
    assert_int_equal(unlinkat(t->fd, "etc/ld.so.cache", 0), 0);
    assert_int_equal(mkfifoat(t->fd, "etc/ld.so.cache", 0644), 0); /* must not wait for a writer */
    assert_int_equal(nvl_ldcache_read(&cache, &t->root), -EINVAL);
}

/* One line of `ldconfig -p`: "\tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1". */
static void check_line(const struct nvl_ldcache *cache, size_t i, char *line)
{
    struct nvl_ldcache_entry e;
    char *kind = strstr(line, " ("), *path = strstr(line, " => ");

    assert_non_null(kind);
    assert_non_null(path);
    *kind = '\0';
    path[strcspn(path, "\n")] = '\0';
    kind += 2;
    kind[strcspn(kind, ")")] = '\0';
    assert_true(nvl_ldcache_entry(cache, i, &e));
    assert_string_equal(e.soname, line + 1);
    assert_string_equal(e.path, path + 4);
    if (nvl_has_prefix(kind, "libc6,x86-64"))
        assert_int_equal(e.elf, NVL_ELF_64);
    else if (strcmp(kind, "libc6") == 0)
        assert_int_equal(e.elf, NVL_ELF_32);
}

static void test_machine(void **state)
{
    nvl_auto(nvl_root_close) struct nvl_root root = NVL_ROOT_NONE;
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};
    char line[4096];
    size_t n = 0;

    (void)state;
    if (access("/etc/ld.so.cache", R_OK) < 0 || access("/sbin/ldconfig", X_OK) < 0)
        skip();
    assert_int_equal(nvl_root_open(&root, "/", NULL), 0);
    assert_int_equal(nvl_ldcache_read(&cache, &root), 0);
    FILE *listing = popen("LC_ALL=C /sbin/ldconfig -p", "re");
    assert_non_null(listing);
    while (fgets(line, sizeof line, listing) != NULL)
        if (line[0] == '\t')
            check_line(&cache, n++, line);
    assert_int_equal(pclose(listing), 0);
    assert_true(n > 0);
    assert_int_equal(cache.n_entries, n);
    assert_non_null(nvl_ldcache_find(&cache, sizeof(void *) == 8 ? NVL_ELF_64 : NVL_ELF_32, "libc.so.6"));
    mutate(cache.data, cache.len, 300);
    for (size_t len = 0; len < cache.len; len += 97)
        read_all(cache.data, len);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_mutated),
        cmocka_unit_test_setup_teardown(test_absent_and_huge, setup_root, teardown_root),
        cmocka_unit_test(test_machine),
    };
    return cmocka_run_group_tests(tests, be_x86_64, NULL);
}
