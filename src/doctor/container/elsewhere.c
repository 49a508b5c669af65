/* Where else in a Proxmox cluster a CT may start, and whether its grant means anything there. */
#include <fcntl.h>

#include "base/file.h"
#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "grant/choose.h"
#include "host/pci_mappings.h"

#define NODES       "/etc/pve/nodes"
#define HA          "/etc/pve/ha/resources.cfg"
#define REPLICATION "/etc/pve/replication.cfg"
#define FILE_MAX    (1u << 20) /* pmxcfs has no larger files */

static bool is_cluster(const struct nvl_root *root)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv nodes = {0};

    return nvl_root_list(root, NODES, &nodes) == 0 && nodes.count > 1;
}

/* The section that a line begins is this CT's: "ct: 220" of HA, "local: 220-0" of replication. */
static bool is_section_of(const char *line, const char *word, const char *ct)
{
    if (!nvl_has_prefix(line, word))
        return false;
    line += strlen(word) + strspn(line + strlen(word), " \t");
    size_t len = strlen(ct);
    return strncmp(line, ct, len) == 0 && (line[len] == '\0' || strchr("- \t\r", line[len]) != NULL);
}

/* Adds the lines "FILE:LINE: TEXT" of the sections about the CT: its first one, and with `key` that property.
 */
static void find_sections(const struct nvl_root *root, const char *path, const char *word, const char *key,
                          const char *ct, struct nvl_strv *lines)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, line_len, pos = 0, number = 0;
    bool is_its = false;

    if (!nvl_root_exists(root, path))
        return;
    nvl_autofd int fd = nvl_root_open_listed(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || nvl_fd_read(fd, FILE_MAX, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        const char *first = copy + strspn(copy, " \t");
        copy[strcspn(copy, "\r")] = '\0';
        number++;
        if (first == copy && copy[0] != '\0')
            is_its = is_section_of(copy, word, ct);
        if (is_its && (first == copy ? copy[0] != '\0' : key != NULL && nvl_has_prefix(first, key)))
            nvl_strv_pushf(lines, "%s:%zu: %s", path, number, first);
    }
}

/* The name of a mapping that gives this GPU here; NULL. The caller frees. */
static char *find_mapping(const struct nvl_host *host, const struct nvl_gpu *gpu)
{
    nvl_auto(nvl_pci_mappings_clear) struct nvl_pci_mappings mappings = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_pci_mappings_read(host->root, NULL, NULL, &mappings);
    nvl_pci_mapping_names(&mappings, &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *text = nvl_xasprintf("mapping:%s", names.items[i]);
        struct nvl_selector selector;
        if (nvl_selector_parse(text, &selector, NULL) == 0 && nvl_is_choice(host, &selector, gpu))
            return nvl_xstrdup(text);
    }
    return NULL;
}

/* What names the same kind of GPU on every node; the caller frees. */
static char *open_form(const struct nvl_host *host, const struct nvl_selector *fixed)
{
    const struct nvl_gpu *gpu = nvl_find_selected(&host->gpus, fixed);
    char *mapping = gpu != NULL ? find_mapping(host, gpu) : NULL;
    struct nvl_selector selector;

    if (gpu == NULL || mapping != NULL)
        return gpu == NULL ? nvl_xstrdup("any") : mapping;
    const char *model = gpu->model;
    model += nvl_has_prefix(model, "NVIDIA ") ? strlen("NVIDIA ") : 0;
    model += nvl_has_prefix(model, "GeForce ") ? strlen("GeForce ") : 0;
    nvl_autofree char *text = nvl_xasprintf("model:%s", model);
    return nvl_selector_parse(text, &selector, NULL) == 0 ? TAKE_PTR(text) : nvl_xstrdup("any");
}

/* The same grant in open form. False if it has none: a MIG device is of one GPU. */
static bool open_grant(const struct nvl_host *host, const struct nvl_grant *grant, struct nvl_grant *open)
{
    *open = *grant;
    open->selectors = NULL;
    open->n_selectors = 0;
    open->delivery.nodes = NVL_NODES_HOOK;
    for (size_t i = 0; i < grant->n_selectors; i++) {
        const struct nvl_selector *s = &grant->selectors[i];
        bool is_fixed = s->kind == NVL_SELECT_UUID || s->kind == NVL_SELECT_PCI;
        if (s->kind == NVL_SELECT_MIG || s->kind == NVL_SELECT_MIG_UUID)
            return false;
        nvl_autofree char *text = is_fixed ? open_form(host, s) : nvl_xstrdup(s->text);
        nvl_selector_parse(text, NVL_APPEND(open->selectors, open->n_selectors), NULL);
    }
    return true;
}

static bool names_one_gpu(const struct nvl_grant *grant)
{
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (grant->selectors[i].kind == NVL_SELECT_UUID || grant->selectors[i].kind == NVL_SELECT_PCI)
            return true;
    return false;
}

static void check_elsewhere(const struct nvl_check *check, const struct nvl_container_facts *facts,
                            struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant open = {0};
    const struct nvl_root *root = facts->host->root;
    const char *ct = facts->container->name;

    if (!names_one_gpu(&facts->grant) || !is_cluster(root))
        return;
    find_sections(root, HA, "ct:", NULL, ct, &evidence);
    find_sections(root, REPLICATION, "local:", "target", ct, &evidence);
    if (evidence.count == 0 || !open_grant(&facts->host->host, &facts->grant, &open))
        return;
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                             "it may start on another node, and its grant names a GPU of this one");
    struct nvl_container_facts as_if = *facts;
    as_if.grant = open;
    nvl_autofree char *again = nvl_attach_again(&as_if);
    nvl_finding_cause(f, "a UUID and a PCI address are those of one card; there, %s",
                      facts->grant.delivery.required ? "the grant is required: it does not start"
                                                     : "it starts without a GPU");
    nvl_finding_fix(f, "%s", again);
}

const struct nvl_check nvl_elsewhere_checks[] = {
    {"grant-one-node", "Does its grant fit every node where it may start?", 110,
     NVL_NEEDS_GRANT | NVL_NEEDS_PVE, NULL, NVL_OF_CONTAINER(check_elsewhere)},
    {0},
};
