/* Reads sysfs. */
#include "lend/card.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/root.h"
#include "host/pci.h"

#define GROUPS "/sys/kernel/iommu_groups"

/* The last component of a link of the function's folder; NULL without. The caller frees. */
static char *read_link_name(const struct nvl_root *root, const char *pci, const char *name)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/%s", pci, name), *target = NULL;

    if (nvl_root_readlink(root, path, &target) < 0)
        return NULL;
    const char *slash = strrchr(target, '/');
    return nvl_xstrdup(slash != NULL ? slash + 1 : target);
}

void nvl_function_driver(const struct nvl_root *root, const char *pci, char driver[32])
{
    nvl_autofree char *name = read_link_name(root, pci, "driver");

    driver[0] = '\0';
    if (name != NULL)
        nvl_copy(driver, 32, name, strlen(name));
}

static void read_function(const struct nvl_root *root, const char *pci, struct nvl_function *function)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/class", pci),
                      *group = read_link_name(root, pci, "iommu_group");
    char text[32];
    uint64_t number;

    *function = (struct nvl_function){.group = -1};
    nvl_copy(function->pci, sizeof function->pci, pci, strlen(pci));
    nvl_function_driver(root, pci, function->driver);
    if (nvl_root_read_attribute(root, path, text, sizeof text) == 0 && nvl_has_prefix(text, "0x") &&
        nvl_parse_uint(text + 2, 16, 0xffffff, &number) == 0)
        function->class = (unsigned)number;
    if (group != NULL && nvl_parse_uint(group, 10, 1 << 20, &number) == 0)
        function->group = (int)number;
}

static bool has_function(const struct nvl_card *card, const char *pci)
{
    for (size_t i = 0; i < card->count; i++)
        if (strcmp(card->functions[i].pci, pci) == 0)
            return true;
    return false;
}

/* Bridges belong to the bus, and what no driver holds, or one made for it, disturbs nobody. */
static bool is_in_the_way(const struct nvl_function *other)
{
    return other->class >> 16 != 0x06 && other->driver[0] != '\0' && strcmp(other->driver, "vfio-pci") != 0 &&
           strcmp(other->driver, "pci-stub") != 0 && strcmp(other->driver, "pcieport") != 0;
}

static void look_at_group(const struct nvl_root *root, int group, struct nvl_card *card)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *folder = nvl_xasprintf(GROUPS "/%d/devices", group),
                      *file = nvl_xasprintf("/dev/vfio/%d", group);
    char pci[NVL_PCI_MAX];

    nvl_strv_push_once(&card->group_files, file);
    nvl_root_list(root, folder, &names);
    for (size_t i = 0; i < names.count; i++) {
        struct nvl_function other;
        if (!nvl_pci_normalise(names.items[i], pci) || has_function(card, pci))
            continue;
        read_function(root, pci, &other);
        nvl_autofree char *text = nvl_xasprintf("%s (%s)", pci, other.driver);
        if (is_in_the_way(&other))
            nvl_strv_push_once(&card->neighbours, text);
    }
}

/* The character device by which a VM has it through iommufd. */
static void add_device_file(const struct nvl_root *root, const char *pci, struct nvl_card *card)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *folder = nvl_xasprintf(NVL_PCI_DEVICES "/%s/vfio-dev", pci);

    nvl_root_list(root, folder, &names);
    for (size_t i = 0; i < names.count; i++)
        nvl_strv_pushf(&card->group_files, "/dev/vfio/devices/%s", names.items[i]);
}

int nvl_card_read(const struct nvl_root *root, const char *pci, struct nvl_card *card, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    size_t slot = strcspn(pci, ".") + 1;

    *card = (struct nvl_card){0};
    int r = nvl_root_list(root, NVL_PCI_DEVICES, &names);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot list %s" NVL_PCI_DEVICES, root->name);
    for (size_t i = 0; i < names.count; i++)
        if (strncmp(names.items[i], pci, slot) == 0 && strlen(names.items[i]) < NVL_PCI_MAX)
            read_function(root, names.items[i], NVL_APPEND(card->functions, card->count));
    if (!has_function(card, pci))
        return nvl_error_set(err, -ENOENT, "%s" NVL_PCI_DEVICES " has no %s", root->name, pci);
    for (size_t i = 0; i < card->count; i++) {
        if (card->functions[i].group >= 0)
            look_at_group(root, card->functions[i].group, card);
        add_device_file(root, card->functions[i].pci, card);
    }
    return 0;
}

void nvl_card_clear(struct nvl_card *card)
{
    free(card->functions);
    nvl_strv_clear(&card->neighbours);
    nvl_strv_clear(&card->group_files);
    *card = (struct nvl_card){0};
}
