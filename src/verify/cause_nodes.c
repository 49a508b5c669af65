/* Why a device node of the container cannot be used, and what fixes it: from what is there, what is on the
 * host, and the result of opening it. */
#include "verify/cause_nodes.h"

#include <errno.h>
#include <fcntl.h>

#include "inject/node_copies.h"
#include "doctor/container/shared.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

static const char *node_name(const struct nvl_inside_node *n)
{
    return n->node.path;
}

/* The fix for a wrong node of the host is the same, whatever is wrong with it. */
static void fix_host_node(const struct nvl_verify *v, const struct nvl_inside_node *n, struct nvl_step *step)
{
    if (n->on_host == NVL_NODE_NOT_DEVICE || n->on_host == NVL_NODE_STALE)
        nvl_step_fix(step, "rm %s\nnvidia-modprobe -c 0 -u\n%s", node_name(n), v->request->restart);
    else if (n->node.kind == NVL_NODE_UVM || n->node.kind == NVL_NODE_UVM_TOOLS)
        nvl_step_fix(step, "modprobe nvidia-uvm\nnvidia-modprobe -c 0 -u\n%s", v->request->restart);
    else
        nvl_step_fix(step, "nvidia-modprobe -c 0 -u\n%s", v->request->restart);
}

static void cause_missing(const struct nvl_verify *v, const struct nvl_inside_node *n, struct nvl_step *step)
{
    bool is_uvm = n->node.kind == NVL_NODE_UVM;

    if (n->on_host == NVL_NODE_OK || n->on_host == NVL_NODE_MODE) {
        nvl_step_cause(step,
                       "%s is on the host but not in the container: the container was started before the "
                       "node or the grant existed, or its start hook did not run%s",
                       node_name(n), is_uvm ? "; without it CUDA fails with error 999" : "");
        nvl_step_fix(step, "%s", v->request->restart);
        return;
    }
    nvl_step_cause(step, "%s is not on the host%s", node_name(n),
                   is_uvm ? ": nvidia-uvm is not loaded or its node was not made (nothing makes it at boot); "
                            "nvidia-smi works without it, CUDA fails with error 999"
                          : "");
    fix_host_node(v, n, step);
}

static void cause_stale(const struct nvl_verify *v, const struct nvl_inside_node *n, struct nvl_step *step)
{
    if (n->node.state == NVL_NODE_NOT_DEVICE)
        nvl_step_cause(step,
                       "%s in the container is not a device: it is an empty file that a mount entry with "
                       "`create=file` left because its source was missing",
                       node_name(n));
    else
        nvl_step_cause(step,
                       "%s in the container has number %d:%d, but the driver's is %d:%d now: each boot or "
                       "load of the module assigns the number anew, and this one is from an earlier one",
                       node_name(n), n->node.found_major, n->node.found_minor, n->node.major, n->node.minor);
    if (n->on_host == NVL_NODE_OK || n->on_host == NVL_NODE_MODE)
        nvl_step_fix(step, "%s", v->request->restart);
    else
        fix_host_node(v, n, step);
}

static void cause_filtered(const struct nvl_verify *v, const struct nvl_inside_node *n, struct nvl_step *step)
{
    nvl_step_cause(step,
                   "the container's device filter denies %s (%d:%d): no rule in its config allows it, or the "
                   "number in the rule is outdated",
                   node_name(n), n->node.found_major, n->node.found_minor);
    nvl_autofree char *again = nvl_attach_again(v->facts);
    nvl_step_fix(step, "%s\n%s", again, v->request->restart);
}

/* All that have the same problem, separated by blanks; the caller frees. */
static char *denied_nodes(const struct nvl_verify *v)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};

    for (size_t i = 0; i < v->n_nodes; i++)
        if ((v->nodes[i].error == EACCES || v->nodes[i].user_error == EACCES) &&
            v->nodes[i].node.kind != NVL_NODE_CAP && v->nodes[i].node.kind != NVL_NODE_DRI)
            nvl_strv_push(&paths, v->nodes[i].node.path);
    return nvl_strv_join(&paths, " ");
}

