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

static void read_mount_table(const struct nvl_root *host, const char *pid, struct mount_table *table)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/mountinfo", pid), *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    if (nvl_root_read(host, path, MOUNTINFO_MAX, &text, &len) < 0)
        return; /* it has ended */
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        add_mount_line(table, line, line_len);
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

static char *place_of(const struct nvl_root *host, int fd)
{
    nvl_auto(mount_table_clear) struct mount_table own = {0};
    nvl_autofree char *link = nvl_xasprintf("/proc/self/fd/%d", fd);
    char id[16], path[4096];
    ssize_t n = readlink(link, path, sizeof path - 1);

    if (n <= 0 || !read_mount_id(host, fd, id, sizeof id))
        return NULL;
    path[n] = '\0';
    read_mount_table(host, "self", &own);
    const struct mount_line *mount = find_mount(&own, id);
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

bool nvl_is_mounted_elsewhere(const struct nvl_root *host, const struct nvl_root *rootfs, const char *path)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, seen = {0};
    nvl_autofd int fd = nvl_root_openat(rootfs, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    nvl_autofree char *place = fd >= 0 && nvl_root_is_machine(host) ? place_of(host, fd) : NULL;

    if (place == NULL || nvl_root_list(host, "/proc", &names) < 0)
        return false;
    for (size_t i = 0; i < names.count; i++) {
        nvl_auto(mount_table_clear) struct mount_table table = {0};
        nvl_autofree char *link = nvl_xasprintf("/proc/%s/ns/mnt", names.items[i]), *mounts = NULL;
        if (!isdigit((unsigned char)names.items[i][0]) || nvl_root_readlink(host, link, &mounts) < 0 ||
            nvl_strv_contains(&seen, mounts))
            continue;
        nvl_strv_push(&seen, mounts);
        read_mount_table(host, names.items[i], &table);
        if (has_mount_on(&table, place))
            return true;
    }
    return false;
}
