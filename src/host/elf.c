/* Class, soname and needed libraries of an ELF file, by its program headers: the loader uses them, and they
 * remain when a file is stripped. libelf checks that each lookup stays inside the file. */
#include "host/elf.h"

#include <dlfcn.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>

#include "base/machine.h"
#include "base/root.h"

/* libelf is loaded for the first file: only a new bundle has files to read, and libelf with its own
 * dependencies would be a large part of every other command. */
#define FUNCTIONS(DO)                                                                                        \
    DO(elf_begin)                                                                                            \
    DO(elf_end)                                                                                              \
    DO(elf_kind)                                                                                             \
    DO(elf_getshdrstrndx)                                                                                    \
    DO(elf_nextscn)                                                                                          \
    DO(elf_strptr)                                                                                           \
    DO(gelf_getshdr)                                                                                         \
    DO(elf_getphdrnum)                                                                                       \
    DO(elf_getdata)                                                                                          \
    DO(elf_getdata_rawchunk)                                                                                 \
    DO(gelf_getehdr)                                                                                         \
    DO(gelf_getphdr)                                                                                         \
    DO(gelf_getdyn)                                                                                          \
    DO(gelf_fsize)                                                                                           \
    DO(elf_version)
#define POINTER(name) __typeof__(name) *name;
static struct {
    FUNCTIONS(POINTER)
} lib;

