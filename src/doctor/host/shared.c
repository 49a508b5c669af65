/* Texts and small questions that the host's checks share. */
#include "doctor/host/shared.h"

#define SMALL_FILE (64u << 10)

struct nvl_finding *nvl_host_finding(struct nvl_findings *findings, const struct nvl_check *check,
                                     enum nvl_severity severity, const char *title)
{
    return nvl_finding_add(findings, check, severity, NULL, title);
}

bool nvl_any_gpu_works(const struct nvl_host_facts *facts)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++)
        if (nvl_gpu_can_be_given(&facts->host.gpus.items[i]) && facts->reasons[i].state != NVL_GPU_IS_LOST)
            return true;
    return false;
}

void nvl_finding_about_gpu(struct nvl_finding *f, const struct nvl_host_facts *facts,
                           const struct nvl_gpu *gpu)
{
    nvl_finding_about(f, NVL_SUBJECT_GPU, gpu->pci);
    if (nvl_any_gpu_works(facts))
        return;
    nvl_finding_explains(f, NVL_SUBJECT_NODE, NULL);
    nvl_finding_explains(f, NVL_SUBJECT_MODULE, "nvidia");
}

void nvl_finding_about_module(struct nvl_finding *f, const struct nvl_host_facts *facts)
{
    nvl_finding_about(f, NVL_SUBJECT_MODULE, "nvidia");
    nvl_finding_explains(f, NVL_SUBJECT_NODE, NULL);
    for (size_t i = 0; i < facts->host.gpus.count; i++)
        nvl_finding_explains(f, NVL_SUBJECT_GPU, facts->host.gpus.items[i].pci);
}

void nvl_add_first_line(struct nvl_strv *lines, const struct nvl_root *root, const char *path)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(root, path, SMALL_FILE, &text, &len) == 0)
        nvl_strv_pushf(lines, "%s: %.*s", path, (int)strcspn(text, "\n"), text);
}

bool nvl_driver_is_installed(const struct nvl_host_facts *facts)
{
    const struct nvl_installed_driver *d = &facts->installed;

    return d->module != NULL || d->package != NULL || d->dkms_name != NULL ||
           facts->userspace.versions.count > 0;
}

char *nvl_granted_names(const struct nvl_host_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < facts->n_users; i++)
        if (facts->users[i].has_grant)
            nvl_strv_push(&names, facts->users[i].name);
    return names.count > 0 ? nvl_strv_join(&names, ", ") : NULL;
}

const char *nvl_driver_in_question(const struct nvl_host_facts *facts, enum nvl_flavour *flavour)
{
    const struct nvl_driver_version *loaded = &facts->host.driver;

    *flavour = loaded->loaded ? loaded->flavour : facts->installed.flavour;
    return loaded->loaded ? loaded->version : facts->installed.version;
}

char *nvl_driver_text(const char *version, enum nvl_flavour flavour)
{
    const char *name = nvl_flavour_name(flavour);

    return name != NULL ? nvl_xasprintf("%s (%s)", version, name) : nvl_xstrdup(version);
}

const struct nvl_bundle *nvl_loaded_bundle(const struct nvl_host_facts *facts)
{
    for (size_t i = 0; i < facts->bundles.count; i++)
        if (facts->host.driver.version[0] != '\0' &&
            strcmp(facts->bundles.items[i].version, facts->host.driver.version) == 0)
            return &facts->bundles.items[i];
    return NULL;
}
