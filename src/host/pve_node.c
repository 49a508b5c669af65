/* Both answers are in the link /etc/pve/local. */
#include "host/pve_node.h"

#include <fcntl.h>

#include "base/root.h"

#define PVE_LOCAL "/etc/pve/local" /* a link to nodes/NAME */

bool nvl_cluster_has_quorum(const struct nvl_root *root, unsigned *mode)
{
    struct stat st;

    if (nvl_root_stat(root, PVE_LOCAL, AT_SYMLINK_NOFOLLOW, &st) < 0 || (st.st_mode & S_IWUSR) != 0)
        return true;
    if (mode != NULL)
        *mode = st.st_mode & 07777;
    return false;
}

char *nvl_this_node(const struct nvl_root *root)
{
    nvl_autofree char *target = NULL;

    if (nvl_root_readlink(root, PVE_LOCAL, &target) < 0)
        return NULL;
    const char *slash = strrchr(target, '/');
    return nvl_xstrdup(slash != NULL ? slash + 1 : target);
}
