/* Libraries for a test's host: real ELF files, as small as they can be. */
#pragma once

#include "temp_root.h"

#include <elf.h>

#define LIB32 "/usr/lib/i386-linux-gnu" /* what is put there is a 32-bit one */

/* One loaded segment from the file's begin, and a dynamic section that has a soname and nothing else. */
#define TINY_ELF(bits, machine)                                                                              \
    struct tiny##bits {                                                                                      \
        Elf##bits##_Ehdr head;                                                                               \
        Elf##bits##_Phdr load, dynamic;                                                                      \
        Elf##bits##_Dyn dyn[4];                                                                              \
        char strings[64];                                                                                    \
    };                                                                                                       \
    static inline void make_elf##bits(struct tiny##bits *e, const char *soname)                              \
    {                                                                                                        \
        *e = (struct tiny##bits){                                                                            \
            .head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS##bits, ELFDATA2LSB, EV_CURRENT},              \
                     .e_type = ET_DYN,                                                                       \
                     .e_machine = machine,                                                                   \
                     .e_version = EV_CURRENT,                                                                \
                     .e_phoff = offsetof(struct tiny##bits, load),                                           \
                     .e_ehsize = sizeof e->head,                                                             \
                     .e_phentsize = sizeof e->load,                                                          \
                     .e_phnum = 2},                                                                          \
            .load = {.p_type = PT_LOAD, .p_filesz = sizeof *e, .p_memsz = sizeof *e},                        \
            .dynamic = {.p_type = PT_DYNAMIC,                                                                \
                        .p_offset = offsetof(struct tiny##bits, dyn),                                        \
                        .p_vaddr = offsetof(struct tiny##bits, dyn),                                         \
                        .p_filesz = sizeof e->dyn},                                                          \
            .dyn = {{.d_tag = DT_STRTAB, .d_un.d_val = offsetof(struct tiny##bits, strings)},                \
                    {.d_tag = DT_STRSZ, .d_un.d_val = sizeof e->strings},                                    \
                    {.d_tag = DT_SONAME, .d_un.d_val = 1},                                                   \
                    {.d_tag = DT_NULL}},                                                                     \
        };                                                                                                   \
        snprintf(e->strings + 1, sizeof e->strings - 1, "%s", soname);                                       \
    }
TINY_ELF(64, EM_X86_64)
TINY_ELF(32, EM_386)

/* Replaces what is there. */
static inline void put_bytes(const struct temp_root *t, const char *path, const void *data, size_t len)
{
    struct nvl_error err = {0};

    unlinkat(t->fd, path + 1, 0);
    if (nvl_tree_file(t->fd, path, data, len, &err) < 0)
        fail_msg("%s", err.message);
}

static inline void put_text(const struct temp_root *t, const char *path, const char *text)
{
    put_bytes(t, path, text, strlen(text));
}

/* dir/name, which has this soname, and the text behind it. */
static inline void put_library(const struct temp_root *t, const char *dir, const char *name,
                               const char *soname, const char *text)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf data = {0};
    nvl_autofree char *path = nvl_xasprintf("%s/%s", dir, name);
    struct tiny64 wide;
    struct tiny32 narrow;

    make_elf64(&wide, soname);
    make_elf32(&narrow, soname);
    if (strcmp(dir, LIB32) == 0)
        nvl_buf_add(&data, &narrow, sizeof narrow);
    else
        nvl_buf_add(&data, &wide, sizeof wide);
    nvl_buf_add(&data, text, strlen(text));
    put_bytes(t, path, data.data, data.len);
}
