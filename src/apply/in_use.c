/* Whether a folder is a mount point for somebody else. Removing it would take the mount away there: the
 * kernel detaches what is mounted on a removed folder in every other mount namespace (rmdir(2) says EBUSY
 * only for one's own). Source: /proc/PID/mountinfo (proc(5)). */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "apply/clean.h"
#include "base/root.h"
#include "container/container.h"

#define MOUNTINFO_MAX (8u << 20)
#define TABLES_MAX    (64u << 20) /* of all namespaces: a container can make many, with many mounts */

/* A line of mountinfo. */
struct mount_line {
    char *text; /* what the others point into */
    const char *id, *parent, *device, *root, *point;
};

struct mount_table {
    struct mount_line *lines;
    size_t count;
};

static void mount_table_clear(struct mount_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->lines[i].text);
    free(table->lines);
    *table = (struct mount_table){0};
}

/* "36 35 98:0 /root /point rw …" */
static void add_mount_line(struct mount_table *table, const char *text, size_t len)
{
    struct mount_line line = {.text = nvl_xstrndup(text, len)};
    const char **const fields[] = {&line.id, &line.parent, &line.device, &line.root, &line.point};
    char *rest = line.text;

    for (size_t i = 0; i < NVL_LENGTH(fields); i++) {
        *fields[i] = strsep(&rest, " ");
        if (*fields[i] == NULL) {
            free(line.text);
            return;
        }
    }
    nvl_decode_octal(line.text + (line.root - line.text));
    nvl_decode_octal(line.text + (line.point - line.text));
    *NVL_APPEND(table->lines, table->count) = line;
}

/* Returns the size of its text. */
static size_t read_mount_table(const struct nvl_root *host, const char *pid, struct mount_table *table)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/mountinfo", pid), *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    if (nvl_root_read(host, path, MOUNTINFO_MAX, &text, &len) < 0)
        return 0; /* it has ended */
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        add_mount_line(table, line, line_len);
    return len;
}

static char *read_namespace(const struct nvl_root *host, const char *pid, const char *kind)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/ns/%s", pid, kind);
    char *text = NULL;

    return nvl_root_readlink(host, path, &text) == 0 ? text : NULL;
}

/* The mounts of one namespace. */
struct mount_namespace {
    char *name, *pids; /* "mnt:[4026531841]", and the pid namespace of a process in it */
    struct mount_table table;
};

struct mount_namespaces {
    struct mount_namespace *items;
    size_t count, bytes;
    bool is_cut; /* there are more than fit */
};

static void mount_namespaces_clear(struct mount_namespaces *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->items[i].name);
        free(all->items[i].pids);
        mount_table_clear(&all->items[i].table);
    }
    free(all->items);
    *all = (struct mount_namespaces){0};
}

static bool has_namespace(const struct mount_namespaces *all, const char *name)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->items[i].name, name) == 0)
            return true;
    return false;
}

static void read_mount_namespaces(const struct nvl_root *host, struct mount_namespaces *all)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(host, "/proc", &names);
    for (size_t i = 0; i < names.count && !all->is_cut; i++) {
        const char *pid = names.items[i];
        nvl_autofree char *mounts = isdigit((unsigned char)pid[0]) ? read_namespace(host, pid, "mnt") : NULL;
        if (mounts == NULL || has_namespace(all, mounts))
            continue;
        struct mount_namespace *one = NVL_APPEND(all->items, all->count);
        *one = (struct mount_namespace){.name = TAKE_PTR(mounts), .pids = read_namespace(host, pid, "pid")};
        all->bytes += read_mount_table(host, pid, &one->table);
        all->is_cut = all->bytes > TABLES_MAX;
    }
}

static const struct mount_line *find_mount(const struct mount_table *table, const char *id)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->lines[i].id, id) == 0)
            return &table->lines[i];
    return NULL;
}

/* "98:0 /a/b" for the folder /point/b, if /a of that file system is mounted on /point: the same in every
 * namespace. The caller frees. */
static char *place_on(const struct mount_line *mount, const char *path)
{
    size_t skip = strcmp(mount->point, "/") == 0 ? 0 : strlen(mount->point);
    const char *root = strcmp(mount->root, "/") == 0 ? "" : mount->root;

    return nvl_has_prefix(path, skip > 0 ? mount->point : "/")
               ? nvl_xasprintf("%s %s%s", mount->device, root, path + skip)
               : NULL;
}

/* The id of the mount on which the descriptor's file lies. */
static bool read_mount_id(const struct nvl_root *host, int fd, char *id, size_t size)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/self/fdinfo/%d", fd), *text = NULL;
    const char *line, *value;
    size_t len, pos = 0, line_len, value_len;

    if (nvl_root_read(host, path, 4096, &text, &len) < 0)
        return false;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (nvl_line_value(line, line_len, "mnt_id", &value, &value_len))
            return nvl_copy(id, size, value, value_len);
    return false;
}

/* The id of a mount is unique: the one that shows a running container's root is in its namespace. */
static char *place_of(const struct nvl_root *host, const struct mount_namespaces *all, int fd)
{
    nvl_autofree char *link = nvl_xasprintf("/proc/self/fd/%d", fd);
    const struct mount_line *mount = NULL;
    char id[16], path[4096];
    ssize_t n = readlink(link, path, sizeof path - 1);

    if (n <= 0 || !read_mount_id(host, fd, id, sizeof id))
        return NULL;
    path[n] = '\0';
    for (size_t i = 0; i < all->count && mount == NULL; i++)
        mount = find_mount(&all->items[i].table, id);
    return mount != NULL ? place_on(mount, path) : NULL;
}

static bool has_mount_on(const struct mount_table *table, const char *place)
{
    const char *name = strrchr(place, '/');

    for (size_t i = 0; i < table->count; i++) {
        const struct mount_line *mount = &table->lines[i];
        if (!nvl_has_suffix(mount->point, name))
            continue;
        const struct mount_line *parent = find_mount(table, mount->parent);
        nvl_autofree char *on = parent != NULL ? place_on(parent, mount->point) : NULL;
        if (on != NULL && strcmp(on, place) == 0)
            return true;
    }
    return false;
}

bool nvl_is_mounted_elsewhere(const struct nvl_root *host, const struct nvl_root *rootfs, const char *path,
                              pid_t init)
{
    nvl_auto(mount_namespaces_clear) struct mount_namespaces all = {0};
    nvl_autofd int fd = nvl_root_openat(rootfs, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    nvl_autofree char *init_text = nvl_xasprintf("%d", (int)init);
    nvl_autofree char *own = init > 0 ? read_namespace(host, init_text, "pid") : NULL;

    if (fd < 0 || !nvl_root_is_machine(host))
        return false;
    read_mount_namespaces(host, &all);
    if (all.is_cut)
        return true; /* unknown: it stays */
    nvl_autofree char *place = place_of(host, &all, fd);
    for (size_t i = 0; place != NULL && i < all.count; i++) {
        const struct mount_namespace *one = &all.items[i];
        bool is_own = own != NULL && one->pids != NULL && strcmp(own, one->pids) == 0;
        if (!is_own && has_mount_on(&one->table, place))
            return true;
    }
    return false;
}
