/* The linker's configuration, with notes of what nvlxc has made. They are in that file because it is nvlxc's
 * only text in a root file system, and visible whether the container runs or not. A thing is noted before it
 * is made, so none is forgotten. */
#include "inject/linker_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "base/root.h"

#define NOTE_FOLDER "# nvlxc made the folder "
#define NOTE_LINK   "# nvlxc made the link "
#define CONF_MAX    8192

void nvl_linker_conf_read(const struct nvl_root *rootfs, struct nvl_linker_conf *conf)
{
    const char *line;
    size_t len, pos = 0, line_len;

    *conf = (struct nvl_linker_conf){0};
    if (nvl_root_read(rootfs, NVL_LINKER_CONF, CONF_MAX, &conf->text, &len) < 0)
        return;
    while (nvl_next_line(conf->text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        if (nvl_has_prefix(copy, NOTE_FOLDER))
            nvl_strv_push(&conf->folders, copy + strlen(NOTE_FOLDER));
        else if (nvl_has_prefix(copy, NOTE_LINK))
            nvl_strv_push(&conf->links, copy + strlen(NOTE_LINK));
    }
}

void nvl_linker_conf_clear(struct nvl_linker_conf *conf)
{
    free(conf->text);
    nvl_strv_clear(&conf->folders);
    nvl_strv_clear(&conf->links);
    *conf = (struct nvl_linker_conf){0};
}

void nvl_linker_conf_keep_known(struct nvl_linker_conf *conf, const struct nvl_strv *table)
{
    struct nvl_strv known = {0};

    for (size_t i = 0; i < table->count; i++)
        if (nvl_strv_contains(&conf->folders, table->items[i]))
            nvl_strv_push(&known, table->items[i]);
    nvl_strv_clear(&conf->folders);
    conf->folders = known;
}

bool nvl_linker_conf_can_be_written(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf)
{
    const char *name;

    if (conf->text != NULL)
        return true;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, NVL_LINKER_CONF, &name);
    return parent >= 0;
}

int nvl_linker_conf_write(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf, bool with_32)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    struct nvl_error err;
    const char *name;

    for (size_t i = 0; i < conf->folders.count; i++)
        nvl_buf_addf(&text, NOTE_FOLDER "%s\n", conf->folders.items[i]);
    for (size_t i = 0; i < conf->links.count; i++)
        nvl_buf_addf(&text, NOTE_LINK "%s\n", conf->links.items[i]);
    nvl_buf_addf(&text, NVL_MOUNT_POINT "/lib64\n%s", with_32 ? NVL_MOUNT_POINT "/lib32\n" : "");
    if (conf->text != NULL && strcmp(conf->text, text.data) == 0)
        return 0;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, NVL_LINKER_CONF, &name);
    return parent < 0 ? parent : nvl_file_replace(parent, name, text.data, text.len, NULL, &err);
}

int nvl_linker_conf_remove_folders(const struct nvl_root *rootfs, struct nvl_linker_conf *conf,
                                   const struct nvl_strv *keep)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv left = {0};
    int result = 0;

    for (size_t i = conf->folders.count; i-- > 0;) {
        const char *folder = conf->folders.items[i], *name;
        if (keep != NULL && nvl_strv_contains(keep, folder)) {
            nvl_strv_push(&left, folder);
            continue;
        }
        nvl_autofd int parent = nvl_root_open_parent(rootfs, folder, &name);
        int r = parent < 0 ? parent : unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
        /* the container has put something into it, or has its own link or file there now */
        if (r == -ENOTEMPTY || r == -EEXIST)
            nvl_strv_push(&left, folder);
        else if (r < 0 && r != -ENOENT && r != -ENOTDIR && result == 0)
            result = r;
    }
    nvl_strv_clear(&conf->folders);
    for (size_t i = left.count; i-- > 0;)
        nvl_strv_push(&conf->folders, left.items[i]);
    return result;
}
