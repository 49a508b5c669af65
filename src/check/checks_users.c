/* Who may open the nodes: the users that known services run as, and the groups that the container gives to
 * graphics devices. Ids are compared as the host has them. */
#include <fcntl.h>
#include <sys/stat.h>

#include "check/container_checks.h"

#define FILE_MAX (1u << 20)

/* A user of the container. */
struct user {
    char *name;
    unsigned *gids; /* the container's: its own first, then those that it is a member of */
    size_t n_gids;
    unsigned uid;
};

static void user_clear(struct user *u)
{
    free(u->name);
    free(u->gids);
}

static void split_fields(const char *line, size_t len, char *fields[4])
{
    size_t at = 0;

    for (size_t i = 0; i < 4; i++) {
        size_t end = at;
        while (end < len && line[end] != ':')
            end++;
        fields[i] = nvl_xstrndup(line + at, end - at);
        at = end < len ? end + 1 : len;
    }
}

static void free_fields(char *fields[4])
{
    for (size_t i = 0; i < 4; i++)
        free(fields[i]);
}

/* Calls with the four first fields of each line of /etc/passwd or /etc/group, until told to stop. */
typedef bool each_entry(char *fields[4], void *data);

static void walk_entries(const struct nvl_root *rootfs, const char *path, each_entry *each, void *data)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;
    bool go_on = true;

    if (nvl_root_read(rootfs, path, FILE_MAX, &text, &len) < 0)
        return;
    while (go_on && nvl_next_line(text, len, &pos, &line, &line_len)) {
        char *fields[4];
        split_fields(line, line_len, fields);
        go_on = each(fields, data);
        free_fields(fields);
    }
}

static bool take_passwd(char *fields[4], void *data)
{
    struct user *u = data;
    uint64_t uid, gid;

    if (strcmp(fields[0], u->name) != 0 || nvl_parse_uint(fields[2], 10, UINT32_MAX, &uid) < 0 ||
        nvl_parse_uint(fields[3], 10, UINT32_MAX, &gid) < 0)
        return true;
    u->uid = (unsigned)uid;
    *NVL_APPEND(u->gids, u->n_gids) = (unsigned)gid;
    return false;
}

static bool take_membership(char *fields[4], void *data)
{
    struct user *u = data;
    nvl_auto(nvl_strv_clear) struct nvl_strv members = {0};
    uint64_t gid;

    nvl_strv_split(&members, fields[3], ",");
    if (nvl_strv_contains(&members, u->name) && nvl_parse_uint(fields[2], 10, UINT32_MAX, &gid) == 0)
        *NVL_APPEND(u->gids, u->n_gids) = (unsigned)gid;
    return true;
}

struct named_group {
    const char *name;
    bool found;
    unsigned gid;
};

static bool take_group(char *fields[4], void *data)
{
    struct named_group *g = data;
    uint64_t gid;

    if (strcmp(fields[0], g->name) != 0 || nvl_parse_uint(fields[2], 10, UINT32_MAX, &gid) < 0)
        return true;
    g->gid = (unsigned)gid;
    g->found = true;
    return false;
}

static struct named_group find_group(const struct nvl_root *rootfs, const char *name)
{
    struct named_group g = {.name = name};

    walk_entries(rootfs, "/etc/group", take_group, &g);
    return g;
}

/* The value of a key of a unit file that counts, the last; NULL for none. */
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

/* The user that a unit runs as. False for root, and where there is no such unit or user. */
static bool find_service_user(const struct nvl_root *rootfs, const char *service, struct user *u)
{
    static const char *const folders[] = {"/etc/systemd/system", "/usr/lib/systemd/system",
                                          "/lib/systemd/system"};
    nvl_autofree char *text = NULL;
    size_t len = 0;

    *u = (struct user){0};
    for (size_t i = 0; i < NVL_LENGTH(folders) && text == NULL; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s.service", folders[i], service);
        if (nvl_root_read(rootfs, path, FILE_MAX, &text, &len) < 0)
            text = NULL;
    }
    u->name = text != NULL ? unit_value(text, len, "User") : NULL;
    if (u->name == NULL || strcmp(u->name, "root") == 0)
        return false;
    walk_entries(rootfs, "/etc/passwd", take_passwd, u);
    if (u->n_gids == 0)
        return false;
    walk_entries(rootfs, "/etc/group", take_membership, u);
    nvl_autofree char *groups = unit_value(text, len, "SupplementaryGroups");
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    if (groups != NULL)
        nvl_strv_split(&names, groups, " \t");
    for (size_t i = 0; i < names.count; i++) {
        const struct named_group g = find_group(rootfs, names.items[i]);
        if (g.found)
            *NVL_APPEND(u->gids, u->n_gids) = g.gid;
    }
    return true;
}

/* A node's owner and mode as they are, or will be, in the container; ids are the host's. */
static bool look_at_node(const struct nvl_container_facts *facts, const struct nvl_node *node,
                         struct stat *st)
{
    for (size_t i = 0; facts->init <= 0 && !facts->has_grant && i < facts->config.n_lines; i++) {
        nvl_auto(nvl_passthrough_clear) struct nvl_passthrough p = {0};
        if (facts->owners[i] != NVL_OWNER_BY_HAND || !nvl_passthrough_parse(&facts->config.lines[i], &p) ||
            strcmp(p.path, node->path) != 0)
            continue;
        *st = (struct stat){.st_mode = S_IFCHR | (mode_t)p.mode,
                            .st_uid = facts->idmap.uid0 + p.uid,
                            .st_gid = facts->idmap.gid0 + p.gid};
        return true;
    }
    const struct nvl_root *root = facts->init > 0 ? &facts->rootfs : facts->host->root;
    return nvl_root_stat(root, node->path, AT_SYMLINK_NOFOLLOW, st) == 0 && S_ISCHR(st->st_mode);
}

