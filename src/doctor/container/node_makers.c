/* Nodes that two lines of a config make: the second fails on what the first made, and with it the start. */
#include <sys/sysmacros.h>

#include "container/node_makers.h"
#include "doctor/container/shared.h"
#include "doctor/families.h"

/* What the makers that stand in each other's way have in common. */
struct clash {
    struct nvl_strv evidence, paths, fix;
    bool is_by_hand; /* about NVIDIA: attach --replace takes such lines */
    bool is_dev;     /* at least one of the late ones is Proxmox's */
};

static void clash_clear(struct clash *clash)
{
    nvl_strv_clear(&clash->evidence);
    nvl_strv_clear(&clash->paths);
    nvl_strv_clear(&clash->fix);
}

static void add_setting(struct clash *clash, const struct nvl_container_facts *facts, size_t setting)
{
    nvl_autofree char *text = nvl_setting_text(&facts->effective, &facts->effective.items[setting]);

    nvl_strv_push_once(&clash->evidence, text);
    clash->is_by_hand |= facts->effective.items[setting].owner == NVL_OWNER_BY_HAND;
}

/* Takes away the later line: the earlier one brings the node. */
static void add_fix(struct clash *clash, const struct nvl_container_facts *facts,
                    const struct nvl_node_maker *late)
{
    const struct nvl_setting *s = &facts->effective.items[late->setting];
    nvl_autofree char *ct = nvl_shell_word(facts->container->name);
    nvl_autofree char *fix = late->kind == NVL_MADE_BY_DEV
                                 ? nvl_xasprintf("pct set %s --delete %s", ct, s->key)
                                 : nvl_setting_removal(s);

    nvl_strv_push_once(&clash->fix, fix);
}

static void add_clash(struct clash *clash, const struct nvl_container_facts *facts,
                      const struct nvl_node_maker *late)
{
    nvl_strv_push(&clash->paths, late->path);
    clash->is_dev |= late->kind == NVL_MADE_BY_DEV;
    add_setting(clash, facts, late->setting);
    add_fix(clash, facts, late);
}

/* Whether it comes after the start hook, which leaves to Proxmox's dev[n] entries what they bring. */
static bool is_after_start_hook(const struct nvl_container_facts *facts, const struct nvl_node_maker *maker)
{
    for (size_t i = 0; maker->kind == NVL_MADE_BY_MOUNT_HOOK && i < maker->setting; i++)
        if (facts->effective.items[i].owner == NVL_OWNER_NVLXC &&
            strcmp(facts->effective.items[i].key, NVL_KEY_MOUNT) == 0)
            return true;
    return maker->kind == NVL_MADE_BY_AUTODEV_HOOK;
}

/* A node that the start hook brings before this maker would. */
static const char *find_hooks_node(const struct nvl_container_facts *facts, const struct nvl_node_maker *late)
{
    if (!facts->has_grant || facts->grant.delivery.nodes != NVL_NODES_HOOK ||
        !is_after_start_hook(facts, late))
        return NULL;
    for (size_t i = 0; i < facts->resolved.n_nodes; i++)
        if (nvl_node_maker_makes(late, facts->resolved.nodes[i].path))
            return facts->resolved.nodes[i].path;
    return NULL;
}

/* Scripts of a user's container are not read: container/container.c has the reason. */
static const struct nvl_root *scripts_root(const struct nvl_container_facts *facts)
{
    return facts->container->owner == NULL ? facts->host->root : NULL;
}

static void find_clashes(const struct nvl_container_facts *facts, struct clash *clash)
{
    nvl_auto(nvl_node_makers_clear) struct nvl_node_makers makers;

    nvl_node_makers_find(scripts_root(facts), &facts->effective, &makers);
    for (size_t i = 0; i < makers.count; i++) {
        const struct nvl_node_maker *late = &makers.items[i], *early = nvl_node_maker_before(&makers, i);
        const char *node = early == NULL ? find_hooks_node(facts, late) : NULL;
        if (early != NULL)
            add_setting(clash, facts, early->setting);
        else if (node != NULL)
            nvl_strv_pushf(&clash->evidence, "the start hook of its grant brings %s", node);
        if (early != NULL || node != NULL)
            add_clash(clash, facts, late);
    }
}

static void check_node_twice(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(clash_clear) struct clash clash = {0};

    find_clashes(facts, &clash);
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &clash.evidence,
                             clash.is_dev ? "Proxmox will not start it: two lines make the same device node"
                                          : "LXC will not start it: two lines make the same device node");
    if (f == NULL)
        return;
    f->start = NVL_START_STOPS;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &clash.paths);
    nvl_finding_cause(
        f,
        "mount entries come first, then hooks in their order; %s makes the node with mknod. That fails "
        "if the path exists, and LXC gives up the start: \"Script exited with status %s\"",
        clash.is_dev ? "Proxmox's own hook, for dev[n]," : "the hook of that line",
        clash.is_dev ? "17" : "…");
    nvl_autofree char *again = nvl_attach_again(facts);
    if (clash.is_by_hand)
        nvl_finding_fix(f, "%s", again);
    else
        nvl_finding_fix_lines(f, &clash.fix);
}

/* A node of one's own for the same device, with another mode. */
static bool is_same_device(const struct nvl_root *root, const char *path, const struct nvl_node *node)
{
    struct stat st;

    return nvl_root_stat(root, path, 0, &st) == 0 && S_ISCHR(st.st_mode) && node->major >= 0 &&
           st.st_rdev == makedev((unsigned)node->major, (unsigned)node->minor);
}

/* Whether an entry brings another device under a name that the grant has a node for. */
static bool takes_place(const struct nvl_container_facts *facts, const struct nvl_node_maker *maker)
{
    const struct nvl_setting *s = &facts->effective.items[maker->setting];
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry entry = {0};

    if (maker->kind != NVL_MADE_BY_ENTRY || maker->is_folder || s->owner == NVL_OWNER_NVLXC ||
        !nvl_setting_mount(s, &entry) || strcmp(entry.source, maker->path) == 0)
        return false;
    for (size_t i = 0; i < facts->resolved.n_nodes; i++)
        if (strcmp(facts->resolved.nodes[i].path, maker->path) == 0)
            return !is_same_device(facts->host->root, entry.source, &facts->resolved.nodes[i]);
    return false;
}

static void check_node_taken(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_node_makers_clear) struct nvl_node_makers makers;
    nvl_auto(clash_clear) struct clash clash = {0};

    nvl_node_makers_find(scripts_root(facts), &facts->effective, &makers);
    for (size_t i = 0; i < makers.count; i++)
        if (takes_place(facts, &makers.items[i]))
            add_clash(&clash, facts, &makers.items[i]);
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &clash.evidence,
                             "another device has the name of a node that its grant brings");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &clash.paths);
    nvl_finding_cause(
        f, "mount entries come before the start hook, which covers nothing: the container has that "
           "device under the name, and not its GPU's. Device names are the host's: give the other "
           "device its own, or another one");
    nvl_finding_fix_lines(f, &clash.fix);
}

const struct nvl_check nvl_node_maker_checks[] = {
    {"node-taken", "Do the names of its GPUs' nodes belong to them?", 45, NVL_NEEDS_GRANT | NVL_OF_START,
     NULL, NVL_OF_CONTAINER(check_node_taken)},
    {"node-twice", "Does only one line make each of its nodes?", 41, NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_node_twice)},
    {0},
};