/* The container's own copy of a node that the host reserves for a group (inject/node_copies.h). */
static bool is_own(const struct nvl_verify *v, const struct nvl_inside_node *n)
{
    struct stat inside, host;

    return nvl_root_stat(&v->facts->rootfs, n->node.path, AT_SYMLINK_NOFOLLOW, &inside) == 0 &&
           nvl_root_stat(v->facts->host->root, n->node.path, AT_SYMLINK_NOFOLLOW, &host) == 0 &&
           (inside.st_dev != host.st_dev || inside.st_ino != host.st_ino);
}

/* Only a group of the container may open it. */
static void cause_no_member(const struct nvl_verify *v, const struct nvl_inside_node *n,
                            struct nvl_step *step)
{
    const char *group, *user = v->user.name != NULL ? v->user.name : "USER";
    unsigned gid;
    bool has_group = nvl_node_group(&v->facts->rootfs, n->node.path, &group, &gid);
    nvl_autofree char *group_word = nvl_shell_word(group), *user_word = nvl_shell_word(user);

    nvl_step_cause(
        step,
        "%s has mode %04o: it is for the container's root and its group %s, and %s is not in that group",
        node_name(n), n->node.found_mode, group, user);
    if (has_group)
        nvl_step_fix(step, "in the container: usermod -aG %s %s, and restart the service", group_word,
                     user_word);
    else
        nvl_step_fix(step, "in the container: groupadd --system %s && usermod -aG %s %s\n%s", group_word,
                     group_word, user_word, v->request->restart);
}

static void cause_denied(const struct nvl_verify *v, const struct nvl_inside_node *n, struct nvl_step *step)
{
    if ((n->node.found_mode & 0060) == 0060 && is_own(v, n)) {
        cause_no_member(v, n, step);
        return;
    }
    nvl_step_cause(step,
                   "%s has mode %04o, which does not let this user open it; its owner on the host may be "
                   "nobody in the container",
                   node_name(n), n->node.found_mode);
    if (n->node.kind == NVL_NODE_DRI) {
        nvl_step_fix(step, "%s", v->request->restart);
    } else if (n->node.kind == NVL_NODE_CAP) {
        nvl_step_fix(step, "chmod %04o %s", n->node.mode, node_name(n));
    } else {
        nvl_autofree char *paths = denied_nodes(v);
        nvl_step_fix(step,
                     "chmod %04o %s\n(for good: NVreg_DeviceFileMode=0666 among the options of the nvidia "
                     "module in /etc/modprobe.d)%s%s",
                     n->node.mode, paths, is_own(v, n) ? "\n" : "", is_own(v, n) ? v->request->restart : "");
    }
}

void nvl_cause_of_node(const struct nvl_verify *v, const struct nvl_inside_node *n, int error,
                       struct nvl_step *step)
{
    if (n->node.state == NVL_NODE_MISSING || error == ENOENT)
        cause_missing(v, n, step);
    else if (n->node.state == NVL_NODE_NOT_DEVICE || n->node.state == NVL_NODE_STALE)
        cause_stale(v, n, step);
    else if (error == EPERM)
        cause_filtered(v, n, step);
    else if (error == EACCES)
        cause_denied(v, n, step);
    else if (error == ENXIO || error == ENODEV) {
        nvl_step_cause(step,
                       "%s has the right number and may be opened, but no driver answers behind it (%s): the "
                       "kernel module was unloaded, or has lost the GPU",
                       node_name(n), strerror(error));
        nvl_step_fix(step, "nvlxc host\ndmesg | grep -e NVRM -e Xid");
    } else {
        nvl_step_cause(step, "opening %s fails: %s; the driver cannot initialize the GPU", node_name(n),
                       strerror(error));
        nvl_step_fix(step, "dmesg | grep -e NVRM -e Xid");
    }
}