static int load(void)
{
    if (lib.elf_version != NULL) /* the last of them */
        return 0;
    void *handle = dlopen("libelf.so.1", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return -ENOSYS;
#define RESOLVE(name)                                                                                        \
    lib.name = (__typeof__(lib.name))dlsym(handle, #name);                                                   \
    if (lib.name == NULL)                                                                                    \
        return -ENOSYS;
    FUNCTIONS(RESOLVE)
    return lib.elf_version(EV_CURRENT) != EV_NONE ? 0 : -ENOSYS;
}

static void end_elf(Elf **elf)
{
    lib.elf_end(*elf);
}

static enum nvl_elf_class class_of(Elf *elf)
{
    GElf_Ehdr header;

    if (lib.elf_kind(elf) != ELF_K_ELF || lib.gelf_getehdr(elf, &header) == NULL)
        return NVL_ELF_OTHER;
    for (size_t i = 0; i < NVL_MACHINES; i++) /* x32 is EM_X86_64 of 32 bits */
        if (header.e_machine == nvl_machines[i].elf && header.e_ident[EI_CLASS] == ELFCLASS64)
            return NVL_ELF_64;
        else if (header.e_machine == nvl_machines[i].elf_32 && header.e_ident[EI_CLASS] == ELFCLASS32)
            return NVL_ELF_32;
    return NVL_ELF_OTHER;
}

static Elf_Data *read_dynamic(Elf *elf)
{
    GElf_Phdr header;
    size_t count = 0;

    if (lib.elf_getphdrnum(elf, &count) < 0)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (lib.gelf_getphdr(elf, (int)i, &header) != NULL && header.p_type == PT_DYNAMIC)
            return lib.elf_getdata_rawchunk(elf, (int64_t)header.p_offset, header.p_filesz, ELF_T_DYN);
    return NULL;
}

/* The bytes at an address once the file is loaded. */
static Elf_Data *read_address(Elf *elf, GElf_Addr address, size_t size)
{
    GElf_Phdr header;
    size_t count = 0;

    if (lib.elf_getphdrnum(elf, &count) < 0)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (lib.gelf_getphdr(elf, (int)i, &header) == NULL || header.p_type != PT_LOAD ||
            address < header.p_vaddr || address - header.p_vaddr >= header.p_filesz ||
            size > header.p_filesz - (address - header.p_vaddr))
            continue;
        uint64_t offset = header.p_offset + (address - header.p_vaddr);
        if (offset < header.p_offset || offset > INT64_MAX)
            return NULL;
        return lib.elf_getdata_rawchunk(elf, (int64_t)offset, size, ELF_T_BYTE);
    }
    return NULL;
}

static GElf_Xword dynamic_value(Elf_Data *dynamic, size_t count, GElf_Sxword tag)
{
    GElf_Dyn entry;

    for (size_t i = 0; i < count; i++) {
        if (lib.gelf_getdyn(dynamic, (int)i, &entry) == NULL || entry.d_tag == DT_NULL)
            break;
        if (entry.d_tag == tag)
            return entry.d_un.d_val;
    }
    return 0;
}

static const char *string_at(const Elf_Data *strings, GElf_Xword offset)
{
    if (offset >= strings->d_size)
        return NULL;
    const char *s = (const char *)strings->d_buf + offset;
    return memchr(s, '\0', strings->d_size - offset) != NULL ? s : NULL;
}

static void read_names(Elf *elf, struct nvl_elf *out)
{
    Elf_Data *dynamic = read_dynamic(elf);
    GElf_Dyn entry;

    if (dynamic == NULL || dynamic->d_buf == NULL)
        return; /* static, or incomplete */
    size_t count = dynamic->d_size / lib.gelf_fsize(elf, ELF_T_DYN, 1, EV_CURRENT);
    Elf_Data *strings =
        read_address(elf, dynamic_value(dynamic, count, DT_STRTAB), dynamic_value(dynamic, count, DT_STRSZ));
    if (strings == NULL || strings->d_buf == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        if (lib.gelf_getdyn(dynamic, (int)i, &entry) == NULL || entry.d_tag == DT_NULL)
            break;
        const char *s = string_at(strings, entry.d_un.d_val);
        if (s == NULL)
            continue;
        if (entry.d_tag == DT_SONAME && out->soname == NULL)
            out->soname = nvl_xstrdup(s);
        else if (entry.d_tag == DT_NEEDED)
            nvl_strv_push(&out->needed, s);
    }
}

int nvl_elf_read(int fd, struct nvl_elf *elf)
{
    *elf = (struct nvl_elf){0};
    int r = load();
    if (r < 0)
        return r;
    /* Not mapped: a file that is truncated while it is read must not kill the program. */
    errno = 0; /* libelf leaves that of a failed read */
    nvl_auto(end_elf) Elf *handle = lib.elf_begin(fd, ELF_C_READ, NULL);
    elf->elf = handle != NULL ? class_of(handle) : NVL_ELF_OTHER;
    if (elf->elf != NVL_ELF_OTHER)
        read_names(handle, elf);
    if (nvl_is_trouble(-errno))
        return -errno;
    return elf->elf != NVL_ELF_OTHER ? 0 : -ENOEXEC;
}

static Elf_Data *read_section(Elf *elf, const char *name)
{
    GElf_Shdr header;
    size_t strings;

    if (lib.elf_kind(elf) != ELF_K_ELF || lib.elf_getshdrstrndx(elf, &strings) < 0)
        return NULL;
    for (Elf_Scn *section = lib.elf_nextscn(elf, NULL); section != NULL;
         section = lib.elf_nextscn(elf, section)) {
        const char *its =
            lib.gelf_getshdr(section, &header) != NULL ? lib.elf_strptr(elf, strings, header.sh_name) : NULL;
        if (its != NULL && strcmp(its, name) == 0)
            return lib.elf_getdata(section, NULL);
    }
    return NULL;
}

char *nvl_elf_licence(int fd)
{
    static const char key[] = "license=";

    if (load() < 0)
        return NULL;
    nvl_auto(end_elf) Elf *handle = lib.elf_begin(fd, ELF_C_READ, NULL);
    Elf_Data *info = handle != NULL ? read_section(handle, ".modinfo") : NULL;
    if (info == NULL || info->d_buf == NULL)
        return NULL;
    for (const char *at = info->d_buf, *end = at + info->d_size; at < end;) {
        size_t len = strnlen(at, (size_t)(end - at)); /* "key=value", each followed by a NUL */
        if (len > sizeof key - 1 && memcmp(at, key, sizeof key - 1) == 0)
            return nvl_xstrndup(at + sizeof key - 1, len - (sizeof key - 1));
        at += len + 1;
    }
    return NULL;
}

void nvl_elf_clear(struct nvl_elf *elf)
{
    free(elf->soname);
    nvl_strv_clear(&elf->needed);
    *elf = (struct nvl_elf){0};
}