static bool may_open(const struct nvl_container_facts *facts, const struct user *u, const struct stat *st)
{
    if (st->st_uid == facts->idmap.uid0 + u->uid)
        return (st->st_mode & 0600) == 0600;
    for (size_t i = 0; i < u->n_gids; i++)
        if (st->st_gid == facts->idmap.gid0 + u->gids[i])
            return (st->st_mode & 0060) == 0060;
    return (st->st_mode & 0006) == 0006;
}

static void find_closed(const struct nvl_container_facts *facts, const struct user *u, const char *service,
                        struct nvl_strv *evidence)
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
        nvl_strv_pushf(evidence, "%s: mode %04o, owner %u:%u; %s.service runs as %s (%u)", nodes[i].path,
                       st.st_mode & 07777, st.st_uid, st.st_gid, service, u->name,
                       facts->idmap.uid0 + u->uid);
    }
}

/* "pct set 220 -dev0 /dev/nvidia0,mode=0666" for each passed node; "" where none is. */
static char *passthrough_commands(const struct nvl_container_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv commands = {0};

    for (size_t i = 0; i < facts->config.n_lines; i++) {
        nvl_auto(nvl_passthrough_clear) struct nvl_passthrough p = {0};
        if (facts->owners[i] == NVL_OWNER_BY_HAND && nvl_passthrough_parse(&facts->config.lines[i], &p))
            nvl_strv_pushf(&commands, "pct set %s -%s %s,mode=0666", facts->container->name,
                           facts->config.lines[i].key, p.path);
    }
    return nvl_strv_join(&commands, "\n");
}

void nvl_check_service_user(const struct nvl_check *check, const struct nvl_container_facts *facts,
                            struct nvl_findings *findings)
{
    static const char *const services[] = {"ollama", "jellyfin", "plexmediaserver", "frigate"};
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};

    if (!nvl_wants_gpu(facts) || facts->rootfs.fd < 0)
        return;
    for (size_t i = 0; i < NVL_LENGTH(services); i++) {
        nvl_auto(user_clear) struct user u = {0};
        if (find_service_user(&facts->rootfs, services[i], &u))
            find_closed(facts, &u, services[i], &evidence);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "a service in it may not open NVIDIA's nodes");
    if (f == NULL)
        return;
    nvl_autofree char *commands = passthrough_commands(facts);
    nvl_finding_cause(
        f, "the service runs as a user whom the nodes' mode leaves out: as root all works, the service "
           "falls back to the CPU");
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
    const struct named_group g = find_group(&facts->rootfs, group);

    if (g.found)
        nvl_strv_pushf(has, "the container's group %s is %u (%u on the host)", group, g.gid,
                       facts->idmap.gid0 + g.gid);
    return g.found && facts->idmap.gid0 + g.gid == gid;
}

static void render_fix(struct nvl_finding *f, const struct nvl_container_facts *facts,
                       const struct nvl_node *node, unsigned gid)
{
    nvl_autofree char *command = nvl_xasprintf("groupmod -g %u render", gid);
    nvl_autofree char *inside = nvl_run_inside(facts->container, command);

    if (facts->idmap.privileged)
        nvl_finding_fix(f, "%s", inside);
    else
        nvl_finding_fix(f,
                        "on the host: chmod 0666 %s\n"
                        "and for the next boot, in /etc/udev/rules.d/70-nvlxc-dri.rules:\n"
                        "  SUBSYSTEM==\"drm\", KERNEL==\"renderD*\", MODE=\"0666\"",
                        node->path);
}

void nvl_check_render_group(const struct nvl_check *check, const struct nvl_container_facts *facts,
                            struct nvl_findings *findings)
{
    struct stat st;

    if (!facts->has_grant || facts->rootfs.fd < 0)
        return;
    for (size_t i = 0; i < facts->resolved.n_nodes; i++) {
        const struct nvl_node *node = &facts->resolved.nodes[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
        if (node->kind != NVL_NODE_DRI || strstr(node->path, "renderD") == NULL ||
            !look_at_node(facts, node, &st) || (st.st_mode & 0006) == 0006)
            continue;
        nvl_strv_pushf(&evidence, "%s: mode %04o, owner %u:%u", node->path, st.st_mode & 07777, st.st_uid,
                       st.st_gid);
        if (is_gid_of(facts, "render", st.st_gid, &evidence) ||
            is_gid_of(facts, "video", st.st_gid, &evidence))
            continue;
        struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                                                     "no group of the container may open the graphics node");
        nvl_finding_cause(
            f, "%s",
            facts->idmap.privileged
                ? "the host's group of the node has another number than the container's: Vulkan and EGL "
                  "work as root alone"
                : "the node's group is one of the host, which an unprivileged container has no part "
                  "in: Vulkan and EGL find no device, for root neither");
        render_fix(f, facts, node, st.st_gid);
    }
}
