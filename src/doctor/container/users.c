/* Who may open the nodes: the users that known services run as, and the groups to which the container gives
 * graphics devices. Ids are compared as the host sees them. */
#include <fcntl.h>
#include <sys/stat.h>

#include "doctor/container/services.h"
#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "base/passwd.h"
#include "inject/node_copies.h"

#define GROUP_MAX (4u << 20) /* /etc/group */

/* What a start will make of a node that the host reserves for a group (inject/node_copies.h). */
static void take_for_own(const struct nvl_container_facts *facts, const struct nvl_node *node,
                         struct stat *st)
{
    const char *name;
    unsigned gid, outside;
    bool has_group = nvl_node_group(&facts->rootfs, node->path, &name, &gid) &&
                     nvl_idmap_outside(&facts->idmap, 'g', gid, &outside);

    st->st_mode &= ~(mode_t)07;
    st->st_uid = facts->idmap.uid0;
    st->st_gid = has_group ? outside : facts->idmap.gid0;
}

static bool has_own_nodes(const struct nvl_container_facts *facts)
{
    return facts->has_grant && facts->grant.delivery.nodes == NVL_NODES_HOOK &&
           facts->container->user == NULL;
}

/* A node's owner and mode as they are, or will be, in the container; ids are the host's. */
static bool look_at_node(const struct nvl_container_facts *facts, const struct nvl_node *node,
                         struct stat *st)
{
    for (size_t i = 0; facts->init <= 0 && !facts->has_grant && i < facts->effective.count; i++) {
        nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry p = {0};
        if (facts->effective.items[i].owner != NVL_OWNER_BY_HAND ||
            !nvl_setting_dev(&facts->effective.items[i], &p) || strcmp(p.path, node->path) != 0)
            continue;
        *st = (struct stat){.st_mode = S_IFCHR | (mode_t)p.mode};
        return nvl_idmap_outside(&facts->idmap, 'u', p.uid, &st->st_uid) &&
               nvl_idmap_outside(&facts->idmap, 'g', p.gid, &st->st_gid);
    }
    const struct nvl_root *root = facts->init > 0 ? &facts->rootfs : facts->host->root;
    if (nvl_root_stat(root, node->path, AT_SYMLINK_NOFOLLOW, st) < 0 || !S_ISCHR(st->st_mode))
        return false;
    if (facts->init <= 0 && has_own_nodes(facts) && (st->st_mode & 0006) != 0006)
        take_for_own(facts, node, st);
    return true;
}

/* Ids that the container's map does not have are nobody's there. */
static bool may_open(const struct nvl_container_facts *facts, const struct nvl_account *u,
                     const struct stat *st)
{
    unsigned id;

    if (u->uid != (uid_t)-1 && nvl_idmap_outside(&facts->idmap, 'u', u->uid, &id) && id == st->st_uid)
        return (st->st_mode & 0600) == 0600;
    for (size_t i = 0; i < u->n_groups; i++)
        if (nvl_idmap_outside(&facts->idmap, 'g', u->groups[i], &id) && id == st->st_gid)
            return (st->st_mode & 0060) == 0060;
    return (st->st_mode & 0006) == 0006;
}

/* "ollama (100999)": the number on the host, which a dynamic user does not have yet. */
static char *describe_user(const struct nvl_container_facts *facts, const struct nvl_account *u)
{
    unsigned id;

    if (u->uid == (uid_t)-1)
        return nvl_xasprintf("%s (a dynamic user)", u->name);
    return nvl_idmap_outside(&facts->idmap, 'u', u->uid, &id) ? nvl_xasprintf("%s (%u)", u->name, id)
                                                              : nvl_xasprintf("%s (not mapped)", u->name);
}

/* What services may not open, of some kind. */
struct denied {
    bool is_graphics;
    struct nvl_strv evidence, paths, fix;
};

static void denied_clear(struct denied *d)
{
    nvl_strv_clear(&d->evidence);
    nvl_strv_clear(&d->paths);
    nvl_strv_clear(&d->fix);
}

/* uvm-tools is for profilers, caps nodes have their own rules, and programs open render nodes only. */
static bool is_judged(const struct nvl_node *node, bool is_graphics)
{
    if (node->kind == NVL_NODE_DRI)
        return is_graphics && strstr(node->path, "renderD") != NULL;
    return !is_graphics && node->kind != NVL_NODE_CAP && node->kind != NVL_NODE_UVM_TOOLS;
}

/* The group of the container that may open the node, as its /etc/group names it. */
static bool find_group_of(const struct nvl_container_facts *facts, const struct stat *st,
                          struct nvl_strv *names)
{
    nvl_auto(nvl_accounts_close) struct nvl_accounts groups = {0};
    struct group group;
    unsigned gid;

