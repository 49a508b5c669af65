/* The linker's configuration, and what nvlxc has made. It is noted in that file, since it is the one text of
 * nvlxc in a root file system, and since it is seen whether the container runs or not. A thing is noted
 * before it is made: none is forgotten. */
#include "inject/linker_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"

#define NOTE_FOLDER "# nvlxc made the folder "
#define NOTE_LINK   "# nvlxc made the link "
#define CONF_MAX    8192

void nvl_made_read(const struct nvl_root *rootfs, struct nvl_made *made)
{
    const char *line;
    size_t len, pos = 0, line_len;

    *made = (struct nvl_made){0};
    if (nvl_root_read(rootfs, NVL_LINKER_CONF, CONF_MAX, &made->text, &len) < 0)
        return;
    while (nvl_next_line(made->text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        if (nvl_has_prefix(copy, NOTE_FOLDER))
            nvl_strv_push(&made->folders, copy + strlen(NOTE_FOLDER));
        else if (nvl_has_prefix(copy, NOTE_LINK))
            nvl_strv_push(&made->links, copy + strlen(NOTE_LINK));
    }
}

void nvl_made_clear(struct nvl_made *made)
{
    free(made->text);
    nvl_strv_clear(&made->folders);
    nvl_strv_clear(&made->links);
    *made = (struct nvl_made){0};
}

void nvl_made_keep_known(struct nvl_made *made, const struct nvl_places *places)
{
    struct nvl_strv known = {0};

    for (size_t i = 0; i < places->folders.count; i++)
        if (nvl_strv_contains(&made->folders, places->folders.items[i]))
            nvl_strv_push(&known, places->folders.items[i]);
    nvl_strv_clear(&made->folders);
    made->folders = known;
}

bool nvl_made_can_be_kept(const struct nvl_root *rootfs, const struct nvl_made *made)
{
    const char *name;

    if (made->text != NULL)
        return true;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, NVL_LINKER_CONF, &name);
    return parent >= 0;
}

int nvl_made_write(const struct nvl_root *rootfs, const struct nvl_made *made, bool with_32)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    struct nvl_error err;
    const char *name;

    for (size_t i = 0; i < made->folders.count; i++)
        nvl_buf_addf(&text, NOTE_FOLDER "%s\n", made->folders.items[i]);
    for (size_t i = 0; i < made->links.count; i++)
        nvl_buf_addf(&text, NOTE_LINK "%s\n", made->links.items[i]);
    nvl_buf_addf(&text, NVL_MOUNT_POINT "/lib64\n%s", with_32 ? NVL_MOUNT_POINT "/lib32\n" : "");
    if (made->text != NULL && strcmp(made->text, text.data) == 0)
        return 0;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, NVL_LINKER_CONF, &name);
    return parent < 0 ? parent : nvl_file_replace(parent, name, text.data, text.len, NULL, &err);
}

int nvl_made_remove(const struct nvl_root *rootfs, struct nvl_made *made, const struct nvl_strv *keep)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv left = {0};
    int result = 0;

    for (size_t i = made->folders.count; i-- > 0;) {
        const char *folder = made->folders.items[i], *name;
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
    nvl_strv_clear(&made->folders);
    for (size_t i = left.count; i-- > 0;)
        nvl_strv_push(&made->folders, left.items[i]);
    return result;
}
