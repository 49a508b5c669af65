/* Gives up rights. Source: capabilities(7); with no_new_privs a program never gets a capability that its
 * caller has not (the kernel's security/commoncap.c), so the bounding set need not be emptied. */
#include "base/confine.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"

int nvl_keep_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || (keep != 0 && syscall(SYS_capget, &header, sets) < 0))
        return -errno;
    for (size_t i = 0; i < NVL_LENGTH(sets); i++) {
        sets[i].permitted &= (uint32_t)(keep >> (32 * i));
        sets[i].effective = sets[i].permitted;
        sets[i].inheritable = 0; /* which empties the ambient set, too */
    }
    return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

static int compare_descriptors(const void *a, const void *b)
{
    const int *one = a, *other = b;

    return (*one > *other) - (*one < *other);
}

static int close_others(int root_fd, const int *keep, size_t n_keep)
{
    int kept[NVL_CONFINED_MAX + 1] = {root_fd};
    unsigned from = STDERR_FILENO + 1;

    if (n_keep > NVL_CONFINED_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n_keep; i++)
        kept[i + 1] = keep[i];
    qsort(kept, n_keep + 1, sizeof *kept, compare_descriptors);
    for (size_t i = 0; i <= n_keep; i++) {
        if (kept[i] < (int)from)
            continue;
        if (kept[i] > (int)from && close_range(from, (unsigned)kept[i] - 1, 0) < 0)
            return -errno;
        from = (unsigned)kept[i] + 1;
    }
    return close_range(from, UINT_MAX, 0) < 0 ? -errno : 0;
}

static int become_user(uid_t uid, gid_t gid)
{
    if (uid == (uid_t)-1)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return -errno;
    return 0;
}

int nvl_confine(int root_fd, uid_t uid, gid_t gid, const int *keep, size_t n_keep)
{
    int r = close_others(root_fd, keep, n_keep);

    if (r == 0 && (fchdir(root_fd) < 0 || chroot(".") < 0))
        r = -errno;
    if (r == 0)
        r = become_user(uid, gid);
    return r < 0 ? r : nvl_keep_capabilities(0);
}
