/* The container's C library, by what its loader is. The files are hostile: each read is bounded, and nothing
 * of them is mapped. (host/elf.h needs libelf, which the hook has not.) */
#include "inject/libc.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/root.h"

#define HEADERS_MAX 64
#define DYNAMIC_MAX 256

/* What an ELF file says of itself; empty texts for what it does not. */
struct program {
    unsigned machine;
    char interpreter[256], soname[64];
};

static bool read_text(int fd, uint64_t offset, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, (off_t)offset);

    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Where the file has what is loaded at that address; 0 for nowhere. */
static uint64_t file_offset(const Elf64_Phdr *headers, size_t count, uint64_t address)
{
    for (size_t i = 0; i < count; i++)
        if (headers[i].p_type == PT_LOAD && address >= headers[i].p_vaddr &&
            address - headers[i].p_vaddr < headers[i].p_filesz)
            return headers[i].p_offset + (address - headers[i].p_vaddr);
    return 0;
}

static void read_soname(int fd, const Elf64_Phdr *headers, size_t count, const Elf64_Phdr *dynamic,
                        struct program *p)
{
    Elf64_Dyn entries[DYNAMIC_MAX];
    uint64_t strings = 0, soname = 0;
    ssize_t n = pread(fd, entries, sizeof entries, (off_t)dynamic->p_offset);

    for (ssize_t i = 0; i < n / (ssize_t)sizeof *entries && entries[i].d_tag != DT_NULL; i++)
        if (entries[i].d_tag == DT_STRTAB)
            strings = file_offset(headers, count, entries[i].d_un.d_ptr);
        else if (entries[i].d_tag == DT_SONAME)
            soname = entries[i].d_un.d_val;
    if (strings > 0 && soname > 0)
        read_text(fd, strings + soname, p->soname, sizeof p->soname);
}

static void read_headers(int fd, const Elf64_Ehdr *elf, struct program *p)
{
    Elf64_Phdr headers[HEADERS_MAX];
    size_t size = (elf->e_phnum < HEADERS_MAX ? elf->e_phnum : HEADERS_MAX) * sizeof *headers;
    ssize_t n = pread(fd, headers, size, (off_t)elf->e_phoff);
    size_t count = n > 0 ? (size_t)n / sizeof *headers : 0;

    for (size_t i = 0; i < count; i++)
        if (headers[i].p_type == PT_INTERP)
            read_text(fd, headers[i].p_offset, p->interpreter, sizeof p->interpreter);
        else if (headers[i].p_type == PT_DYNAMIC)
            read_soname(fd, headers, count, &headers[i], p);
}

static int open_regular(const struct nvl_root *rootfs, const char *path)
{
    struct stat st;
    nvl_autofd int fd = nvl_root_openat(rootfs, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? TAKE_FD(fd) : -1;
}

/* False if the file is not ELF. Its machine alone is known if it is not of 64 bits, little-endian. */
static bool read_elf(int fd, struct program *p)
{
    Elf64_Ehdr elf;

    *p = (struct program){0};
    if (pread(fd, &elf, sizeof elf, 0) != sizeof elf || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0)
        return false;
    bool is_little = elf.e_ident[EI_DATA] == ELFDATA2LSB;
    p->machine = is_little ? le16toh(elf.e_machine) : be16toh(elf.e_machine);
    if (is_little && elf.e_ident[EI_CLASS] == ELFCLASS64 && elf.e_phentsize == sizeof(Elf64_Phdr))
        read_headers(fd, &elf, p);
    return true;
}

/* What cannot be read is remembered as the root's trouble. */
static bool read_elf_of(const struct nvl_root *rootfs, const char *path, int fd, struct program *p)
{
    errno = 0;
    bool is_elf = read_elf(fd, p);
    nvl_root_note(rootfs, path, -errno);
    return is_elf;
}

/* A script stands for its interpreter. */
static bool read_program(const struct nvl_root *rootfs, const char *path, struct program *p)
{
    nvl_autofd int fd = open_regular(rootfs, path);
    char line[256];

    if (fd < 0)
        return false;
    if (read_elf_of(rootfs, path, fd, p))
        return true;
    if (!read_text(fd, 0, line, sizeof line) || line[0] != '#' || line[1] != '!')
        return false;
    char *name = line + 2 + strspn(line + 2, " \t");
    name[strcspn(name, " \t\n")] = '\0';
    nvl_autofd int interpreter = open_regular(rootfs, name);
    return interpreter >= 0 && read_elf_of(rootfs, name, interpreter, p);
}

static bool is_foreign(unsigned machine)
{
    return machine != nvl_machine()->elf && machine != nvl_machine()->elf_32;
}

static const char *machine_name(unsigned machine)
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {
        {EM_ARM, "arm"}, {EM_386, "i386"}, {EM_RISCV, "riscv"}, {EM_PPC64, "ppc64"}, {EM_S390, "s390"}};
    const struct nvl_machine *hosts = nvl_machine_of_elf(machine);

    for (size_t i = 0; i < NVL_LENGTH(names); i++)
        if (names[i].machine == machine)
            return names[i].name;
    return hosts != NULL ? hosts->title : "another processor";
}

/* The container's first programs. False if none can be read; the interpreter is that of the first that has
 * one. */
static bool read_first_programs(const struct nvl_root *rootfs, struct program *p)
{
    static const char *const paths[] = {"/sbin/init", "/bin/sh", "/usr/bin/env", "/init"};
    struct program one;
    bool is_any = false;

    *p = (struct program){0};
    for (size_t i = 0; i < NVL_LENGTH(paths) && p->interpreter[0] == '\0'; i++)
        if (read_program(rootfs, paths[i], &one)) {
            *p = one;
            is_any = true;
        }
    return is_any;
}

/* A file that is not ELF, as in a captured host, is taken at its name. */
static bool is_glibc(const struct nvl_root *rootfs, const char *path)
{
    struct program p;
    struct stat st;
    nvl_autofd int fd = open_regular(rootfs, path);

    if (fd < 0) /* it may be executable without being readable */
        return nvl_root_stat(rootfs, path, 0, &st) == 0 && S_ISREG(st.st_mode);
    return !read_elf_of(rootfs, path, fd, &p) || nvl_has_prefix(p.soname, "ld-linux");
}

void nvl_libc_read(const struct nvl_root *rootfs, struct nvl_libc *libc)
{
    struct program first;
    bool is_known = read_first_programs(rootfs, &first);
    const char *glibc = nvl_machine()->glibc, *musl = nvl_machine()->musl;
    const char *loader = nvl_root_exists(rootfs, musl) ? musl : glibc;

    *libc = (struct nvl_libc){.kind = NVL_LIBC_NONE};
    if (is_known && is_foreign(first.machine)) {
        libc->kind = NVL_LIBC_FOREIGN;
        libc->machine = machine_name(first.machine);
    } else if (is_glibc(rootfs, glibc)) {
        libc->kind = NVL_LIBC_GLIBC;
    } else if (first.interpreter[0] == '/' && nvl_is_plain(first.interpreter) &&
               is_glibc(rootfs, first.interpreter)) {
        libc->kind = NVL_LIBC_ELSEWHERE;
        libc->loader = nvl_xstrdup(first.interpreter);
    } else if (nvl_root_exists(rootfs, loader)) {
        libc->kind = NVL_LIBC_MUSL;
        libc->is_disguised = nvl_root_exists(rootfs, glibc);
        libc->loader = nvl_xstrdup(loader);
    }
}

void nvl_libc_clear(struct nvl_libc *libc)
{
    free(libc->loader);
    *libc = (struct nvl_libc){0};
}
