/* Copies one file of the host into the bundle. */
#include "bundle/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/root.h"
#include "bundle/manifest.h"
#include "host/elf.h"

/* Compiled in from its header: no library is loaded for it. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#define RELOCATE_MAX (64u << 10)  /* larger files are copied as they are */
#define CHUNK        (256u << 10) /* stays in the processor's cache from reading to writing */

static XXH3_state_t *new_sum(void)
{
    XXH3_state_t *sum = aligned_alloc(_Alignof(XXH3_state_t), sizeof *sum);

    if (sum == NULL)
        nvl_out_of_memory();
    XXH3_128bits_reset(sum);
    return sum;
}

static void format_sum(const XXH3_state_t *sum, char text[NVL_CHECKSUM_LENGTH + 1])
{
    XXH128_hash_t hash = XXH3_128bits_digest(sum);

    snprintf(text, NVL_CHECKSUM_LENGTH + 1, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

int nvl_checksum_of(int fd, char text[NVL_CHECKSUM_LENGTH + 1])
{
    nvl_autofree uint8_t *chunk = nvl_xcalloc(1, CHUNK);
    nvl_autofree XXH3_state_t *sum = new_sum();
    ssize_t n;

    while ((n = read(fd, chunk, CHUNK)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            XXH3_128bits_update(sum, chunk, (size_t)n);
    format_sum(sum, text);
    return n < 0 ? -errno : 0;
}

static bool has_space(struct nvl_copier *copier)
{
    struct statvfs fs;

    if (copier->is_space_checked || fstatvfs(copier->dirfd, &fs) < 0)
        return true;
    copier->is_space_checked = true;
    return (uint64_t)fs.f_bavail * fs.f_frsize >= copier->total - copier->done;
}

/* ---- files that name a library for a loader ----
 *
 * Fedora's Vulkan ICD has "library_path": "/usr/lib64/libGLX_nvidia.so.0", NixOS's files have paths of its
 * store. Those are not in a container, where the linker finds the library by its name alone. The length
 * stays, so that a later sync knows the copy by its source's size: what a path had more becomes blanks in
 * JSON, zeros in OpenCL's, whose loaders read to the first one. */

/* Vulkan's, EGL's and OpenCL's. */
static bool names_libraries(const char *place)
{
    return nvl_has_suffix(place, ".json") || nvl_has_suffix(place, ".icd");
}

/* The last component of the path of `len` bytes moves to the front; returns its length. */
static size_t keep_name(char *path, size_t len)
{
    const char *slash = memrchr(path, '/', len);
    size_t name_len = len - (size_t)(slash + 1 - path);

    memmove(path, slash + 1, name_len);
    return name_len;
}

/* One line with a path. */
static void relocate_icd(char *text, size_t len)
{
    if (len == 0 || text[0] != '/')
        return;
    size_t line_len = 0;
    while (line_len < len && text[line_len] != '\n' && text[line_len] != '\0')
        line_len++;
    size_t name_len = keep_name(text, line_len);
    memset(text + name_len, '\0', len - name_len);
}

static char *skip_blanks(char *at, const char *end)
{
    while (at < end && strchr(" \t\r\n", *at) != NULL && *at != '\0')
        at++;
    return at;
}

/* Behind the key: the value with its quotes. A value with escapes stays as it is. */
static void relocate_value(char *at, const char *end)
{
    at = skip_blanks(at, end);
    if (at >= end || *at != ':')
        return;
    at = skip_blanks(at + 1, end);
    if (end - at < 2 || at[0] != '"' || at[1] != '/')
        return;
    char *path = at + 1;
    char *quote = memchr(path, '"', (size_t)(end - path));
    if (quote == NULL || memchr(path, '\\', (size_t)(quote - path)) != NULL)
        return;
    size_t name_len = keep_name(path, (size_t)(quote - path));
    path[name_len] = '"';
    memset(path + name_len + 1, ' ', (size_t)(quote - path) - name_len);
}

static void relocate_json(char *text, size_t len)
{
    static const char key[] = "\"library_path\"";
    char *at = text, *end = text + len;

    while ((at = memmem(at, (size_t)(end - at), key, sizeof key - 1)) != NULL) {
        at += sizeof key - 1;
        relocate_value(at, end);
    }
}

/* Replaces absolute paths of libraries in the file's content by their names. */
static void relocate(const char *place, char *text, size_t len)
{
    if (nvl_has_suffix(place, ".icd"))
        relocate_icd(text, len);
    else
        relocate_json(text, len);
}

/* ---- copying ---- */

static void note_progress(struct nvl_copier *copier, const struct nvl_bundle_file *file, size_t n)
{
    copier->done += n;
    if (copier->progress != NULL)
        copier->progress(copier->progress_data, file->path, copier->done, copier->total);
}

/* A small file that names libraries, so that a container finds them. */
static int transfer_relocated(struct nvl_copier *copier, const struct nvl_bundle_file *file, uint64_t size,
                              int from, int to, XXH3_state_t *sum)
{
    nvl_autofree char *text = NULL;
    size_t len;

    int r = nvl_fd_read(from, RELOCATE_MAX, &text, &len);
    if (r < 0)
        return r == -EFBIG ? -ESTALE : r;
    if (len != size)
        return -ESTALE;
    relocate(file->path, text, len);
    XXH3_128bits_update(sum, text, len);
    note_progress(copier, file, len);
    return nvl_fd_write(to, text, len);
}

/* Reads `from` to its end for the checksum, and writes it to `to` unless that is a clone. Does not read past
 * its original size: something else is writing there. */
static int transfer(struct nvl_copier *copier, const struct nvl_bundle_file *file, uint64_t size, int from,
                    int to, XXH3_state_t *sum)
{
    nvl_autofree uint8_t *chunk = nvl_xcalloc(1, CHUNK);
    bool is_clone = ioctl(to, FICLONE, from) == 0;
    uint64_t left = size;

    if (!is_clone && !has_space(copier))
        return -ENOSPC;
    for (;;) {
        ssize_t n = read(from, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0 || (uint64_t)n > left)
            return n == 0 ? 0 : -ESTALE;
        left -= (uint64_t)n;
        int r = is_clone ? 0 : nvl_fd_write(to, chunk, (size_t)n);
        if (r < 0)
            return r;
        XXH3_128bits_update(sum, chunk, (size_t)n);
        note_progress(copier, file, (size_t)n);
    }
}

static int64_t time_in_ns(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/* The source is read in its state when it is opened; an upgrade that writes it meanwhile shows in its time or
 * size. */
static int copy_bytes(struct nvl_copier *copier, struct nvl_bundle_file *file, int from, int to,
                      struct nvl_error *err)
{
    struct stat before, after;
    nvl_autofree XXH3_state_t *sum = new_sum();

    if (fstat(from, &before) < 0)
        return -errno;
    if (!S_ISREG(before.st_mode))
        return nvl_error_set(err, -EINVAL, "%s%s is not a regular file", copier->root->name, file->source);
    uint64_t size = (uint64_t)before.st_size;
    int r = names_libraries(file->path) && size <= RELOCATE_MAX
                ? transfer_relocated(copier, file, size, from, to, sum)
                : transfer(copier, file, size, from, to, sum);
    if (r < 0 && r != -ESTALE)
        return r;
    if (fstat(from, &after) < 0)
        return -errno;
    if (r == -ESTALE || after.st_size != before.st_size ||
        time_in_ns(&after.st_mtim) != time_in_ns(&before.st_mtim)) {
        nvl_error_set(err, -ESTALE, "%s%s changed while it was copied", copier->root->name, file->source);
        nvl_error_hint(err, "wait until the driver's installation has finished, then: nvlxc driver sync");
        return -ESTALE;
    }
    format_sum(sum, file->checksum);
    file->size = (uint64_t)after.st_size;
    file->mtime = time_in_ns(&after.st_mtim);
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, after.st_mtim};
    return futimens(to, times) < 0 ? -errno : 0;
}

static bool calls_itself_library(const char *path)
{
    return nvl_has_prefix(path, "lib") && strstr(path, ".so") != NULL;
}

/* A file with a library's name that is not a library (cut short, or left empty by a full disk) would stop
 * programs in containers, far from here. */
static int read_soname(const struct nvl_copier *copier, struct nvl_bundle_file *file, int fd,
                       struct nvl_error *err)
{
    nvl_auto(nvl_elf_clear) struct nvl_elf elf = {0};
    enum nvl_elf_class wanted = nvl_has_prefix(file->path, "lib32/") ? NVL_ELF_32 : NVL_ELF_64;

    int r = nvl_elf_read(fd, &elf);
    if (r == -ENOSYS) {
        nvl_error_host(err, r, "cannot load libelf.so.1, which reads the names of libraries");
        nvl_error_hint(err, "install it; on Debian: apt install libelf1");
        return r;
    }
    if (r < 0 && r != -ENOEXEC)
        return r;
    if (r < 0 || elf.elf != wanted) {
        nvl_error_set(err, -ENOEXEC, "%s%s is not a %d-bit library", copier->root->name, file->source,
                      wanted == NVL_ELF_64 ? 64 : 32);
        nvl_error_hint(err, "its file is damaged: install the driver's package again");
        return -ENOEXEC;
    }
    free(file->soname);
    file->soname = elf.soname != NULL && strchr(elf.soname, '/') == NULL ? TAKE_PTR(elf.soname) : NULL;
    return 0;
}

static int set_owner_and_mode(int fd, const char *path)
{
    if (geteuid() == 0 && fchown(fd, 0, 0) < 0)
        return -errno;
    return fchmod(fd, nvl_has_prefix(path, "bin/") ? 0755 : 0644) < 0 ? -errno : 0;
}

int nvl_copy_file(struct nvl_copier *copier, struct nvl_bundle_file *file, struct nvl_error *err)
{
    nvl_autofd int from = nvl_root_openat(copier->root, file->source, O_RDONLY | O_NONBLOCK | O_NOCTTY);

    if (from < 0)
        return nvl_error_errno(err, from, "cannot read %s%s", copier->root->name, file->source);
    const struct nvl_root folder = nvl_root_borrow(copier->dirfd);
    int r = nvl_root_make_parents(&folder, file->path);
    if (r < 0)
        return r;
    nvl_autofd int to =
        openat(copier->dirfd, file->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    r = copy_bytes(copier, file, from, to, err);
    if (r == 0 && calls_itself_library(file->path))
        r = read_soname(copier, file, to, err);
    if (r == 0)
        r = set_owner_and_mode(to, file->path);
    if (r ==
        0) /* begins to write, so that the disk works while the next file is read; some file systems cannot */
        sync_file_range(to, 0, 0, SYNC_FILE_RANGE_WRITE);
    return r;
}

static int sync_copies(const struct nvl_copier *copier, const struct nvl_strv *paths, int (*sync_one)(int fd))
{
    for (size_t i = 0; i < paths->count; i++) {
        nvl_autofd int fd = openat(copier->dirfd, paths->items[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || sync_one(fd) < 0)
            return -errno;
    }
    return 0;
}

/* Without an effect on file systems that cannot. */
static int wait_for_data(int fd)
{
    sync_file_range(fd, 0, 0,
                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    return 0;
}

/* Once all data are written, the first fsync has a journal commit what belongs to every file. */
int nvl_copies_sync(const struct nvl_copier *copier, const struct nvl_strv *paths)
{
    int r = sync_copies(copier, paths, wait_for_data);
    return r < 0 ? r : sync_copies(copier, paths, fsync);
}
