/* Reads the users of a container. */
#include "base/passwd.h"

#include <errno.h>

#define FILE_MAX   (4u << 20)
#define FIELDS_MAX 7

/* Splits at colons, in place. Gives the number of fields, at most `max`. */
static size_t split_fields(char *line, char **fields, size_t max)
{
    size_t n = 1;

    fields[0] = line;
    for (char *p = line; *p != '\0' && n < max; p++)
        if (*p == ':') {
            *p = '\0';
            fields[n++] = p + 1;
        }
    return n;
}

/* The fields of the first line whose first field is `name`. The caller frees *line, which they point into. */
static bool find_passwd_line(const char *text, size_t len, size_t *pos, const char *name, char **line,
                             char **fields, size_t n_fields)
{
    const char *start;
    size_t line_len;

    while (nvl_next_line(text, len, pos, &start, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(start, line_len);
        if (split_fields(copy, fields, n_fields) == n_fields &&
            (name == NULL || strcmp(fields[0], name) == 0)) {
            *line = TAKE_PTR(copy);
            return true;
        }
    }
    return false;
}

static bool parse_id(const char *text, unsigned *id)
{
    uint64_t value;

    if (nvl_parse_uint(text, 10, UINT32_MAX - 1, &value) < 0)
        return false;
    *id = (unsigned)value;
    return true;
}

/* "render:x:104:jellyfin,plex" */
static void read_groups(const struct nvl_root *rootfs, struct nvl_inside_user *user)
{
    nvl_autofree char *text = NULL;
    char *fields[4], *line;
    size_t len, pos = 0;
    unsigned gid;

    user->groups[user->n_groups++] = user->gid;
    if (nvl_root_read(rootfs, "/etc/group", FILE_MAX, &text, &len) < 0)
        return;
    while (user->n_groups < NVL_INSIDE_GROUPS && find_passwd_line(text, len, &pos, NULL, &line, fields, 4)) {
        nvl_auto(nvl_strv_clear) struct nvl_strv members = {0};
        nvl_autofree char *owned = line;
        nvl_strv_split(&members, fields[3], ",");
        if (nvl_strv_contains(&members, user->name) && parse_id(fields[2], &gid) && gid != user->gid)
            user->groups[user->n_groups++] = gid;
        (void)owned;
    }
}

int nvl_inside_user_find(const struct nvl_root *rootfs, const char *name, struct nvl_inside_user *user)
{
    nvl_autofree char *text = NULL;
    char *fields[FIELDS_MAX], *line;
    size_t len, pos = 0;

    *user = (struct nvl_inside_user){0};
    int r = nvl_root_read(rootfs, "/etc/passwd", FILE_MAX, &text, &len);
    if (r < 0)
        return r;
    if (!find_passwd_line(text, len, &pos, name, &line, fields, FIELDS_MAX))
        return -ENOENT;
    nvl_autofree char *owned = line;
    if (!parse_id(fields[2], &user->uid) || !parse_id(fields[3], &user->gid))
        return -EINVAL;
    user->name = nvl_xstrdup(name);
    user->home = nvl_xstrdup(fields[5][0] == '/' ? fields[5] : "/");
    read_groups(rootfs, user);
    (void)owned;
    return 0;
}

void nvl_inside_user_clear(struct nvl_inside_user *user)
{
    free(user->name);
    free(user->home);
    *user = (struct nvl_inside_user){0};
}

/* The third field may be the last: nobody is in the group then. */
bool nvl_group_find(const struct nvl_root *rootfs, const char *name, unsigned *gid)
{
    nvl_autofree char *text = NULL;
    char *fields[3], *line;
    size_t len, pos = 0;
    bool is_found = false;

    if (nvl_root_read(rootfs, "/etc/group", FILE_MAX, &text, &len) < 0)
        return false;
    while (!is_found && find_passwd_line(text, len, &pos, name, &line, fields, NVL_LENGTH(fields))) {
        fields[2][strcspn(fields[2], ":")] = '\0';
        is_found = parse_id(fields[2], gid);
        free(line);
    }
    return is_found;
}
