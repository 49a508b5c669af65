/* What containers need of the host to start with their GPU: nodes that exist in time at boot, the hook, a
 * cluster whose configs can be read and written, and the cgroup version that the device rules are for. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/paths.h"
#include "container/holding.h"
#include "doctor/host/shared.h"
#include "doctor/families.h"
#include "host/pve_node.h"

#define BOOT_UNIT   "nvlxc-boot.service"
#define UNIT_MAX    (64u << 10)
#define MOUNTS_FILE "/proc/mounts"
#define CGROUP2_MARK                                                                                         \
    "/sys/fs/cgroup/cgroup.controllers" /* only cgroup v2 has it, and only if it is the only one */
#define MOUNTS_MAX (4u << 20)
static bool is_enabled(const struct nvl_root *root, const char *unit)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct stat st;

    nvl_root_list(root, "/etc/systemd/system", &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("/etc/systemd/system/%s/%s", names.items[i], unit);
        bool holds_links =
            nvl_has_suffix(names.items[i], ".wants") || nvl_has_suffix(names.items[i], ".requires");
        if (holds_links && nvl_root_stat(root, path, AT_SYMLINK_NOFOLLOW, &st) == 0)
            return true;
    }
    return false;
}

/* The unit's file as systemd finds it; *text is NULL if there is none. Returns the path, or NULL. */
static const char *find_unit(const struct nvl_root *root, char **text)
{
    static const char *const paths[] = {"/etc/systemd/system/" BOOT_UNIT, "/run/systemd/system/" BOOT_UNIT,
                                        "/usr/lib/systemd/system/" BOOT_UNIT,
                                        "/lib/systemd/system/" BOOT_UNIT};
    size_t len;

    *text = NULL;
    for (size_t i = 0; i < NVL_LENGTH(paths); i++)
        if (nvl_root_read(root, paths[i], UNIT_MAX, text, &len) == 0)
            return paths[i];
    return NULL;
}

static bool is_before(const char *unit, const char *guests)
{
    size_t pos = 0, line_len, len = strlen(unit);
    const char *line;

    while (nvl_next_line(unit, len, &pos, &line, &line_len))
        if (line_len > 7 && memcmp(line, "Before=", 7) == 0 &&
            memmem(line, line_len, guests, strlen(guests)) != NULL)
            return true;
    return false;
}

/* Containers that need nodes at boot which no root hook makes for them. */
static char *waiting_names(const struct nvl_host_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < facts->n_users; i++)
        if (facts->users[i].needs_nodes_first && facts->users[i].starts_at_boot)
            nvl_strv_push(&names, facts->users[i].name);
    return names.count > 0 ? nvl_strv_join(&names, ", ") : NULL;
}

/* A unit that the user wrote hides the package's. */
static void add_boot_fix(struct nvl_strv *fix, const char *path, bool is_ordered)
{
    if (path == NULL)
        nvl_strv_push(fix, "apt install --reinstall nvlxc");
    else if (!is_ordered)
        nvl_strv_push(fix, "systemctl revert " BOOT_UNIT);
    nvl_strv_push(fix, "systemctl enable " BOOT_UNIT);
}

static void check_boot_nodes(const struct nvl_check *check, const struct nvl_host_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    nvl_autofree char *waiting = waiting_names(facts), *text = NULL;
    const char *guests = facts->system.is_proxmox ? "pve-guests.service" : "lxc.service";

    if (waiting == NULL || facts->host.gpus.count == 0)
        return;
    const char *path = find_unit(facts->root, &text);
    bool enabled = is_enabled(facts->root, BOOT_UNIT), ordered = path != NULL && is_before(text, guests);
    if (enabled && ordered)
        return;
    struct nvl_finding *f = nvl_host_finding(
        findings, check, NVL_SEVERITY_WARNING,
        enabled && path != NULL ? "at boot the device nodes are made with no regard to when containers start"
                                : "nothing makes the device nodes before containers start at boot");
    nvl_strv_pushf(&evidence, "these start at boot and name nodes themselves: %s", waiting);
    if (!enabled)
        nvl_strv_push(&evidence, BOOT_UNIT " is not enabled: no link in /etc/systemd/system/*.wants");
    if (path == NULL)
        nvl_strv_push(&evidence, BOOT_UNIT " does not exist");
    else if (!ordered)
        nvl_strv_pushf(&evidence, "%s has no Before=%s", path, guests);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(
        f, "a container with dev[n] does not start (\"Device /dev/nvidia-uvm does not exist\"); one with "
           "optional mounts starts without the GPU. Loading the modules does not make the nodes");
    add_boot_fix(&fix, path, ordered);
    nvl_finding_fix_lines(f, &fix);
}

