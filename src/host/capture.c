/* Captures a host's facts: what the readers of this room read, and nothing that tells whose machine it is.
 * The result is a fixture for tests, and users can attach it to a report. */
#include "host/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "host/compat_table.h"
#include "host/driver_folder.h"
#include "host/gpu.h"
#include "host/ldcache.h"
#include "host/tree.h"
#include "host/userspace.h"
#include "host/xid.h"

#define COPY_MAX   (1u << 20) /* a larger file is left out: none of those that matter is larger */
#define TREE_DEPTH 6          /* capabilities/gpu0/mig/gi1/ci0/access */
#define DEVICES    "/sys/bus/pci/devices"

struct capture {
    const struct nvl_root *root;
    int dirfd;
    struct nvl_error *err;
};

/* "(root@pve1)" tells where a module or kernel was built, which for DKMS is this machine. */
static void add_without_builders(struct nvl_buf *b, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char *end = text[i] == '(' ? memchr(text + i, ')', len - i) : NULL;
        size_t inside = end != NULL ? (size_t)(end - text) - i : 0;
        if (end != NULL && memchr(text + i, '@', inside) != NULL && memchr(text + i, ' ', inside) == NULL) {
            nvl_buf_addf(b, "(builder@host)");
            i += inside;
        } else {
            nvl_buf_add(b, text + i, 1);
        }
    }
}

/* The addresses of loaded modules tell where the kernel is in memory. */
static void add_without_addresses(struct nvl_buf *b, const char *text, size_t len)
{
    static const char zero[] = "0x0000000000000000";

    for (size_t i = 0; i < len; i++) {
        bool address = text[i] == '0' && i + 1 < len && text[i + 1] == 'x' && i > 0 && text[i - 1] == ' ';
        if (!address) {
            nvl_buf_add(b, text + i, 1);
            continue;
        }
        nvl_buf_add(b, zero, sizeof zero - 1);
        while (i + 1 < len && text[i + 1] != ' ' && text[i + 1] != '\n')
            i++;
    }
}

static void add_as_it_is(struct nvl_buf *b, const char *text, size_t len)
{
    nvl_buf_add(b, text, len);
}

typedef void filter_fn(struct nvl_buf *b, const char *text, size_t len);

static int copy_file(const struct capture *c, const char *path, filter_fn *filter)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf b = {0};
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(c->root, path, COPY_MAX, &text, &len) < 0)
        return 0;
    filter(&b, text, len);
    return nvl_tree_file(c->dirfd, path, b.data, b.len, c->err);
}

/* A directory with everything in it, without following links. */
static int copy_tree(const struct capture *c, const char *path, unsigned depth)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (depth == 0 || nvl_root_list(c->root, path, &names) < 0)
        return 0;
    int r = nvl_tree_directory(c->dirfd, path, c->err);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        nvl_autofree char *entry = nvl_xasprintf("%s/%s", path, names.items[i]);
        struct stat st;
        if (nvl_root_stat(c->root, entry, AT_SYMLINK_NOFOLLOW, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            r = copy_tree(c, entry, depth - 1);
        else if (S_ISREG(st.st_mode))
            r = copy_file(c, entry, add_as_it_is);
    }
    return r;
}

static int copy_proc_and_etc(const struct capture *c)
{
    static const struct {
        const char *path;
        filter_fn *filter;
    } files[] = {
        {"/proc/devices", add_as_it_is},
        {"/proc/modules", add_without_addresses},
        {"/proc/version", add_without_builders},
        {"/proc/device-tree/compatible", add_as_it_is},
        {"/proc/device-tree/model", add_as_it_is},
        {"/proc/sys/kernel/arch", add_as_it_is},
        {"/proc/sys/kernel/osrelease", add_as_it_is},
        {"/proc/driver/nvidia/version", add_without_builders},
        {"/proc/driver/nvidia/params", add_as_it_is},
        {"/proc/driver/nvidia/registry", add_as_it_is},
        {"/etc/debian_version", add_as_it_is},
        {"/etc/os-release", add_as_it_is},
        {"/etc/ld.so.cache", add_as_it_is},
        {NVL_DRIVER_FOLDER_FILE, add_as_it_is},
        {NVL_TABLE_LOCAL, add_as_it_is},
    };
    static const char *const trees[] = {"/proc/driver/nvidia/capabilities", "/proc/driver/nvidia-caps"};
    int r = 0;

    for (size_t i = 0; r == 0 && i < NVL_LENGTH(files); i++)
        r = copy_file(c, files[i].path, files[i].filter);
    for (size_t i = 0; r == 0 && i < NVL_LENGTH(trees); i++)
        r = copy_tree(c, trees[i], TREE_DEPTH);
    return r;
}

