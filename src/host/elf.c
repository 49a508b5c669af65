/* Class, soname and needed libraries of an ELF file, by its program headers: they are what the loader goes
 * by, and they stay when a file is stripped. Nothing in the file is believed: what is read is bounded, and
 * what does not lie inside the file is not there. Not mapped: a file that is cut while it is read must not
 * kill the program. Source: elf(5). */
#include "host/elf.h"

#include <elf.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADERS_MAX 1024
#define DYNAMIC_MAX (1u << 20)
#define STRINGS_MAX (16u << 20)

/* The same of both classes. */
struct segment {
    uint32_t type;
    uint64_t offset, address, size;
};

struct reader {
    int fd;
    uint64_t file_size;
    bool is_64;
    struct segment *segments;
    size_t n_segments;
};

/* Exactly so many bytes from that place; the caller frees. NULL where the file has them not. */
static void *read_bytes(const struct reader *r, uint64_t offset, uint64_t size, uint64_t max)
{
    if (size == 0 || size > max || offset > r->file_size || size > r->file_size - offset)
        return NULL;
    nvl_autofree char *bytes = nvl_xcalloc(1, size);
    for (uint64_t done = 0; done < size;) {
        ssize_t n = pread(r->fd, bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        done += (uint64_t)n;
    }
    return TAKE_PTR(bytes);
}

static enum nvl_elf_class class_of(const unsigned char *ident, unsigned machine)
{
    const unsigned own = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;

    if (ident[EI_DATA] != own || ident[EI_VERSION] != EV_CURRENT)
        return NVL_ELF_OTHER;
    switch (machine) {
    case EM_X86_64:
    case EM_AARCH64:
        return ident[EI_CLASS] == ELFCLASS64 ? NVL_ELF_64 : NVL_ELF_OTHER; /* x32 is 32 bit */
    case EM_386:
        return ident[EI_CLASS] == ELFCLASS32 ? NVL_ELF_32 : NVL_ELF_OTHER;
    default:
        return NVL_ELF_OTHER;
    }
}

/* The table of `count` headers of one class into segments. */
#define TAKE_SEGMENTS(r, table, count)                                                                       \
    for (size_t i = 0; i < (count); i++)                                                                     \
        (r)->segments[i] = (struct segment)                                                                  \
        {                                                                                                    \
            (table)[i].p_type, (table)[i].p_offset, (table)[i].p_vaddr, (table)[i].p_filesz                  \
        }

static void read_segments(struct reader *r, uint64_t offset, size_t count, size_t entry_size)
{
    size_t size = r->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

    if (entry_size != size || count > HEADERS_MAX)
        return;
    nvl_autofree void *table = read_bytes(r, offset, count * size, HEADERS_MAX * sizeof(Elf64_Phdr));
    if (table == NULL)
        return;
    r->segments = nvl_xcalloc(count, sizeof *r->segments);
    r->n_segments = count;
    if (r->is_64)
        TAKE_SEGMENTS(r, (const Elf64_Phdr *)table, count);
    else
        TAKE_SEGMENTS(r, (const Elf32_Phdr *)table, count);
}

/* The class, and where it is one that we know the segments. */
static enum nvl_elf_class read_header(struct reader *r)
{
    union {
        unsigned char ident[EI_NIDENT];
        Elf64_Ehdr e64;
        Elf32_Ehdr e32;
    } * header;
    nvl_autofree void *bytes = read_bytes(r, 0, sizeof header->e32, sizeof header->e32);

    if (bytes == NULL || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return NVL_ELF_OTHER;
    header = bytes;
    enum nvl_elf_class elf = class_of(header->ident, header->e32.e_machine); /* at one place in both */
    r->is_64 = elf == NVL_ELF_64;
    if (elf == NVL_ELF_32)
        read_segments(r, header->e32.e_phoff, header->e32.e_phnum, header->e32.e_phentsize);
    if (elf != NVL_ELF_64)
        return elf;
    nvl_autofree void *all = read_bytes(r, 0, sizeof header->e64, sizeof header->e64);
    if (all == NULL)
        return NVL_ELF_OTHER;
    header = all;
    read_segments(r, header->e64.e_phoff, header->e64.e_phnum, header->e64.e_phentsize);
    return elf;
}

/* The bytes that lie at an address once the file is loaded. */
static void *read_address(const struct reader *r, uint64_t address, uint64_t size)
{
    for (size_t i = 0; i < r->n_segments; i++) {
        const struct segment *s = &r->segments[i];
        uint64_t in = address - s->address;
        if (s->type == PT_LOAD && address >= s->address && in < s->size && size <= s->size - in &&
            s->offset + in >= s->offset)
            return read_bytes(r, s->offset + in, size, STRINGS_MAX);
    }
    return NULL;
}

struct dynamic {
    bool is_64;
    const void *entries; /* Elf64_Dyn or Elf32_Dyn */
    size_t count;
};

static bool get_entry(const struct dynamic *d, size_t i, int64_t *tag, uint64_t *value)
{
    if (i >= d->count)
        return false;
    if (d->is_64) {
        const Elf64_Dyn *entry = (const Elf64_Dyn *)d->entries + i;
        *tag = entry->d_tag;
        *value = entry->d_un.d_val;
    } else {
        const Elf32_Dyn *entry = (const Elf32_Dyn *)d->entries + i;
        *tag = entry->d_tag;
        *value = entry->d_un.d_val;
    }
    return *tag != DT_NULL;
}

static uint64_t value_of(const struct dynamic *d, int64_t wanted)
{
    uint64_t value;
    int64_t tag;

    for (size_t i = 0; get_entry(d, i, &tag, &value); i++)
        if (tag == wanted)
            return value;
    return 0;
}

static void take_names(const struct dynamic *d, const char *strings, uint64_t size, struct nvl_elf *out)
{
    uint64_t value;
    int64_t tag;

    for (size_t i = 0; get_entry(d, i, &tag, &value); i++) {
        if ((tag != DT_SONAME && tag != DT_NEEDED) || value >= size ||
            memchr(strings + value, '\0', size - value) == NULL)
            continue;
        if (tag == DT_NEEDED)
            nvl_strv_push(&out->needed, strings + value);
        else if (out->soname == NULL)
            out->soname = nvl_xstrdup(strings + value);
    }
}

static void read_names(const struct reader *r, struct nvl_elf *out)
{
    const struct segment *s = NULL;

    for (size_t i = 0; i < r->n_segments && s == NULL; i++)
        if (r->segments[i].type == PT_DYNAMIC)
            s = &r->segments[i];
    nvl_autofree void *entries = s != NULL ? read_bytes(r, s->offset, s->size, DYNAMIC_MAX) : NULL;
    if (entries == NULL)
        return; /* static, or not whole */
    const struct dynamic d = {.is_64 = r->is_64,
                              .entries = entries,
                              .count = s->size / (r->is_64 ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn))};
    uint64_t size = value_of(&d, DT_STRSZ);
    nvl_autofree char *strings = read_address(r, value_of(&d, DT_STRTAB), size);
    if (strings != NULL)
        take_names(&d, strings, size, out);
}

int nvl_elf_read(int fd, struct nvl_elf *elf)
{
    struct reader r = {.fd = fd};
    struct stat st;

    *elf = (struct nvl_elf){0};
    if (fstat(fd, &st) < 0)
        return -errno;
    r.file_size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    elf->elf = read_header(&r);
    if (elf->elf != NVL_ELF_OTHER)
        read_names(&r, elf);
    free(r.segments);
    return elf->elf != NVL_ELF_OTHER ? 0 : -ENOEXEC;
}

void nvl_elf_clear(struct nvl_elf *elf)
{
    free(elf->soname);
    nvl_strv_clear(&elf->needed);
    *elf = (struct nvl_elf){0};
}
