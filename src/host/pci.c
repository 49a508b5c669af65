/* The PCI bus: what a device is, and which need a closer look. A machine has up to some hundred, and sysfs
 * has a file for each answer; /proc/bus/pci/devices tells the vendors of all of them in one file. */
#include "host/pci.h"

#include <stdio.h>

#define PROC_DEVICES     "/proc/bus/pci/devices"
#define PROC_DEVICES_MAX (4u << 20)

struct device {
    unsigned place; /* bus, device, function: the file has no domains */
    unsigned vendor;
};

struct devices {
    struct device *items;
    size_t count;
};

/* "0100\t10de2438\t…" */
static void read_devices(const struct nvl_root *root, struct devices *devices)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, line_len, pos = 0;

    if (nvl_root_read(root, PROC_DEVICES, PROC_DEVICES_MAX, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        struct device *device = NVL_APPEND(devices->items, devices->count);
        char start[16];
        nvl_copy(start, sizeof start, line, line_len);
        if (sscanf(start, "%4x\t%4x", &device->place, &device->vendor) != 2)
            *device = (struct device){.place = UINT32_MAX};
    }
}

/* What the file says about the device with that name in sysfs; in two domains two devices can have the same
 * address. */
static bool find(const struct devices *devices, const char *name, bool *is_nvidias)
{
    unsigned bus, slot, function;
    bool is_known = false;

    *is_nvidias = false;
    if (sscanf(name, "%*x:%2x:%2x.%1x", &bus, &slot, &function) != 3)
        return false;
    for (size_t i = 0; i < devices->count; i++)
        if (devices->items[i].place == (bus << 8 | slot << 3 | function)) {
            is_known = true;
            *is_nvidias |= devices->items[i].vendor == NVL_VENDOR_NVIDIA;
        }
    return is_known;
}

int nvl_pci_list(const struct nvl_root *root, struct nvl_strv *names)
{
    struct devices devices = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv nvidias = {0};
    bool is_nvidias;

    int r = nvl_root_list(root, NVL_PCI_DEVICES, names);
    if (r < 0)
        return r;
    read_devices(root, &devices);
    /* valid only if it is about these very devices: a captured host has no such file, and a simulated one may
     * have the machine's */
    bool agrees = devices.count == names->count;
    for (size_t i = 0; i < names->count && agrees; i++) {
        agrees = find(&devices, names->items[i], &is_nvidias);
        if (agrees && is_nvidias)
            nvl_strv_push(&nvidias, names->items[i]);
    }
    free(devices.items);
    if (agrees) {
        nvl_strv_clear(names);
        *names = nvidias;
        nvidias = (struct nvl_strv){0};
    }
    return 0;
}

/* "0x10de\n" of an attribute file. */
static bool read_attribute(const struct nvl_root *root, const char *pci, const char *name, unsigned *value)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/%s", pci, name);
    char text[32];
    uint64_t number;

    if (nvl_root_read_attribute(root, path, text, sizeof text) < 0 || !nvl_has_prefix(text, "0x") ||
        nvl_parse_uint(text + 2, 16, 0xffffffff, &number) < 0)
        return false;
    *value = (unsigned)number;
    return true;
}

/* "pci:v000010DEd00002204sv…sd…bc03sc00i00" has everything; a captured host may not have it. */
bool nvl_pci_identify(const struct nvl_root *root, const char *pci, struct nvl_pci_identity *id)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/modalias", pci);
    char text[128];
    unsigned base, sub;

    if (nvl_root_read_attribute(root, path, text, sizeof text) == 0 &&
        sscanf(text, "pci:v%8xd%8xsv%*8xsd%*8xbc%2xsc%2x", &id->vendor, &id->device, &base, &sub) == 4) {
        id->class = base << 8 | sub;
        return true;
    }
    *id = (struct nvl_pci_identity){0};
    if (!read_attribute(root, pci, "vendor", &id->vendor) || !read_attribute(root, pci, "class", &id->class))
        return false;
    id->class >>= 8; /* the programming interface */
    read_attribute(root, pci, "device", &id->device);
    return true;
}