static void check_hook(const struct nvl_check *check, const struct nvl_host_facts *facts,
                       struct nvl_findings *findings)
{
    nvl_autofree char *granted = nvl_granted_names(facts);

    if (nvl_root_exists(facts->root, NVL_HOOK_PROGRAM))
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "the start hook is missing on this host");
    nvl_finding_evidence(f, "%s does not exist\ncontainers with a grant: %s", NVL_HOOK_PROGRAM, granted);
    nvl_finding_cause(f, "the package nvlxc was removed, or the containers came from another node: they "
                         "start, but without a GPU");
    nvl_finding_fix(f, "apt install --reinstall nvlxc");
}

static void check_cluster(const struct nvl_check *check, const struct nvl_host_facts *facts,
                          struct nvl_findings *findings)
{
    nvl_autofree char *why = NULL;

    if (nvl_cluster_state(facts->root, &why) != NVL_CLUSTER_GONE)
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "Proxmox's cluster file system is not mounted");
    nvl_finding_evidence(f, "%s", why);
    nvl_finding_cause(f,
                      "its process, pmxcfs, was stopped or died: no container can be started or changed, and "
                      "doctor cannot look at any");
    nvl_finding_fix(f, "systemctl restart pve-cluster");
}

/* What each user of GPUs has, read only if one of them should share with nobody. The caller clears each. */
static struct nvl_holding *read_holdings(const struct nvl_host_facts *facts)
{
    struct nvl_holding *all = nvl_xcalloc(facts->n_users + 1, sizeof *all);

    for (size_t i = 0; i < facts->n_users; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(&facts->containers, facts->users[i].index);
        if (nvl_holding_read(c, &facts->host, &all[i], NULL) < 0)
            nvl_holding_clear(&all[i]);
    }
    return all;
}

/* Who else has a GPU of this user's. Of two that are exclusive, the first reports both. */
static void find_sharers(const struct nvl_host_facts *facts, const struct nvl_holding *all, size_t one,
                         struct nvl_strv *evidence, struct nvl_strv *fix)
{
    const struct nvl_gpu_user *users = facts->users;
    nvl_autofree char *own = nvl_shell_word(users[one].name);

    for (size_t i = 0; i < facts->n_users; i++) {
        const struct nvl_resolved_gpu *gpu = i == one || (i < one && users[i].is_exclusive)
                                                 ? NULL
                                                 : nvl_holding_shares(&all[one].resolved, &all[i]);
        if (gpu == NULL)
            continue;
        nvl_autofree char *text = nvl_holding_gpu_text(gpu), *other = nvl_shell_word(users[i].name);
        nvl_strv_pushf(evidence, "%s: %s has it with --exclusive, %s %s", text, users[one].name,
                       users[i].name,
                       users[i].is_exclusive ? "too"
                       : users[i].has_grant  ? "by a grant"
                                             : "by lines by hand");
        if (users[i].has_grant)
            nvl_strv_pushf(fix, "nvlxc detach %s   # or, to leave it the GPU: nvlxc detach %s", other, own);
        else
            nvl_strv_pushf(
                fix,
                "remove the lines about NVIDIA from %s (`nvlxc show %s` lists them), or: nvlxc detach %s",
                users[i].name, other, own);
    }
}

static void check_exclusive(const struct nvl_check *check, const struct nvl_host_facts *facts,
                            struct nvl_findings *findings)
{
    struct nvl_holding *all = NULL;

