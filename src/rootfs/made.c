/* The linker's configuration, and the folders that nvlxc has made. They are noted in that file, since it is
 * the one text of nvlxc in a root file system, and since it is seen whether the container runs or not. A
 * folder is noted before it is made: none is forgotten. */
#include "rootfs/made.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"

#define NOTE     "# nvlxc made the folder "
#define CONF_MAX 8192

int nvl_made_read(const struct nvl_root *rootfs, const struct nvl_places *places, struct nvl_strv *made)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv noted = {0};
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    int r = nvl_root_read(rootfs, NVL_LINKER_CONF, CONF_MAX, &text, &len);
    if (r < 0)
        return r;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        if (nvl_has_prefix(copy, NOTE))
            nvl_strv_push(&noted, copy + strlen(NOTE));
    }
    for (size_t i = 0; i < places->folders.count; i++)
        if (nvl_strv_contains(&noted, places->folders.items[i]))
            nvl_strv_push(made, places->folders.items[i]);
    return 0;
}

bool nvl_made_can_be_kept(const struct nvl_root *rootfs)
{
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, NVL_LINKER_CONF, &name);

    return parent >= 0;
}

int nvl_made_write(const struct nvl_root *rootfs, const struct nvl_strv *made, bool with_32)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    nvl_autofree char *now = NULL;
    struct nvl_error err;
    const char *name;
    size_t len;

    for (size_t i = 0; i < made->count; i++)
        nvl_buf_addf(&text, NOTE "%s\n", made->items[i]);
    nvl_buf_addf(&text, NVL_MOUNT_POINT "/lib64\n%s", with_32 ? NVL_MOUNT_POINT "/lib32\n" : "");
    nvl_autofd int parent = nvl_root_open_parent(rootfs, NVL_LINKER_CONF, &name);
    if (parent < 0)
        return parent;
    if (nvl_root_read(rootfs, NVL_LINKER_CONF, CONF_MAX, &now, &len) == 0 && strcmp(now, text.data) == 0)
        return 0;
    return nvl_file_replace(parent, name, text.data, text.len, NULL, &err);
}

int nvl_made_remove(const struct nvl_root *rootfs, struct nvl_strv *made, const struct nvl_strv *keep)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv left = {0};
    int result = 0;

    for (size_t i = made->count; i-- > 0;) {
        const char *folder = made->items[i], *name;
        if (keep != NULL && nvl_strv_contains(keep, folder)) {
            nvl_strv_push(&left, folder);
            continue;
        }
        nvl_autofd int parent = nvl_root_open_parent(rootfs, folder, &name);
        int r = parent < 0 ? parent : unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
        /* the container has put something into it, or has a link or a file of its own there now */
        if (r == -ENOTEMPTY || r == -EEXIST)
            nvl_strv_push(&left, folder);
        else if (r < 0 && r != -ENOENT && r != -ENOTDIR && result == 0)
            result = r;
    }
    nvl_strv_clear(made);
    for (size_t i = left.count; i-- > 0;)
        nvl_strv_push(made, left.items[i]);
    return result;
}
