/* group(5): "render:x:105:alice,bob". */
#include "inject/groups.h"

#define GROUP_FILE_MAX (1u << 20)

/* The third of the line's fields, where the first is `name`. */
static bool take_gid(const char *line, size_t len, const char *name, unsigned *gid)
{
    nvl_autofree char *copy = nvl_xstrndup(line, len);
    size_t name_len = strlen(name);
    uint64_t number;

    if (strncmp(copy, name, name_len) != 0 || copy[name_len] != ':')
        return false;
    char *text = strchr(copy + name_len + 1, ':');
    if (text == NULL)
        return false;
    text++;
    text[strcspn(text, ":")] = '\0';
    if (nvl_parse_uint(text, 10, UINT32_MAX - 1, &number) < 0)
        return false;
    *gid = (unsigned)number;
    return true;
}

bool nvl_group_find(const struct nvl_root *rootfs, const char *name, unsigned *gid)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    if (nvl_root_read(rootfs, "/etc/group", GROUP_FILE_MAX, &text, &len) < 0)
        return false;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (take_gid(line, line_len, name, gid))
            return true;
    return false;
}
