/* The list of containers: eight bytes for each and, for LXC's, the name. A search goes through the folders,
 * which are few, and bisects the entries of each. */
#include "container/list.h"

#include <inttypes.h>
#include <stdio.h>

#include "container/instance.h"

struct key {
    const struct nvl_container_folder *folder;
    uint32_t ctid;
    const char *name; /* NULL for Proxmox's */
};

bool nvl_parse_ctid(const char *s, uint32_t *ctid)
{
    uint64_t n;

    if (s[0] == '0' || nvl_parse_uint(s, 10, 999999999, &n) < 0)
        return false;
    *ctid = (uint32_t)n;
    return true;
}

struct nvl_container_folder *nvl_containers_add_folder(struct nvl_containers *all,
                                                       enum nvl_container_kind kind, const char *path,
                                                       const struct nvl_user *owner, const char *node)
{
    struct nvl_container_folder *folder = NVL_APPEND(all->folders, all->n_folders);

    *folder = (struct nvl_container_folder){.kind = kind,
                                            .path = nvl_xstrdup(path),
                                            .node = node != NULL ? nvl_xstrdup(node) : NULL,
                                            .owner = owner};
    return folder;
}

static void add(struct nvl_containers *all, size_t name)
{
    if (name > UINT32_MAX)
        nvl_out_of_memory();
    *NVL_APPEND(all->entries, all->n_entries) =
        (struct nvl_container_entry){.folder = (uint32_t)all->n_folders - 1, .name = (uint32_t)name};
}

void nvl_containers_add_ct(struct nvl_containers *all, uint32_t ctid)
{
    add(all, ctid);
}

void nvl_containers_add_lxc(struct nvl_containers *all, const char *name)
{
    size_t at = all->names.len;

    nvl_buf_add(&all->names, name, strlen(name) + 1);
    add(all, at);
}

void nvl_containers_add_instance(struct nvl_containers *all, struct nvl_instance *instance)
{
    add(all, all->n_instances);
    *NVL_APPEND(all->instances, all->n_instances) = instance;
}

static struct key key_of(const struct nvl_containers *all, const struct nvl_container_entry *entry)
{
    const struct nvl_container_folder *folder = &all->folders[entry->folder];

    switch (folder->kind) {
    case NVL_CONTAINER_PVE:
        return (struct key){folder, entry->name, NULL};
    case NVL_CONTAINER_DAEMON:
        return (struct key){folder, 0, all->instances[entry->name]->name};
    default:
        return (struct key){folder, 0, all->names.data + entry->name};
    }
}

/* All Proxmox nodes form one list, by CTID; the other folders follow in their order. */
static int compare_keys(const struct key *x, const struct key *y)
{
    bool is_x_ct = x->folder->kind == NVL_CONTAINER_PVE, is_y_ct = y->folder->kind == NVL_CONTAINER_PVE;

    if (x->folder->is_elsewhere != y->folder->is_elsewhere)
        return x->folder->is_elsewhere ? 1 : -1;
    if (is_x_ct != is_y_ct)
        return is_x_ct ? -1 : 1;
    if (x->ctid != y->ctid)
        return x->ctid < y->ctid ? -1 : 1;
    if (x->folder != y->folder)
        return x->folder < y->folder ? -1 : 1;
    return x->name != NULL ? strcmp(x->name, y->name) : 0;
}

static int compare_entries(const void *a, const void *b, void *all)
{
    struct key x = key_of(all, a), y = key_of(all, b);

    return compare_keys(&x, &y);
}

