/* Proxmox's storages, as far as the name of a CT's volume goes. Source: /etc/pve/storage.cfg, sections of
 * "type: name" with indented properties (pve-docs, pvesm); volume names of PVE::Storage's plugins. */
#include <errno.h>

#include "template/compose.h"

#define STORAGE_CFG "/etc/pve/storage.cfg"

struct storage {
    char *type, *name, *content;
};

struct storages {
    struct storage *items;
    size_t count;
};

static void storages_clear(struct storages *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->items[i].type);
        free(s->items[i].name);
        free(s->items[i].content);
    }
    free(s->items);
}

static void read_line(struct storages *s, const char *line, size_t len)
{
    nvl_autofree char *text = nvl_xstrndup(line, len);
    const char *colon = strchr(text, ':');
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, text, " \t\r");
    if (words.count == 2 && colon != NULL && text[0] != ' ' && text[0] != '\t' && text[0] != '#') {
        *NVL_APPEND(s->items, s->count) =
            (struct storage){nvl_xstrndup(text, (size_t)(colon - text)), nvl_xstrdup(words.items[1]), NULL};
    } else if (words.count == 2 && s->count > 0 && strcmp(words.items[0], "content") == 0) {
        free(s->items[s->count - 1].content);
        s->items[s->count - 1].content = nvl_xstrdup(words.items[1]);
    }
}

static int read_storages(const struct nvl_root *root, struct storages *s)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    int r = nvl_root_read(root, STORAGE_CFG, 1u << 20, &text, &len);
    if (r < 0)
        return r;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        read_line(s, line, line_len);
    return 0;
}

static char *volume_of(const char *type, const char *storage, unsigned ctid)
{
    static const char *const folders[] = {"dir", "nfs", "cifs", "btrfs", "cephfs", "glusterfs"};

    if (strcmp(type, "zfspool") == 0)
        return nvl_xasprintf("%s:subvol-%u-disk-0", storage, ctid);
    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        if (strcmp(type, folders[i]) == 0)
            return nvl_xasprintf("%s:%u/vm-%u-disk-0.raw", storage, ctid, ctid);
    return nvl_xasprintf("%s:vm-%u-disk-0", storage, ctid);
}

int nvl_volume_name(const struct nvl_root *root, const char *storage, unsigned ctid, char **volume,
                    struct nvl_error *err)
{
    nvl_auto(storages_clear) struct storages all = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (read_storages(root, &all) < 0) {
        *volume = volume_of("lvm", storage, ctid);
        return 0;
    }
    for (size_t i = 0; i < all.count; i++) {
        if (strcmp(all.items[i].name, storage) == 0) {
            *volume = volume_of(all.items[i].type, storage, ctid);
            return 0;
        }
        nvl_strv_push(&names, all.items[i].name);
    }
    nvl_autofree char *list = nvl_strv_join(&names, ", ");
    nvl_error_set(err, -ENOENT, "Proxmox has no storage '%.100s'", storage);
    nvl_error_hint(err, "%s has %s", STORAGE_CFG, list);
    return -ENOENT;
}

char *nvl_default_storage(const struct nvl_root *root)
{
    nvl_auto(storages_clear) struct storages all = {0};

    read_storages(root, &all);
    for (size_t i = 0; i < all.count; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv content = {0};
        nvl_strv_split(&content, all.items[i].content != NULL ? all.items[i].content : "", ",");
        if (nvl_strv_contains(&content, "rootdir"))
            return nvl_xstrdup(all.items[i].name);
    }
    return nvl_xstrdup("local-lvm");
}
