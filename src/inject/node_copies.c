/* Containers' own device nodes, below /dev/nvlxc. */
#include "inject/node_copies.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/passwd.h"
#include "grant/resolve.h"

static bool is_closed(const struct nvl_node *node)
{
    bool is_device = node->state == NVL_NODE_OK || node->state == NVL_NODE_MODE;

    return is_device && node->kind != NVL_NODE_CAP && (node->found_mode & 0006) != 0006;
}

/* Before the group render existed, udev gave both kinds to video. */
static const char *node_copy_name(const struct nvl_node *node)
{
    return strrchr(node->path, '/') + 1;
}

/* One component of a path: LXC takes no other names. */
static char *copies_folder(const char *container)
{
    bool is_name = container[0] != '\0' && container[0] != '.' && strchr(container, '/') == NULL;

    return is_name ? nvl_xasprintf(NVL_NODE_COPIES_DIR "/%s", container) : NULL;
}

int nvl_node_copies_open(const struct nvl_root *root, const char *container)
{
    nvl_autofree char *path = copies_folder(container);

    return path != NULL ? nvl_root_openat(root, path, O_PATH | O_DIRECTORY | O_NOFOLLOW) : -ENOENT;
}

/* Recreated each time: the old one may have the group of an earlier start. */
static int make_copy(int folder, uid_t uid, gid_t gid, const struct nvl_node *node)
{
    const char *name = node_copy_name(node);
    dev_t number = makedev((unsigned)node->found_major, (unsigned)node->found_minor);

    if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
        return -errno;
    if (mknodat(folder, name, S_IFCHR | 0600, number) < 0 ||
        fchownat(folder, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(folder, name, node->found_mode & 0660, 0) < 0)
        return -errno;
    return 0;
}

static bool is_copy_wanted(const char *name, const struct nvl_node *nodes, size_t n_nodes)
{
    for (size_t i = 0; i < n_nodes; i++)
        if (is_closed(&nodes[i]) && strcmp(node_copy_name(&nodes[i]), name) == 0)
            return true;
    return false;
}

static void remove_other_copies(const struct nvl_root *root, const char *path, int folder,
                                const struct nvl_node *nodes, size_t n_nodes)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(root, path, &names);
    for (size_t i = 0; i < names.count; i++)
        if (!is_copy_wanted(names.items[i], nodes, n_nodes))
            unlinkat(folder, names.items[i], 0);
}

/* Only the container's root may enter: users of the host may have the group's number. */
static int make_copies_folder(const struct nvl_root *root, const char *path, uid_t uid, gid_t gid)
{
    int r = nvl_root_make_folder(root, path);

    if (r < 0)
        return r;
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        return fd;
    return fchmod(fd, 0700) < 0 || fchown(fd, uid, gid) < 0 ? -errno : TAKE_FD(fd);
}

bool nvl_node_copies_are_needed(const struct nvl_resolved *resolved)
{
    for (size_t i = 0; i < resolved->n_nodes; i++)
        if (is_closed(&resolved->nodes[i]))
            return true;
    return false;
}

bool nvl_node_copies_find(const struct nvl_host *host, const struct nvl_grant *grant,
                          struct nvl_resolved *resolved)
{
    nvl_grant_resolve(grant, host, resolved);
    for (size_t i = 0; i < resolved->n_nodes; i++)
        nvl_node_check(host->root, &resolved->nodes[i]);
    return nvl_node_copies_are_needed(resolved);
}

void nvl_node_copies_make(const struct nvl_root *root, const struct nvl_resolved *resolved,
                          const char *container, uid_t uid, gid_t gid, struct nvl_strv *problems)
{
    nvl_autofree char *path = copies_folder(container);
    nvl_autofd int folder = path != NULL ? make_copies_folder(root, path, uid, gid) : -EINVAL;

    if (folder < 0) {
        nvl_strv_pushf(problems, "cannot make the container's own nodes: %s", strerror(-folder));
        return;
    }
    remove_other_copies(root, path, folder, resolved->nodes, resolved->n_nodes);
    for (size_t i = 0; i < resolved->n_nodes; i++) {
        const struct nvl_node *node = &resolved->nodes[i];
        int r = is_closed(node) ? make_copy(folder, uid, gid, node) : 0;
        if (r < 0)
            nvl_strv_pushf(problems, "cannot make %s/%s: %s", path, node_copy_name(node), strerror(-r));
    }
}

void nvl_node_copies_remove(const struct nvl_root *root, const char *container)
{
    nvl_autofree char *path = copies_folder(container);
    const char *name;
    nvl_autofd int folder = nvl_node_copies_open(root, container);

    if (folder < 0)
        return;
    remove_other_copies(root, path, folder, NULL, 0);
    nvl_autofd int parent = nvl_root_open_parent(root, path, &name);
    if (parent >= 0)
        unlinkat(parent, name, AT_REMOVEDIR);
}
