/* Checks of a Proxmox cluster: what its nodes say of themselves, and whether its containers keep their GPU
 * where they may be started. */
#include "cluster/cluster.h"
#include "cluster/fit.h"
#include "cluster/moves.h"
#include "doctor/families.h"
#include "doctor/host/shared.h"

/* "nvlxc attach 220", on the node where it is to be run; on a terminal, since it may ask. The caller frees.
 */
static char *command_on(const struct nvl_cluster_node *node, const char *command)
{
    return node->is_here ? nvl_xstrdup(command) : nvl_xasprintf("ssh -t %s %s", node->name, command);
}

static unsigned moves_of(const struct nvl_cluster_facts *facts, const struct nvl_cluster_guest *guest,
                         const struct nvl_cluster_node *node)
{
    bool is_ct = guest->has_grant && guest->container->kind == NVL_CONTAINER_PVE && guest->node != node;

    return is_ct ? nvl_moves_to(facts->moves, guest->container->name, node->name) : 0;
}

/* ---- what the nodes say ---- */

/* Whom it concerns: "220 is there", "221 may come there by HA". */
static void find_concerned(const struct nvl_cluster_facts *facts, const struct nvl_cluster_node *node,
                           struct nvl_strv *evidence)
{
    for (size_t i = 0; i < facts->guests->count; i++) {
        const struct nvl_cluster_guest *guest = &facts->guests->items[i];
        unsigned moves = moves_of(facts, guest, node);
        if (guest->node == node && guest->has_grant)
            nvl_strv_pushf(evidence, "container %s with a grant is there", guest->name);
        else if (moves != 0)
            nvl_strv_pushf(evidence, "container %s may come there by %s", guest->name, nvl_move_text(moves));
    }
}

static void fix_file(struct nvl_finding *f, const struct nvl_cluster_node *node)
{
    nvl_autofree char *publish = command_on(node, "nvlxc host publish"),
                      *upgrade = command_on(node, "apt install --only-upgrade nvlxc");

    /* its own file is replaced, whatever it is */
    if (node->file == NVL_NODE_FILE_NEWER && !node->is_here)
        nvl_finding_fix(f, "apt install --only-upgrade nvlxc");
    else if (node->file == NVL_NODE_FILE_OLDER && !node->is_here)
        nvl_finding_fix(f, "%s\n%s", upgrade, publish);
    else
        nvl_finding_fix(f, "%s", publish);
}

static void report_file(const struct nvl_check *check, const struct nvl_cluster_facts *facts,
                        const struct nvl_cluster_node *node, struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    nvl_autofree char *title = node->file == NVL_NODE_FILE_GOOD
                                   ? nvl_xasprintf("%s publishes something else than what it has", node->name)
                               : node->file == NVL_NODE_FILE_ABSENT
                                   ? nvl_xasprintf("%s publishes nothing", node->name)
                                   : nvl_xasprintf("what %s publishes cannot be used", node->name);

    nvl_strv_pushf(&evidence, NVL_NODES_DIR "/%s/" NVL_NODE_FILE " %s", node->name,
                   node->why != NULL ? node->why : "says something else than this node has now");
    find_concerned(facts, node, &evidence);
    /* a node without GPUs need not have nvlxc */
    bool is_note = node->file == NVL_NODE_FILE_ABSENT && evidence.count == 1;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, is_note ? NVL_SEVERITY_NOTE : NVL_SEVERITY_WARNING, title);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(
        f, "%s",
        node->file == NVL_NODE_FILE_GOOD
            ? "nvlxc-publish.service has not run since something changed; the other nodes judge by "
              "the file"
        : node->file == NVL_NODE_FILE_ABSENT
            ? "nvlxc is not installed there, or has not run since: whether a container has its GPU "
              "there is not known"
            : "whether a container has its GPU there is not known");
    fix_file(f, node);
}

static void check_files(const struct nvl_check *check, const struct nvl_cluster_facts *facts,
                        struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->cluster->count; i++) {
        const struct nvl_cluster_node *node = &facts->cluster->nodes[i];
        if (node->file != NVL_NODE_FILE_GOOD || node->is_outdated)
            report_file(check, facts, node, findings);
    }
}

static void check_removed(const struct nvl_check *check, const struct nvl_cluster_facts *facts,
                          struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->cluster->removed.count; i++) {
        const char *name = facts->cluster->removed.items[i];
        nvl_autofree char *title =
            nvl_xasprintf("%s is no member of the cluster, and its folder is there", name);
        struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_NOTE, title);
        nvl_finding_evidence(f, NVL_NODES_DIR "/%s", name);
        nvl_finding_cause(
            f, "a node that is removed from a cluster leaves its folder; nvlxc looks at nothing in "
               "it");
        nvl_finding_fix(f, "rm -r " NVL_NODES_DIR "/%s   # only if no guest in it is needed any more", name);
    }
}

/* ---- where containers are ---- */

static const struct nvl_cluster_node *find_owner(const struct nvl_cluster *cluster,
                                                 const struct nvl_grant *grant)
{
    for (size_t i = 0; i < cluster->count; i++)
        for (size_t s = 0; s < grant->n_selectors; s++)
            if (nvl_find_selected(&cluster->nodes[i].host.gpus, &grant->selectors[s]) != NULL)
                return &cluster->nodes[i];
    return NULL;
}

