/* Reads Proxmox's resource mappings of PCI devices: for virtual machines, which take them, and for grants
 * that name one. */
#include "host/pci_mappings.h"

#include <errno.h>
#include <fcntl.h>

#include "base/file.h"
#include "base/root.h"
#include "host/gpu.h"
#include "host/pve_node.h"

#define MAPPINGS_MAX    (1u << 20) /* pmxcfs has no larger files */
#define MAPPINGS_FOLDER "/etc/pve/mapping"

/* Proxmox's file may be away while it is replaced; nobody waits for it where there is no such folder. */
static int open_mappings(const struct nvl_root *root, const char *copy)
{
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;

    if (copy != NULL)
        return nvl_root_openat(root, copy, flags | O_NOFOLLOW);
    return nvl_root_exists(root, MAPPINGS_FOLDER) ? nvl_root_open_listed(root, NVL_PCI_MAPPINGS, flags)
                                                  : -ENOENT;
}

void nvl_pci_mappings_read(const struct nvl_root *root, const char *copy, const char *node,
                           struct nvl_pci_mappings *mappings)
{
    *mappings = (struct nvl_pci_mappings){0};
    nvl_autofd int fd = open_mappings(root, copy);
    mappings->code = fd < 0 ? fd : nvl_fd_read(fd, MAPPINGS_MAX, &mappings->text, &mappings->len);
    if (mappings->code == 0 && copy == NULL)
        mappings->node = node != NULL ? nvl_xstrdup(node) : nvl_this_node(root);
}

void nvl_pci_mappings_clear(struct nvl_pci_mappings *mappings)
{
    free(mappings->text);
    free(mappings->node);
    *mappings = (struct nvl_pci_mappings){0};
}

bool nvl_is_pci_mapping_name(const char *name)
{
    bool begins = (name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z');

    return begins &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

char *nvl_pci_address(const char *text)
{
    nvl_autofree char *whole = strchr(text, '.') != NULL ? nvl_xstrdup(text) : nvl_xasprintf("%s.0", text);
    char pci[NVL_PCI_MAX];

    if (!nvl_pci_normalise(whole, pci))
        return NULL;
    return nvl_xstrndup(pci, strchr(text, '.') != NULL ? strlen(pci) : strcspn(pci, "."));
}

bool nvl_pci_address_is(const char *address, const char *pci)
{
    size_t len = strlen(address);

    return strncmp(address, pci, len) == 0 && (pci[len] == '\0' || pci[len] == '.');
}

const char *nvl_pve_property(const struct nvl_strv *pieces, const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < pieces->count; i++)
        if (strncmp(pieces->items[i], key, len) == 0 && pieces->items[i][len] == '=')
            return pieces->items[i] + len + 1;
    return NULL;
}

/* "map id=10de:2438,iommugroup=14,node=pve,path=0000:01:00.0;0000:01:00.1" */
static void take_map(const struct nvl_pci_mappings *mappings, const char *text, size_t number,
                     struct nvl_pci_maps *maps)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv pieces = {0}, list = {0}, addresses = {0};

    nvl_strv_split(&pieces, text + strlen("map "), ",");
    const char *node = nvl_pve_property(&pieces, "node"), *path = nvl_pve_property(&pieces, "path"),
               *id = nvl_pve_property(&pieces, "id");
    if (path == NULL || (mappings->node != NULL && node != NULL && strcmp(node, mappings->node) != 0))
        return;
    nvl_strv_split(&list, path, ";");
    for (size_t i = 0; i < list.count; i++) {
        nvl_autofree char *address = nvl_pci_address(list.items[i]);
        if (address != NULL)
            nvl_strv_push(&addresses, address);
    }
    if (addresses.count == 0)
        return;
    *NVL_APPEND(maps->items, maps->count) =
        (struct nvl_pci_map){.id = id != NULL ? nvl_xstrdup(id) : NULL,
                             .addresses = addresses,
                             .place = nvl_xasprintf(NVL_PCI_MAPPINGS ":%zu: %s", number, text),
                             .text = nvl_xstrdup(text)};
    addresses = (struct nvl_strv){0};
}

/* The line begins a mapping, and is its name then; "" and comments are none. */
static bool is_section(char *line)
{
    bool is_it = line[0] != '\0' && line[0] != '#';

    if (is_it)
        line[strcspn(line, " \t")] = '\0';
    return is_it;
}

bool nvl_pci_mapping_find(const struct nvl_pci_mappings *mappings, const char *name,
                          struct nvl_pci_maps *maps)
{
    size_t pos = 0, len, number = 0;
    const char *line;
    bool is_it = false, is_known = false;

    *maps = (struct nvl_pci_maps){0};
    while (mappings->text != NULL && nvl_next_line(mappings->text, mappings->len, &pos, &line, &len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, len);
        number++;
        copy[strcspn(copy, "\r")] = '\0';
        const char *word = copy + strspn(copy, " \t");
        if (word == copy && is_section(copy))
            is_it = strcmp(copy, name) == 0;
        else if (is_it && nvl_has_prefix(word, "map "))
            take_map(mappings, word, number, maps);
        is_known = is_known || is_it;
    }
    return is_known;
}

void nvl_pci_maps_clear(struct nvl_pci_maps *maps)
{
    for (size_t i = 0; i < maps->count; i++) {
        free(maps->items[i].id);
        nvl_strv_clear(&maps->items[i].addresses);
        free(maps->items[i].place);
        free(maps->items[i].text);
    }
    free(maps->items);
    *maps = (struct nvl_pci_maps){0};
}

void nvl_pci_mapping_names(const struct nvl_pci_mappings *mappings, struct nvl_strv *names)
{
    size_t pos = 0, len;
    const char *line;

    while (mappings->text != NULL && nvl_next_line(mappings->text, mappings->len, &pos, &line, &len)) {
        nvl_autofree char *name = nvl_xstrndup(line, len);
        name[strcspn(name, "\r")] = '\0';
        if (is_section(name) && nvl_is_pci_mapping_name(name))
            nvl_strv_push(names, name);
    }
}