    if (!nvl_idmap_inside(&facts->idmap, 'g', st->st_gid, &gid) || gid == 0 ||
        nvl_accounts_open(&groups, &facts->rootfs, "/etc/group", GROUP_MAX) < 0)
        return false;
    while (nvl_accounts_next_group(&groups, &group) != NULL)
        if (group.gr_gid == gid) {
            nvl_strv_push(names, group.gr_name);
            return true;
        }
    return false;
}

/* Makes the service a member of the group that has the node. */
static void fix_membership(const struct nvl_container_facts *facts, const char *service,
                           const struct stat *st, struct nvl_strv *fix)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv group = {0};

    if ((st->st_mode & 0060) != 0060 || !find_group_of(facts, st, &group) || !nvl_is_plain(group.items[0]))
        return;
    nvl_autofree char *command = nvl_service_join(facts, service, group.items[0]);
    nvl_strv_push_once(fix, command);
}

static void find_denied_to(const struct nvl_container_facts *facts, const struct nvl_account *u,
                           const char *service, struct denied *d)
{
    size_t count;
    nvl_autofree struct nvl_node *nodes = nvl_expected_nodes(facts, &count);
    nvl_autofree char *who = describe_user(facts, u);
    struct stat st;

    for (size_t i = 0; i < count; i++) {
        if (!is_judged(&nodes[i], d->is_graphics) || !look_at_node(facts, &nodes[i], &st) ||
            may_open(facts, u, &st))
            continue;
        nvl_strv_push(&d->paths, nodes[i].path);
        nvl_strv_pushf(&d->evidence, "%s: mode %04o, owner %u:%u; %s.service runs as %s", nodes[i].path,
                       st.st_mode & 07777, st.st_uid, st.st_gid, service, who);
        fix_membership(facts, service, &st, &d->fix);
    }
}

/* Mostly none: then no unit needs to be read. */
static bool has_closed_node(const struct nvl_container_facts *facts, bool is_graphics)
{
    size_t count;
    nvl_autofree struct nvl_node *nodes = nvl_expected_nodes(facts, &count);
    struct stat st;

    for (size_t i = 0; i < count; i++)
        if (is_judged(&nodes[i], is_graphics) && look_at_node(facts, &nodes[i], &st) &&
            (st.st_mode & 0006) != 0006)
            return true;
    return false;
}

static void find_denied(const struct nvl_container_facts *facts, struct denied *d)
{
    if (!has_closed_node(facts, d->is_graphics))
        return;
    for (const char *const *service = nvl_gpu_services; *service != NULL; service++) {
        nvl_auto(nvl_account_clear) struct nvl_account u = {0};
        if (nvl_service_user(&facts->rootfs, *service, &u))
            find_denied_to(facts, &u, *service, d);
    }
}

/* "pct set 220 -dev0 /dev/nvidia0,mode=0666" for each passed node; "" if there is none. */
static char *passthrough_commands(const struct nvl_container_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv commands = {0};

    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry p = {0};
        if (facts->effective.items[i].owner == NVL_OWNER_BY_HAND &&
            nvl_setting_dev(&facts->effective.items[i], &p))
            nvl_push_open_device(&commands, facts, &facts->effective.items[i], p.path);
    }
    return nvl_strv_join(&commands, "\n");
}

static void check_service_user(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(denied_clear) struct denied d = {0};

    find_denied(facts, &d);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &d.evidence,
                                                 "a service in it may not open NVIDIA's nodes");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &d.paths);
    nvl_autofree char *commands = passthrough_commands(facts);
    nvl_finding_cause(f, "the service runs as a user whom the nodes' mode excludes: everything works as "
                         "root, but the service falls back to the CPU");
    if (commands[0] != '\0')
        nvl_strv_push(&d.fix, commands);
    else
        nvl_strv_pushf(&d.fix,
                       "%son the host: chmod 0666 /dev/nvidia*\n"
                       "and for the next boot, in /etc/modprobe.d: options nvidia NVreg_DeviceFileMode=0666",
                       d.fix.count > 0 ? "or " : "");
    nvl_finding_fix_lines(f, &d.fix);
}

static void check_service_graphics(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                   struct nvl_findings *findings)
{
    nvl_auto(denied_clear) struct denied d = {.is_graphics = true};

    find_denied(facts, &d);
    if (d.fix.count == 0) /* no group of the container may: render-group */
        return;
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &d.evidence,
                                                 "a service in it may not open the graphics node");
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &d.paths);
    nvl_finding_cause(f, "the node is for a group of the container in which the service's user is not: "
                         "encoding works, but Vulkan and EGL (tone mapping, rendering) find no device");
    nvl_finding_fix_lines(f, &d.fix);
}