static void check_absent_gpus(const struct nvl_check *check, const struct nvl_cluster_facts *facts,
                              struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->guests->count; i++) {
        const struct nvl_cluster_guest *guest = &facts->guests->items[i];
        nvl_auto(nvl_fit_clear) struct nvl_fit fit = {0};
        if (!guest->has_grant || !guest->node->is_known || !nvl_grant_names_one(&guest->holding.grant))
            continue;
        nvl_cluster_fit(facts->guests, guest, guest->node, &fit);
        if (fit.resolved.missing.count == 0)
            continue;
        const struct nvl_cluster_node *owner = find_owner(facts->cluster, &guest->holding.grant);
        nvl_autofree char *title = nvl_xasprintf("its GPU is not on %s, its node", guest->node->name),
                          *attach = nvl_xasprintf("nvlxc attach %s", guest->container->name),
                          *command = command_on(guest->node, attach);
        if (owner != NULL && owner != guest->node)
            nvl_strv_pushf(&fit.reasons, "%s has it", owner->name);
        struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, guest->name, title);
        nvl_finding_evidence_lines(f, &fit.reasons);
        nvl_finding_cause(f,
                          "a grant by UUID means one GPU, wherever the container goes: it came there by a "
                          "migration, a clone or a restored backup, or the GPU went. It starts without it");
        nvl_finding_fix(f, "give it a GPU of its node: %s", command);
    }
}

/* ---- where they may come ---- */

static void check_moves(const struct nvl_check *check, const struct nvl_cluster_facts *facts,
                        struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->guests->count; i++) {
        const struct nvl_cluster_guest *guest = &facts->guests->items[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
        for (size_t n = 0; n < facts->cluster->count; n++) {
            const struct nvl_cluster_node *node = &facts->cluster->nodes[n];
            nvl_auto(nvl_fit_clear) struct nvl_fit fit = {0};
            unsigned moves = moves_of(facts, guest, node);
            if (moves == 0)
                continue;
            nvl_cluster_fit(NULL, guest, node, &fit);
            for (size_t k = 0; fit.verdict == NVL_FIT_NOT && k < fit.reasons.count; k++)
                nvl_strv_pushf(&evidence, "to %s by %s: %s", node->name, nvl_move_text(moves),
                               fit.reasons.items[k]);
        }
        if (evidence.count == 0)
            continue;
        struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_WARNING, guest->name,
                                                "it has no GPU where Proxmox may start it");
        nvl_finding_evidence_lines(f, &evidence);
        nvl_finding_cause(
            f, "neither HA nor replication looks at GPUs: on such a node it starts without its GPU, "
               "or not at all if its grant is --required");
        nvl_finding_fix(
            f,
            "in Datacenter > HA, keep it to the nodes that `nvlxc show %s --cluster` names, or name "
            "no node without its GPU as a target of its replication",
            guest->container->name);
    }
}

/* Adds the node if its driver is another than the container's node has. Whether it is older. */
static bool compare_node_driver(const struct nvl_cluster_guest *guest, const struct nvl_cluster_node *node,
                                unsigned moves, struct nvl_strv *evidence)
{
    const char *own = guest->node->host.driver.version, *its = node->host.driver.version;

    if (own[0] == '\0' || its[0] == '\0' || strcmp(own, its) == 0)
        return false;
    nvl_strv_pushf(evidence, "%s: %s (%s)", node->name, its, nvl_move_text(moves));
    return nvl_version_compare(its, own) < 0;
}

static void check_drivers(const struct nvl_check *check, const struct nvl_cluster_facts *facts,
                          struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->guests->count; i++) {
        const struct nvl_cluster_guest *guest = &facts->guests->items[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
        bool is_older = false;
        for (size_t n = 0; n < facts->cluster->count; n++) {
            unsigned moves = moves_of(facts, guest, &facts->cluster->nodes[n]);
            if (moves != 0)
                is_older |= compare_node_driver(guest, &facts->cluster->nodes[n], moves, &evidence);
        }
        if (evidence.count == 0)
            continue;
        nvl_strv_pushf(&evidence, "%s: %s (is there)", guest->node->name, guest->node->host.driver.version);
        struct nvl_finding *f =
            nvl_finding_add(findings, check, is_older ? NVL_SEVERITY_WARNING : NVL_SEVERITY_NOTE, guest->name,
                            is_older ? "the driver is older where Proxmox may start it"
                                     : "the driver is another one where Proxmox may start it");
        nvl_finding_evidence_lines(f, &evidence);
        nvl_finding_cause(f,
                          "a container gets the driver of the node on which it starts: programs that need a "
                          "newer one than that fail there");
        nvl_finding_fix(f, "install the same driver on these nodes: nvlxc host setup");
    }
}

const struct nvl_check nvl_cluster_checks[] = {
    {"node-gpu-absent", "Is each GPU that a grant names on the container's node?", 10, 0, NULL,
     NVL_OF_CLUSTER(check_absent_gpus)},
    {"node-move-blind", "Has each container its GPU where Proxmox may start it?", 20, 0, NULL,
     NVL_OF_CLUSTER(check_moves)},
    {"node-driver-differs", "Is the driver the same where Proxmox may start a container?", 30, 0, NULL,
     NVL_OF_CLUSTER(check_drivers)},
    {"node-unpublished", "Does each node publish what it has?", 40, 0, NULL, NVL_OF_CLUSTER(check_files)},
    {"node-removed", "Is each node's folder a member's?", 50, 0, NULL, NVL_OF_CLUSTER(check_removed)},
    {0},
};
