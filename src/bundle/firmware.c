/* GSP firmware: kept while its driver is loaded, lent to the kernel while an upgrade waits for the reboot,
 * and then removed. */
#include "bundle/firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/paths.h"
#include "bundle/copy.h"
#include "bundle/manifest.h"
#include "bundle/store.h"

#define PARAMS_FILE     "/proc/driver/nvidia/params"
#define PARAMS_FILE_MAX (64u << 10)
#define CHUNK           (256u << 10)

struct firmware {
    const struct nvl_root *root;
    const char *loaded;
    bool dry_run;
    struct nvl_firmware_result *result;
};

static bool is_firmware_off(const struct nvl_root *root)
{
    nvl_autofree char *text = NULL;
    const char *line, *value;
    size_t len, line_len, value_len, pos = 0;

    if (nvl_root_read(root, PARAMS_FILE, PARAMS_FILE_MAX, &text, &len) < 0)
        return false;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (nvl_line_value(line, line_len, "EnableGpuFirmware", &value, &value_len))
            return value_len == 1 && value[0] == '0';
    return false;
}

/* gsp_ga10x.bin, gsp_tu10x.bin; compressed if the distribution does that. */
static bool is_firmware(const char *name)
{
    return nvl_has_prefix(name, "gsp_") && (nvl_has_suffix(name, ".bin") || nvl_has_suffix(name, ".bin.xz") ||
                                            nvl_has_suffix(name, ".bin.zst"));
}

/* The names of firmware in FOLDER/VERSION; none if that does not exist. */
static int list_firmware(const struct nvl_root *root, const char *folder, const char *version,
                         struct nvl_strv *names, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv all = {0};
    nvl_autofree char *path = nvl_xasprintf("%s/%s", folder, version);

    int r = nvl_root_list(root, path, &all);
    if (r < 0 && r != -ENOENT)
        return nvl_error_errno(err, r, "cannot read %s%s", root->name, path);
    for (size_t i = 0; i < all.count; i++)
        if (is_firmware(all.items[i]))
            nvl_strv_push(names, all.items[i]);
    return 0;
}

static bool find_firmware(const struct nvl_root *root, const char *folder, const char *version,
                          const char *name, struct stat *st)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s/%s", folder, version, name);

    return nvl_root_stat(root, path, 0, st) == 0 && S_ISREG(st->st_mode);
}

/* Moved into place as a whole: the kernel loads all of it or nothing. */
static int copy_whole_file(const struct nvl_root *root, const char *source, uint64_t size, int to,
                           const char *name, struct nvl_error *err)
{
    nvl_autofree char *temporary = nvl_xasprintf(".%s.tmp", name), *from = nvl_xstrdup(source);
    const struct nvl_strv copied = {.items = &temporary, .count = 1};
    struct nvl_copier copier = {.root = root, .dirfd = to, .total = size};
    struct nvl_bundle_file file = {.path = temporary, .source = from};

    unlinkat(to, temporary, 0); /* of a sync that died: the lock is held */
    int r = nvl_copy_file(&copier, &file, err);
    if (r == 0)
        r = nvl_copies_sync(&copier, &copied);
    if (r == 0 && (renameat(to, temporary, to, name) < 0 || fsync(to) < 0))
        r = -errno;
    if (r < 0)
        unlinkat(to, temporary, 0);
    return r;
}

static int copy_version_file(const struct firmware *f, const char *from, const char *to, const char *name,
                             struct nvl_error *err)
{
    nvl_autofree char *source = nvl_xasprintf("%s/%s/%s", from, f->loaded, name);
    nvl_autofree char *folder = nvl_xasprintf("%s/%s", to, f->loaded);
    struct nvl_error why = {0};
    struct stat st;

    if (f->dry_run)
        return 0;
    int r = nvl_root_trouble(f->root, err);
    if (r < 0)
        return r;
    r = nvl_root_stat(f->root, source, 0, &st);
    if (r == 0)
        r = nvl_root_make_folder(f->root, folder);
    nvl_autofd int dir = r == 0 ? nvl_root_openat(f->root, folder, O_RDONLY | O_DIRECTORY) : r;
    if (dir >= 0)
        r = copy_whole_file(f->root, source, (uint64_t)st.st_size, dir, name, &why);
    else
        r = dir;
    if (r == 0)
        return 0;
    if (why.message[0] == '\0')
        nvl_error_errno(&why, r, "cannot write %s%s/%s", f->root->name, folder, name);
    if (err != NULL)
        *err = why;
    return r;
}