/* A GPU's folder of /proc, by its name there. */
static int copy_proc_gpus(const struct capture *c)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    int r = 0;

    if (nvl_root_list(c->root, "/proc/driver/nvidia/gpus", &names) < 0)
        return 0;
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        nvl_autofree char *dir = nvl_xasprintf("/proc/driver/nvidia/gpus/%s", names.items[i]);
        nvl_autofree char *information = nvl_xasprintf("%s/information", dir);
        r = nvl_tree_directory(c->dirfd, dir, c->err);
        if (r == 0)
            r = copy_file(c, information, add_as_it_is);
    }
    return r;
}

/* The errors that the driver reported, as a log; without the programs that the lines name. */
static int write_xids(const struct capture *c)
{
    nvl_auto(nvl_xids_clear) struct nvl_xids xids = {0};
    nvl_auto(nvl_buf_clear) struct nvl_buf log = {0};

    if (nvl_xids_read(c->root, &xids) < 0 || xids.count == 0)
        return 0;
    for (size_t i = 0; i < xids.count; i++)
        for (unsigned n = 0; n < xids.items[i].count && log.len < COPY_MAX; n++)
            nvl_buf_addf(&log, "NVRM: Xid (PCI:%.*s): %u, \n", (int)strcspn(xids.items[i].pci, "."),
                         xids.items[i].pci, xids.items[i].number);
    return nvl_tree_file(c->dirfd, NVL_KERNEL_LOG, log.data, log.len, c->err);
}

static int write_drm(const struct capture *c, const char *pci, const char *kind, int number)
{
    nvl_autofree char *path = nvl_xasprintf(DEVICES "/%s/drm/%s%d", pci, kind, number);

    return number >= 0 ? nvl_tree_directory(c->dirfd, path, c->err) : 0;
}

static int write_physical(const struct capture *c, const struct nvl_gpu *gpu)
{
    nvl_autofree char *path = nvl_xasprintf(DEVICES "/%s/physfn", gpu->pci);
    nvl_autofree char *target = nvl_xasprintf("../%s", gpu->physical);

    return nvl_tree_link(c->dirfd, path, target, c->err);
}

/* If a GPU answers, its configuration space would tell where its memory is; a captured host records only that
 * a GPU does not answer. */
static int write_lost(const struct capture *c, const struct nvl_gpu *gpu)
{
    nvl_autofree char *path = nvl_xasprintf(DEVICES "/%s/config", gpu->pci);
    char header[64];

    memset(header, 0xff, sizeof header);
    return nvl_tree_file(c->dirfd, path, header, sizeof header, c->err);
}

/* sysfs has links into the device tree here; a captured host has plain folders. */
static int copy_sys_gpu(const struct capture *c, const struct nvl_gpu *gpu)
{
    static const char *const attributes[] = {"vendor", "device", "class"};
    nvl_autofree char *dir = nvl_xasprintf(DEVICES "/%s", gpu->pci);
    nvl_autofree char *driver = nvl_xasprintf("%s/driver", dir);
    nvl_autofree char *link = NULL;
    int r = 0;

    if (!nvl_root_exists(c->root, dir))
        return 0; /* only nvidia's own list has it, as in a container */
    for (size_t i = 0; r == 0 && i < NVL_LENGTH(attributes); i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", dir, attributes[i]);
        r = copy_file(c, path, add_as_it_is);
    }
    if (r == 0 && nvl_root_readlink(c->root, driver, &link) == 0) {
        nvl_autofree char *target = nvl_xasprintf("../../drivers/%s", gpu->driver_name);
        r = nvl_tree_link(c->dirfd, driver, target, c->err);
    }
    if (r == 0 && gpu->physical[0] != '\0')
        r = write_physical(c, gpu);
    if (r == 0 && gpu->is_lost)
        r = write_lost(c, gpu);
    if (r == 0)
        r = write_drm(c, gpu->pci, "card", gpu->card);
    if (r == 0)
        r = write_drm(c, gpu->pci, "renderD", gpu->render);
    return r;
}

static int copy_gpus(const struct capture *c)
{
    nvl_auto(nvl_gpus_clear) struct nvl_gpus gpus = {0};
    int r = nvl_gpus_read(c->root, NVL_GPUS_ALL, &gpus, c->err);

    if (r == 0)
        r = copy_proc_gpus(c);
    if (r == 0)
        r = write_xids(c);
    if (r == 0)
        r = nvl_tree_directory(c->dirfd, DEVICES, c->err);
    for (size_t i = 0; r == 0 && i < gpus.count; i++)
        r = copy_sys_gpu(c, &gpus.items[i]);
    return r;
}

