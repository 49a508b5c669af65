/* Gives up rights. Source: capabilities(7); with no_new_privs a program never gets a capability that its
 * caller has not (the kernel's security/commoncap.c), so the bounding set need not be emptied. */
#include "base/confine.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"

/* What neither the hook nor ldconfig ever calls, and what the kernel's own faults are mostly reached by. */
static const int forbidden_calls[] = {
    SYS_add_key,          SYS_bpf,
    SYS_delete_module,    SYS_finit_module,
    SYS_init_module,      SYS_io_uring_setup,
    SYS_kexec_file_load,  SYS_kexec_load,
    SYS_keyctl,           SYS_open_by_handle_at,
    SYS_perf_event_open,  SYS_pidfd_getfd,
    SYS_process_vm_readv, SYS_process_vm_writev,
    SYS_request_key,      SYS_setns,
    SYS_socket,           SYS_unshare,
    SYS_userfaultfd,
#ifndef NVL_SANITIZED /* by which a sanitizer looks for leaks */
    SYS_ptrace,
#endif
};

#if defined(__x86_64__)
#define OWN_ARCH    AUDIT_ARCH_X86_64
#define FIRST_OTHER 0x40000000 /* calls of the x32 ABI */
#elif defined(__aarch64__)
#define OWN_ARCH    AUDIT_ARCH_AARCH64
#define FIRST_OTHER UINT_MAX
#endif

/* They fail with EPERM from now on, and so do all calls of another processor mode, whose numbers differ.
 * Source: seccomp(2); no_new_privs is set. */
static int forbid_calls(void)
{
#ifdef OWN_ARCH
    enum { LOOK = 4, COUNT = NVL_LENGTH(forbidden_calls), ALLOW = LOOK + COUNT, DENY, LENGTH };
    struct sock_filter filter[LENGTH] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 0, DENY - 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_OTHER, DENY - LOOK, 0),
    };
    const struct sock_fprog program = {LENGTH, filter};

    for (unsigned i = 0; i < COUNT; i++)
        filter[LOOK + i] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, (unsigned)forbidden_calls[i], (unsigned char)(DENY - LOOK - i - 1), 0);
    filter[ALLOW] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[DENY] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 && errno != ENOSYS &&
                   errno != EINVAL
               ? -errno
               : 0;
#else
    return 0;
#endif
}

int nvl_keep_capabilities(uint64_t keep)
{
    static bool is_filtered; /* filters add up: one is enough */

    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || (keep != 0 && syscall(SYS_capget, &header, sets) < 0))
        return -errno;
    for (size_t i = 0; i < NVL_LENGTH(sets); i++) {
        sets[i].permitted &= (uint32_t)(keep >> (32 * i));
        sets[i].effective = sets[i].permitted;
        sets[i].inheritable = 0; /* which empties the ambient set, too */
    }
    int r = syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
    if (r == 0 && !is_filtered)
        r = forbid_calls();
    is_filtered = r == 0;
    return r;
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