/* One finding for each service: each has its own lines. */
static void check_closing_unit(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    for (const char *const *service = nvl_gpu_services; *service != NULL; service++) {
        nvl_auto(nvl_service_closing_clear) struct nvl_service_closing closing = {0};
        if (!nvl_service_is_closed(facts, *service, &closing))
            continue;
        nvl_autofree char *title = nvl_xasprintf("the unit of %s keeps it from the GPU", *service);
        struct nvl_finding *f = nvl_finding_of_lines(
            findings, check, closing.is_in_force ? NVL_SEVERITY_ERROR : NVL_SEVERITY_NOTE, facts,
            &closing.lines, closing.is_in_force ? title : "a unit in it would keep its service from the GPU");
        nvl_finding_cause(
            f, "%s",
            closing.is_in_force
                ? "systemd gives the service less than the container has: everything works in a shell, but "
                  "the service falls back to the CPU"
                : "systemd needs the host's root to filter devices, so in an unprivileged container these "
                  "lines have no effect; in a privileged one they would");
        if (closing.fix.count == 0 || !closing.is_in_force)
            continue;
        nvl_autofree char *fix = nvl_service_open(facts, *service, &closing);
        nvl_finding_fix(f, "%s", fix);
    }
}

static bool is_gid_of(const struct nvl_container_facts *facts, const char *group, unsigned gid,
                      struct nvl_strv *has)
{
    unsigned own, outside;

    if (!nvl_group_find(&facts->rootfs, group, &own))
        return false;
    if (!nvl_idmap_outside(&facts->idmap, 'g', own, &outside)) {
        nvl_strv_pushf(has, "the container's group %s is %u (not mapped to the host)", group, own);
        return false;
    }
    nvl_strv_pushf(has, "the container's group %s is %u (%u on the host)", group, own, outside);
    return outside == gid;
}

/* A user's start hook cannot make nodes: the host's own must be open to all. */
static void render_fix(struct nvl_finding *f, const struct nvl_container_facts *facts,
                       const struct nvl_node *node)
{
    nvl_autofree char *restart = nvl_container_restart(facts->container);
    nvl_autofree char *again = nvl_attach_with_hook_nodes(facts);

    if (has_own_nodes(facts)) /* its grant gives it nodes of its own: from the next start on */
        nvl_finding_fix(f, "%s", restart);
    else if (facts->container->user == NULL)
        nvl_finding_fix(f, "%s\n%s", again, restart);
    else
        nvl_finding_fix(f,
                        "on the host: chmod 0666 %s\n"
                        "and for the next boot, in /etc/udev/rules.d/70-nvlxc-dri.rules:\n"
                        "  SUBSYSTEM==\"drm\", KERNEL==\"renderD*\", MODE=\"0666\"",
                        node->path);
}

static void check_render_group(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    struct stat st;

    for (size_t i = 0; i < facts->resolved.n_nodes; i++) {
        const struct nvl_node *node = &facts->resolved.nodes[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
        if (node->kind != NVL_NODE_DRI || strstr(node->path, "renderD") == NULL ||
            !look_at_node(facts, node, &st) || (st.st_mode & 0006) == 0006)
            continue;
        if (has_own_nodes(facts) && st.st_uid == facts->idmap.uid0 && st.st_gid == facts->idmap.gid0)
            continue; /* it has no such group: the node is for its root */
        nvl_strv_pushf(&evidence, "%s: mode %04o, owner %u:%u", node->path, st.st_mode & 07777, st.st_uid,
                       st.st_gid);
        if (is_gid_of(facts, "render", st.st_gid, &evidence) ||
            is_gid_of(facts, "video", st.st_gid, &evidence))
            continue;
        struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                                                     "no group of the container may open the graphics node");
        nvl_finding_cause(f, "%s",
                          facts->idmap.privileged
                              ? "the host's group of the node has another number in the container: Vulkan "
                                "and EGL work only as root"
                              : "the node's group belongs to the host, and no unprivileged container has a "
                                "part in it: Vulkan and EGL find no device, not even as root");
        render_fix(f, facts, node);
    }
}

const struct nvl_check nvl_user_checks[] = {
    {"service-user-denied", "May its services open the nodes?", 80, NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS,
     "device-denied node-mode", NVL_OF_CONTAINER(check_service_user)},
    {"service-user-graphics", "May its services open the graphics nodes?", 82,
     NVL_NEEDS_GRANT | NVL_NEEDS_ROOTFS, "device-denied", NVL_OF_CONTAINER(check_service_graphics)},
    {"unit-closes-gpu", "Do the units of its services leave them the GPU?", 84,
     NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS, NULL, NVL_OF_CONTAINER(check_closing_unit)},
    {"render-group", "May one of its groups open the graphics nodes?", 90, NVL_NEEDS_GRANT | NVL_NEEDS_ROOTFS,
     NULL, NVL_OF_CONTAINER(check_render_group)},
    {0},
};
