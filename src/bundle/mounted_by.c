/* The mounts of bundles, read from every process: a container's mounts show nowhere else. */
#include "bundle/mounted_by.h"

#include <ctype.h>

#include "base/paths.h"

#define MOUNTINFO_MAX (16u << 20)

/* The n-th field of a line, fields being parted by blanks; from 0. */
static bool field(const char *line, size_t len, size_t n, const char **start, size_t *field_len)
{
    const char *end = line + len, *at = line;

    for (;; n--) {
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        if (n == 0) {
            *start = at;
            *field_len = (size_t)((blank != NULL ? blank : end) - at);
            return true;
        }
        if (blank == NULL)
            return false;
        at = blank + 1;
    }
}

static bool ends_in(const char *s, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);

    return len >= n && memcmp(s + len - n, suffix, n) == 0;
}

/* "36 35 98:0 /var/lib/nvlxc/driver/550.163.01 /usr/local/nvidia ro …": where /var is a file system of its
 * own, the first path is shorter; while a container is being set up, the second one is longer. */
static bool has_mount(const char *text, size_t len, const char *version)
{
    nvl_autofree char *bundle = nvl_xasprintf("/nvlxc/driver/%s", version);
    const char *line, *source, *target;
    size_t pos = 0, line_len, source_len, target_len;

    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (field(line, line_len, 3, &source, &source_len) &&
            field(line, line_len, 4, &target, &target_len) && ends_in(source, source_len, bundle) &&
            ends_in(target, target_len, NVL_MOUNT_POINT))
            return true;
    return false;
}

static bool is_pid(const char *name)
{
    return isdigit((unsigned char)name[0]) != 0;
}

/* "mnt:[4026531841]"; the process's own number where the link cannot be read. */
static char *namespace_of(const struct nvl_root *root, const char *pid, const char *kind)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/ns/%s", pid, kind);
    char *text;

    return nvl_root_readlink(root, path, &text) == 0 ? text : NULL;
}

size_t nvl_bundle_users(const struct nvl_root *root, const char *version)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, seen = {0}, users = {0};

    if (nvl_root_list(root, "/proc", &names) < 0)
        return 0;
    for (size_t i = 0; i < names.count; i++) {
        const char *pid = names.items[i];
        if (!is_pid(pid))
            continue;
        nvl_autofree char *mounts = namespace_of(root, pid, "mnt");
        if (mounts != NULL && nvl_strv_contains(&seen, mounts))
            continue;
        nvl_autofree char *path = nvl_xasprintf("/proc/%s/mountinfo", pid), *text = NULL;
        size_t len;
        if (nvl_root_read(root, path, MOUNTINFO_MAX, &text, &len) < 0)
            continue; /* it has ended */
        if (mounts != NULL)
            nvl_strv_push(&seen, mounts);
        if (!has_mount(text, len, version))
            continue;
        nvl_autofree char *processes = namespace_of(root, pid, "pid");
        const char *user = processes != NULL ? processes : mounts != NULL ? mounts : pid;
        if (!nvl_strv_contains(&users, user))
            nvl_strv_push(&users, user);
    }
    return users.count;
}
