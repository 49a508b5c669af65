/* Who may open the nodes: the users that known services run as, and the groups to which the container gives
 * graphics devices. Ids are compared as the host sees them. */
#include <fcntl.h>
#include <sys/stat.h>

#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "base/passwd.h"
#include "inject/node_copies.h"

#define FILE_MAX (1u << 20)

/* The value of a key of a unit file that is in force, the last one; NULL for none. */
static char *unit_value(const char *text, size_t len, const char *key)
{
    size_t pos = 0, line_len, key_len = strlen(key);
    const char *line;
    char *value = NULL;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        if (line_len <= key_len || memcmp(line, key, key_len) != 0 || line[key_len] != '=')
            continue;
        free(value);
        value = nvl_xstrndup(line + key_len + 1, line_len - key_len - 1);
    }
    return value;
}

static void add_supplementary(const struct nvl_root *rootfs, const char *names, struct nvl_account *u)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv list = {0};
    unsigned gid;

    nvl_strv_split(&list, names, " \t");
    for (size_t i = 0; i < list.count && u->n_groups < NVL_ACCOUNT_GROUPS; i++)
        if (nvl_group_find(rootfs, list.items[i], &gid))
            u->groups[u->n_groups++] = gid;
}

/* The user that a unit runs as. False for root, and if there is no such unit or user. */
static bool find_service_user(const struct nvl_root *rootfs, const char *service, struct nvl_account *u)
{
    static const char *const folders[] = {"/etc/systemd/system", "/usr/lib/systemd/system",
                                          "/lib/systemd/system"};
    nvl_autofree char *text = NULL;
    size_t len = 0;

    *u = (struct nvl_account){0};
    for (size_t i = 0; i < NVL_LENGTH(folders) && text == NULL; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s.service", folders[i], service);
        if (nvl_root_read(rootfs, path, FILE_MAX, &text, &len) < 0)
            text = NULL;
    }
    nvl_autofree char *name = text != NULL ? unit_value(text, len, "User") : NULL;
    if (name == NULL || strcmp(name, "root") == 0 || nvl_account_find(rootfs, name, u) < 0)
        return false;
    nvl_autofree char *groups = unit_value(text, len, "SupplementaryGroups");
    if (groups != NULL)
        add_supplementary(rootfs, groups, u);
    return true;
}

/* What a start will make of a node that the host reserves for a group (inject/node_copies.h). */
static void take_for_own(const struct nvl_container_facts *facts, const struct nvl_node *node,
                         struct stat *st)
{
    const char *name;
    unsigned gid;

    if (!nvl_node_copy_group(&facts->rootfs, node, &name, &gid))
        gid = 0;
    st->st_mode &= ~(mode_t)07;
    st->st_uid = facts->idmap.uid0;
    st->st_gid = facts->idmap.gid0 + gid;
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
        *st = (struct stat){.st_mode = S_IFCHR | (mode_t)p.mode,
                            .st_uid = facts->idmap.uid0 + p.uid,
                            .st_gid = facts->idmap.gid0 + p.gid};
        return true;
    }
    const struct nvl_root *root = facts->init > 0 ? &facts->rootfs : facts->host->root;
    if (nvl_root_stat(root, node->path, AT_SYMLINK_NOFOLLOW, st) < 0 || !S_ISCHR(st->st_mode))
        return false;
    if (facts->init <= 0 && has_own_nodes(facts) && (st->st_mode & 0006) != 0006)
        take_for_own(facts, node, st);
    return true;
}

static bool may_open(const struct nvl_container_facts *facts, const struct nvl_account *u,
                     const struct stat *st)
{
    if (st->st_uid == facts->idmap.uid0 + u->uid)
        return (st->st_mode & 0600) == 0600;
    for (size_t i = 0; i < u->n_groups; i++)
        if (st->st_gid == facts->idmap.gid0 + u->groups[i])
            return (st->st_mode & 0060) == 0060;
    return (st->st_mode & 0006) == 0006;
}

static void find_nodes_closed_to(const struct nvl_container_facts *facts, const struct nvl_account *u,
                                 const char *service, struct nvl_strv *evidence, struct nvl_strv *paths)
{
    size_t count;
    nvl_autofree struct nvl_node *nodes = nvl_expected_nodes(facts, &count);
    struct stat st;

    for (size_t i = 0; i < count; i++) {
        /* uvm-tools is for profilers; DRI and caps nodes have their own rules */
        if (nodes[i].kind == NVL_NODE_DRI || nodes[i].kind == NVL_NODE_CAP ||
            nodes[i].kind == NVL_NODE_UVM_TOOLS || !look_at_node(facts, &nodes[i], &st) ||
            may_open(facts, u, &st))
            continue;
        nvl_strv_push(paths, nodes[i].path);
        nvl_strv_pushf(evidence, "%s: mode %04o, owner %u:%u; %s.service runs as %s (%u)", nodes[i].path,
                       st.st_mode & 07777, st.st_uid, st.st_gid, service, u->name,
                       facts->idmap.uid0 + u->uid);
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
            nvl_strv_pushf(&commands, "pct set %s -%s %s,mode=0666", facts->container->name,
                           facts->effective.items[i].key, p.path);
    }
    return nvl_strv_join(&commands, "\n");
}

static void check_service_user(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    static const char *const services[] = {"ollama", "jellyfin", "plexmediaserver", "frigate"};
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};

    for (size_t i = 0; i < NVL_LENGTH(services); i++) {
        nvl_auto(nvl_account_clear) struct nvl_account u = {0};
        if (find_service_user(&facts->rootfs, services[i], &u))
            find_nodes_closed_to(facts, &u, services[i], &evidence, &paths);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "a service in it may not open NVIDIA's nodes");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_autofree char *commands = passthrough_commands(facts);
    nvl_finding_cause(f, "the service runs as a user whom the nodes' mode excludes: everything works as "
                         "root, but the service falls back to the CPU");
    if (commands[0] != '\0')
        nvl_finding_fix(f, "%s", commands);
    else
        nvl_finding_fix(
            f, "on the host: chmod 0666 /dev/nvidia*\n"
               "and for the next boot, in /etc/modprobe.d: options nvidia NVreg_DeviceFileMode=0666");
}

static bool is_gid_of(const struct nvl_container_facts *facts, const char *group, unsigned gid,
                      struct nvl_strv *has)
{
    unsigned own;

    if (!nvl_group_find(&facts->rootfs, group, &own))
        return false;
    nvl_strv_pushf(has, "the container's group %s is %u (%u on the host)", group, own,
                   facts->idmap.gid0 + own);
    return facts->idmap.gid0 + own == gid;
}

/* A user's start hook cannot make nodes: the host's own must be open to all. */
static void render_fix(struct nvl_finding *f, const struct nvl_container_facts *facts,
                       const struct nvl_node *node)
{
    nvl_autofree char *restart = nvl_container_restart(facts->container);
    nvl_autofree char *again = nvl_attach_with_hook_nodes(facts);

    if (facts->container->user == NULL)
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
    {"render-group", "May one of its groups open the graphics nodes?", 90, NVL_NEEDS_GRANT | NVL_NEEDS_ROOTFS,
     NULL, NVL_OF_CONTAINER(check_render_group)},
    {0},
};