static bool search(const struct nvl_containers *all, const struct key *key, size_t *at)
{
    size_t low = 0, high = all->n_sorted;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct key here = key_of(all, &all->entries[middle]);
        int order = compare_keys(key, &here);
        *at = middle;
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

void nvl_containers_sort(struct nvl_containers *all)
{
    if (all->n_entries > 1)
        qsort_r(all->entries, all->n_entries, sizeof *all->entries, compare_entries, all);
    all->n_sorted = all->n_entries;
    all->count = all->n_entries;
    while (all->count > 0 && all->folders[all->entries[all->count - 1].folder].is_elsewhere)
        all->count--;
}

static bool find_in_folder(const struct nvl_containers *all, const struct nvl_container_folder *folder,
                           const char *name, size_t *i)
{
    struct key key = {.folder = folder};

    if (folder->kind != NVL_CONTAINER_PVE)
        key.name = name;
    else if (!nvl_parse_ctid(name, &key.ctid))
        return false;
    return search(all, &key, i);
}

bool nvl_containers_next_named(const struct nvl_containers *all, const char *name, size_t *folder, size_t *i)
{
    while (*folder < all->n_folders)
        if (find_in_folder(all, &all->folders[(*folder)++], name, i))
            return true;
    return false;
}

bool nvl_containers_have_ct(const struct nvl_containers *all, const char *name)
{
    size_t folder = 0, i;

    return nvl_containers_next_named(all, name, &folder, &i) &&
           all->folders[all->entries[i].folder].kind == NVL_CONTAINER_PVE;
}

/* One block: the struct, followed by its name and its path. */
static struct nvl_container *make_container(const struct nvl_container_folder *folder, const char *name,
                                            const char *path)
{
    size_t name_size = strlen(name) + 1, path_size = strlen(path) + 1;
    struct nvl_container *c = nvl_xcalloc(1, sizeof *c + name_size + path_size);
    char *own_name = (char *)(c + 1), *own_path = own_name + name_size;

    memcpy(own_name, name, name_size);
    memcpy(own_path, path, path_size);
    *c = (struct nvl_container){.kind = folder->kind,
                                .name = own_name,
                                .lxc_name = own_name,
                                .config_path = own_path,
                                .config_edit = own_path,
                                .node = folder->node};
    return c;
}

static struct nvl_container *container_of_instance(const struct nvl_container_folder *folder,
                                                   const struct nvl_instance *instance)
{
    nvl_autofree char *lxc_name = nvl_instance_lxc_name(instance);
    struct nvl_container *c = make_container(folder, lxc_name, instance->text);

    c->name = instance->name;
    c->config_edit = instance->edit;
    c->instance = instance;
    return c;
}

struct nvl_container *nvl_container_at(const struct nvl_containers *all, size_t i)
{
    struct key key = key_of(all, &all->entries[i]);
    const struct nvl_container_folder *folder = key.folder;
    char ctid[16];
    bool is_ct = folder->kind == NVL_CONTAINER_PVE;

    struct nvl_container *c;

    snprintf(ctid, sizeof ctid, "%" PRIu32, key.ctid);
    if (folder->kind == NVL_CONTAINER_DAEMON) {
        c = container_of_instance(folder, all->instances[all->entries[i].name]);
    } else {
        const char *name = is_ct ? ctid : key.name;
        nvl_autofree char *path = nvl_xasprintf("%s/%s%s", folder->path, name, is_ct ? ".conf" : "/config");
        c = make_container(folder, name, path);
    }
    c->user = folder->owner != NULL ? folder->owner->name : NULL;
    c->owner = folder->owner;
    c->lxcpath = is_ct ? NVL_LXC_DIR : folder->path;
    c->majors = folder->node == NULL ? all->majors : NULL;
    return c;
}

struct nvl_container *nvl_containers_next_lxc_named(const struct nvl_containers *all, const char *lxc_name,
                                                    size_t *folder)
{
    const char *line = strrchr(lxc_name, '_'); /* no instance's own name has one */
    size_t i;

    while (*folder < all->n_folders) {
        const struct nvl_container_folder *f = &all->folders[(*folder)++];
        if (!find_in_folder(all, f, f->daemon != NULL && line != NULL ? line + 1 : lxc_name, &i) ||
            i >= all->count)
            continue;
        nvl_autofree struct nvl_container *c = nvl_container_at(all, i);
        if (strcmp(c->lxc_name, lxc_name) == 0)
            return TAKE_PTR(c);
    }
    return NULL;
}

void nvl_containers_clear(struct nvl_containers *all)
{
    for (size_t i = 0; i < all->n_folders; i++) {
        free(all->folders[i].path);
        free(all->folders[i].node);
        free(all->folders[i].project);
    }
    for (size_t i = 0; i < all->n_instances; i++)
        nvl_instance_free(all->instances[i]);
    free(all->instances);
    free(all->folders);
    free(all->entries);
    nvl_buf_clear(&all->names);
    nvl_strv_clear(&all->looked);
    nvl_strv_clear(&all->unread);
    free(all->majors);
    nvl_users_clear(&all->users);
    *all = (struct nvl_containers){0};
}