    for (size_t i = 0; i < facts->n_users; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
        if (!facts->users[i].is_exclusive)
            continue;
        all = all != NULL ? all : read_holdings(facts);
        find_sharers(facts, all, i, &evidence, &fix);
        if (evidence.count == 0)
            continue;
        nvl_autofree char *title =
            nvl_xasprintf("%s should have its GPU alone, and shares it", facts->users[i].name);
        struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
        nvl_finding_evidence_lines(f, &evidence);
        nvl_finding_cause(
            f, "only attach looks who has a GPU: a clone or a restored backup brings the grant along, and "
               "an edit asks nobody. Each of them gets the GPU at its start");
        nvl_strv_pushf(&fix, "or: attach %s again without --exclusive: then they share it",
                       facts->users[i].name);
        nvl_finding_fix_lines(f, &fix);
    }
    for (size_t i = 0; all != NULL && i < facts->n_users; i++)
        nvl_holding_clear(&all[i]);
    free(all);
}

static void check_quorum(const struct nvl_check *check, const struct nvl_host_facts *facts,
                         struct nvl_findings *findings)
{
    unsigned mode;

    if (facts->is_cluster_gone)
        nvl_findings_unanswered(findings, check, 0, NULL);
    if (!facts->system.is_proxmox || facts->is_cluster_gone || nvl_cluster_has_quorum(facts->root, &mode))
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "the Proxmox cluster has no quorum");
    nvl_finding_evidence(f, "/etc/pve/local has mode %04o: /etc/pve is read-only", mode);
    nvl_finding_cause(f, "this node does not see the majority of its cluster: nobody can change a config or "
                         "start a container");
    nvl_finding_fix(f, "pvecm status\npvecm expected 1   # only if the other nodes are really off");
}

static void check_host_cgroups(const struct nvl_check *check, const struct nvl_host_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_autofree char *text = NULL;
    size_t len, pos = 0, line_len;
    const char *line;

    if (nvl_root_exists(facts->root, CGROUP2_MARK))
        return;
    if (nvl_root_read(facts->root, MOUNTS_FILE, MOUNTS_MAX, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        nvl_auto(nvl_strv_clear) struct nvl_strv fields = {0}, options = {0};
        nvl_strv_split(&fields, copy, " ");
        if (fields.count < 4 || strcmp(fields.items[2], "cgroup") != 0)
            continue;
        nvl_strv_split(&options, fields.items[3], ",");
        if (!nvl_strv_contains(&options, "devices"))
            continue;
        struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_WARNING,
                                                 "this host's device filter is cgroup v1's");
        nvl_finding_evidence(f, MOUNTS_FILE ": %s", copy);
        nvl_finding_cause(f, "rules lxc.cgroup2.devices.* have no effect, and those of cgroup v1 are in "
                             "force: a container whose own list denies the GPU cannot get it");
        nvl_finding_fix(
            f,
            "remove systemd.unified_cgroup_hierarchy=0 from the kernel's command line (/etc/default/grub, on "
            "Proxmox VE with systemd-boot /etc/kernel/cmdline)\n%s\nreboot",
            facts->system.is_proxmox ? "proxmox-boot-tool refresh || update-grub" : "update-grub");
        return;
    }
}

const struct nvl_check nvl_guest_checks[] = {
    {"hook-missing", "Is the start hook installed?", 50, NVL_NEEDS_GRANTS | NVL_OF_GUESTS, NULL,
     NVL_OF_HOST(check_hook)},
    {"boot-nodes", "Will the nodes exist before containers start at boot?", 60, NVL_OF_GUESTS, NULL,
     NVL_OF_HOST(check_boot_nodes)},
    {"cluster-gone", "Is Proxmox's cluster file system mounted?", 65, 0, NULL, NVL_OF_HOST(check_cluster)},
    {"quorum-lost", "Does the cluster have quorum?", 70, 0, NULL, NVL_OF_HOST(check_quorum)},
    {"exclusive-shared", "Does each --exclusive grant have its GPU alone?", 75,
     NVL_NEEDS_GRANTS | NVL_OF_GUESTS, NULL, NVL_OF_HOST(check_exclusive)},
    {"cgroup-v1", "Is the host's device filter cgroup v2's?", 80, 0, NULL, NVL_OF_HOST(check_host_cgroups)},
    {0},
};
