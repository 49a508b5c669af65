/* Copies Proxmox's mappings for the mount hook. */
#include "inject/mapping_copy.h"

#include <errno.h>

#include "base/file.h"
#include "base/paths.h"
#include "base/root.h"
#include "grant/grant.h"
#include "host/pci_mappings.h"

/* One component of a path: LXC takes no other names. */
char *nvl_mapping_copy_path(const char *container)
{
    bool is_name = container[0] != '\0' && container[0] != '.' && strchr(container, '/') == NULL;

    return is_name ? nvl_xasprintf(NVL_MAPPING_COPIES_DIR "/%s.cfg", container) : NULL;
}

/* In the file's own form, which the same reader takes. */
static void copy_mapping(const struct nvl_pci_mappings *mappings, const char *name, struct nvl_buf *text)
{
    nvl_auto(nvl_pci_maps_clear) struct nvl_pci_maps maps = {0};

    if (!nvl_pci_mapping_find(mappings, name, &maps))
        return;
    nvl_buf_addf(text, "%s\n", name);
    for (size_t i = 0; i < maps.count; i++)
        nvl_buf_addf(text, "\t%s\n", maps.items[i].text);
}

static bool names_mapping(const struct nvl_grant *grant)
{
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (grant->selectors[i].kind == NVL_SELECT_MAPPING)
            return true;
    return false;
}

static int write_copy(const struct nvl_root *host, const char *path, const struct nvl_buf *text)
{
    const char *name;
    int r = nvl_root_make_folder(host, NVL_MAPPING_COPIES_DIR);
    nvl_autofd int folder = r < 0 ? r : nvl_root_open_parent(host, path, &name);

    return folder < 0
               ? folder
               : nvl_file_replace(folder, name, text->data != NULL ? text->data : "", text->len, NULL, NULL);
}

int nvl_mapping_copy_make(const struct nvl_root *host, const char *container, const struct nvl_grant *grant)
{
    nvl_auto(nvl_pci_mappings_clear) struct nvl_pci_mappings mappings = {0};
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    nvl_autofree char *path = nvl_mapping_copy_path(container);

    if (!names_mapping(grant))
        return 0;
    if (path == NULL)
        return -EINVAL;
    nvl_pci_mappings_read(host, NULL, NULL, &mappings);
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (grant->selectors[i].kind == NVL_SELECT_MAPPING)
            copy_mapping(&mappings, nvl_selector_name(&grant->selectors[i]), &text);
    int r = mappings.code < 0 && mappings.code != -ENOENT ? mappings.code : write_copy(host, path, &text);
    if (r < 0)
        nvl_mapping_copy_remove(host, container); /* that of an earlier start */
    return r;
}

void nvl_mapping_copy_remove(const struct nvl_root *host, const char *container)
{
    nvl_autofree char *path = nvl_mapping_copy_path(container);

    if (path != NULL)
        nvl_root_unlink(host, path);
}