/* A device becomes a line of `list`; anything else in its place an empty file, which is equally wrong in the
 * capture. */
static int note_node(const struct capture *c, const char *path, struct nvl_buf *list)
{
    struct stat st;

    if (nvl_root_stat(c->root, path, AT_SYMLINK_NOFOLLOW, &st) < 0 || S_ISDIR(st.st_mode))
        return 0;
    if (!S_ISCHR(st.st_mode))
        return nvl_tree_file(c->dirfd, path, "", 0, c->err);
    nvl_buf_addf(list, "%s c %u %u %04o\n", path + 1, major(st.st_rdev), minor(st.st_rdev),
                 (unsigned)st.st_mode & 07777);
    return 0;
}

static int copy_nodes(const struct capture *c)
{
    static const struct {
        const char *dir, *prefix;
    } places[] = {{"/dev", "nvidia"},
                  {"/dev/nvidia-caps", "nvidia-cap"},
                  {"/dev/nvidia-caps-imex-channels", "channel"},
                  {"/dev/dri", "card"},
                  {"/dev/dri", "renderD"}};
    nvl_auto(nvl_buf_clear) struct nvl_buf list = {0};
    int r = 0;

    for (size_t p = 0; p < NVL_LENGTH(places); p++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        if (nvl_root_list(c->root, places[p].dir, &names) < 0)
            continue;
        for (size_t i = 0; r == 0 && i < names.count; i++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", places[p].dir, names.items[i]);
            if (nvl_has_prefix(names.items[i], places[p].prefix))
                r = note_node(c, path, &list);
        }
    }
    return r == 0 ? nvl_tree_file(c->dirfd, "/nodes", list.data, list.len, c->err) : r;
}

/* The name of a library: a file becomes an empty one, and a link a link straight to its target. */
static int copy_name(const struct capture *c, const char *path)
{
    nvl_autofree char *dir = NULL, *real = NULL;
    const char *name = strrchr(path, '/') + 1;
    nvl_autofree char *parent = nvl_xstrndup(path, (size_t)(name - path));

    if (nvl_root_resolve(c->root, parent, &dir) < 0 || nvl_root_resolve(c->root, path, &real) < 0)
        return 0;
    nvl_autofree char *here = nvl_xasprintf("%s/%s", dir, name);
    int r = nvl_tree_file(c->dirfd, real, "", 0, c->err);
    if (r == 0 && strcmp(here, real) != 0)
        r = nvl_tree_link(c->dirfd, here, real, c->err);
    return r;
}

/* What the linker cache names must lead to the same place here: /lib is a link to usr/lib. */
static int copy_cached_names(const struct capture *c)
{
    static const char *const links[] = {"/lib", "/lib32", "/lib64"};
    static const char *const sonames[] = {"libcuda.so.1", "libnvidia-ml.so.1"};
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < NVL_LENGTH(links); i++) {
        nvl_autofree char *target = NULL;
        if (nvl_root_readlink(c->root, links[i], &target) == 0)
            r = nvl_tree_link(c->dirfd, links[i], target, c->err);
    }
    if (r < 0 || nvl_ldcache_read(&cache, c->root) < 0)
        return r;
    for (size_t i = 0; r == 0 && i < 2 * NVL_LENGTH(sonames); i++) {
        const char *path = nvl_ldcache_find(&cache, i % 2 == 0 ? NVL_ELF_64 : NVL_ELF_32, sonames[i / 2]);
        if (path != NULL && strchr(path, '/') != NULL)
            r = copy_name(c, path);
    }
    return r;
}

static int copy_library_names(const struct capture *c)
{
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    int r = nvl_userspace_read(c->root, &us, c->err);

    for (size_t d = 0; r == 0 && d < us.n_dirs; d++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        if (nvl_root_list(c->root, us.dirs[d].path, &names) < 0)
            continue;
        for (size_t i = 0; r == 0 && i < names.count; i++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", us.dirs[d].path, names.items[i]);
            if (nvl_has_prefix(names.items[i], "libcuda") || nvl_has_prefix(names.items[i], "libnv") ||
                strstr(names.items[i], "_nvidia.so") != NULL)
                r = copy_name(c, path);
        }
    }
    return r == 0 ? copy_cached_names(c) : r;
}

int nvl_capture(const struct nvl_root *root, int dirfd, struct nvl_error *err)
{
    const struct capture c = {root, dirfd, err};
    int r = copy_proc_and_etc(&c);

    if (r == 0)
        r = copy_gpus(&c);
    if (r == 0)
        r = copy_nodes(&c);
    return r == 0 ? copy_library_names(&c) : r;
}