static bool is_same_time(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Keeps what is installed now; what is kept and no longer installed stays. */
static int keep_installed(const struct firmware *f, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct stat installed, kept;

    int r = list_firmware(f->root, NVL_FIRMWARE_INSTALLED, f->loaded, &names, err);
    for (size_t i = 0; i < names.count && r == 0; i++) {
        const char *name = names.items[i];
        if (!find_firmware(f->root, NVL_FIRMWARE_INSTALLED, f->loaded, name, &installed))
            continue;
        bool is_kept = find_firmware(f->root, NVL_FIRMWARE_DIR, f->loaded, name, &kept);
        if (!is_kept || kept.st_size != installed.st_size || !is_same_time(&kept, &installed)) {
            r = copy_version_file(f, NVL_FIRMWARE_INSTALLED, NVL_FIRMWARE_DIR, name, err);
            f->result->n_kept++;
        }
        if (!is_kept && f->dry_run) { /* lend_kept() counts the others */
            f->result->n_files++;
            f->result->bytes += (uint64_t)installed.st_size;
        }
    }
    return r;
}

static int lend_kept(const struct firmware *f, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct stat kept, other;

    int r = list_firmware(f->root, NVL_FIRMWARE_DIR, f->loaded, &names, err);
    for (size_t i = 0; i < names.count && r == 0; i++) {
        const char *name = names.items[i];
        if (!find_firmware(f->root, NVL_FIRMWARE_DIR, f->loaded, name, &kept))
            continue;
        f->result->n_files++;
        f->result->bytes += (uint64_t)kept.st_size;
        if (find_firmware(f->root, NVL_FIRMWARE_INSTALLED, f->loaded, name, &other))
            continue;
        f->result->is_placed = true;
        if (find_firmware(f->root, NVL_FIRMWARE_UPDATES, f->loaded, name, &other))
            continue;
        r = copy_version_file(f, NVL_FIRMWARE_DIR, NVL_FIRMWARE_UPDATES, name, err);
        f->result->n_placed++;
    }
    return r;
}

/* As many bytes as there are, up to `size`. */
static ssize_t read_full(int fd, char *to, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, to + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : (ssize_t)len;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static bool is_same_content(const struct nvl_root *root, const char *a, const char *b)
{
    nvl_autofd int one = nvl_root_openat(root, a, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    nvl_autofd int two = nvl_root_openat(root, b, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    nvl_autofree char *left = nvl_xcalloc(1, CHUNK), *right = nvl_xcalloc(1, CHUNK);

    if (one < 0 || two < 0)
        return false;
    for (;;) {
        ssize_t n = read_full(one, left, CHUNK), m = read_full(two, right, CHUNK);
        if (n < 0 || m < 0)
            nvl_root_note(root, n < 0 ? a : b, (int)(n < 0 ? n : m));
        if (n < 0 || n != m || memcmp(left, right, (size_t)n) != 0)
            return false;
        if (n < (ssize_t)CHUNK)
            return true;
    }
}

/* Removes the folders that were made for it, unless something else is in them now. */
static void remove_empty_folders(const struct nvl_root *root, const char *version)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_FIRMWARE_UPDATES "/%s", version);
    const char *name;

    for (int level = 0; level < 3; level++) { /* VERSION, nvidia, updates */
        nvl_autofd int parent = nvl_root_open_parent(root, path, &name);
        if (parent < 0 || unlinkat(parent, name, AT_REMOVEDIR) < 0)
            return;
        *strrchr(path, '/') = '\0';
    }
}

static int take_back_file(const struct firmware *f, const char *version, const char *name,
                          struct nvl_error *err)
{
    nvl_autofree char *lent = nvl_xasprintf(NVL_FIRMWARE_UPDATES "/%s/%s", version, name);
    nvl_autofree char *kept = nvl_xasprintf(NVL_FIRMWARE_DIR "/%s/%s", version, name);
    const char *last;

    if (!is_same_content(f->root, kept, lent))
        return 0;
    int r = nvl_root_trouble(f->root, err); /* it may be needed still */
    if (r < 0)
        return r;
    f->result->n_removed++;
    if (f->dry_run)
        return 0;
    nvl_autofd int parent = nvl_root_open_parent(f->root, lent, &last);
    if (parent < 0 || unlinkat(parent, last, 0) < 0)
        return nvl_error_errno(err, parent < 0 ? parent : -errno, "cannot remove %s%s", f->root->name, lent);
    remove_empty_folders(f->root, version);
    return 0;
}

/* Takes back what was lent for another version, or is installed again. */
static int take_back(const struct firmware *f, const char *version, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    bool is_loaded = strcmp(version, f->loaded) == 0;
    struct stat st;

    int r = list_firmware(f->root, NVL_FIRMWARE_UPDATES, version, &names, err);
    for (size_t i = 0; i < names.count && r == 0; i++)
        if (!is_loaded || find_firmware(f->root, NVL_FIRMWARE_INSTALLED, version, names.items[i], &st))
            r = take_back_file(f, version, names.items[i], err);
    if (r == 0)
        r = nvl_root_trouble(f->root, err);
    if (r < 0 || is_loaded || f->dry_run)
        return r;
    nvl_autofd int dir = nvl_root_openat(f->root, NVL_FIRMWARE_DIR, O_RDONLY | O_DIRECTORY);
    r = dir < 0 ? dir : nvl_folder_remove(dir, version);
    return r < 0 ? nvl_error_errno(err, r, "cannot remove %s" NVL_FIRMWARE_DIR "/%s", f->root->name, version)
                 : 0;
}

static int take_back_all(const struct firmware *f, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv versions = {0};

    int r = nvl_root_list(f->root, NVL_FIRMWARE_DIR, &versions);
    if (r < 0)
        return r == -ENOENT ? 0 : nvl_error_errno(err, r, "cannot read %s" NVL_FIRMWARE_DIR, f->root->name);
    for (size_t i = 0; i < versions.count && r == 0; i++)
        if (nvl_is_version(versions.items[i], strlen(versions.items[i])))
            r = take_back(f, versions.items[i], err);
    return r;
}

int nvl_firmware_sync(const struct nvl_root *root, const char *loaded, bool dry_run,
                      struct nvl_firmware_result *result, struct nvl_error *err)
{
    const struct firmware f = {root, loaded, dry_run, result};
    nvl_autofd int store = -1, lock = -1;

    *result = (struct nvl_firmware_result){0};
    if (!nvl_is_version(loaded, strlen(loaded)))
        return nvl_error_set(err, -EINVAL, "'%s' is not a driver version", loaded);
    int r = dry_run ? 0 : nvl_store_open(root, NVL_STORE_WAIT_MS, &store, &lock, err);
    if (r == 0)
        r = take_back_all(&f, err);
    if (r < 0 || is_firmware_off(root))
        return r;
    r = keep_installed(&f, err);
    return r < 0 ? r : lend_kept(&f, err);
}
