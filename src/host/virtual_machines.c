/* Reads the configs of VMs: the grammar is qemu-server's; only what concerns PCI devices and starts is
 * read. */
#include "host/virtual_machines.h"

#include <fcntl.h>
#include <stdio.h>
#include <strings.h>

#include "base/file.h"
#include "base/root.h"
#include "host/pci_mappings.h"
#include "host/system.h"

#define VM_FOLDER  "/etc/pve/qemu-server"
#define NODES      "/etc/pve/nodes"
#define CONFIG_MAX (1u << 20) /* pmxcfs has no larger files */
#define VMS_MAX    4096

/* One hostpciN line. */
struct line {
    char *key, *value, *place;
    bool goes; /* deleted in the pending section */
};

struct vm {
    char *id;
    struct line *lines;
    size_t n_lines;
    bool starts_at_boot, is_template, takes_turns;
};

static void vm_clear(struct vm *vm)
{
    for (size_t i = 0; i < vm->n_lines; i++) {
        free(vm->lines[i].key);
        free(vm->lines[i].value);
        free(vm->lines[i].place);
    }
    free(vm->lines);
    free(vm->id);
}

static struct line *find_vm_line(struct vm *vm, const char *key)
{
    for (size_t i = 0; i < vm->n_lines; i++)
        if (strcmp(vm->lines[i].key, key) == 0)
            return &vm->lines[i];
    return NULL;
}

/* If a key has several lines the last one counts; pending values count at the next start. */
static void set_line(struct vm *vm, const char *key, const char *value, char *place)
{
    struct line *line = find_vm_line(vm, key);

    if (line == NULL) {
        line = NVL_APPEND(vm->lines, vm->n_lines);
        *line = (struct line){.key = nvl_xstrdup(key)};
    }
    free(line->value);
    free(line->place);
    line->value = nvl_xstrdup(value);
    line->place = place;
    line->goes = false;
}

/* "delete: hostpci0,!memory": the mark means "by force". */
static void delete_lines(struct vm *vm, const char *keys)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_strv_split(&names, keys, ",; ");
    for (size_t i = 0; i < names.count; i++) {
        struct line *line = find_vm_line(vm, names.items[i] + (names.items[i][0] == '!'));
        if (line != NULL)
            line->goes = true;
    }
}

static void take_vm_line(struct vm *vm, const char *path, size_t number, const char *text, bool is_pending)
{
    nvl_autofree char *key = nvl_xstrndup(text, strcspn(text, ":"));
    const char *value = text + strlen(key);

    if (*value != ':')
        return;
    value += 1 + strspn(value + 1, " \t");
    if (nvl_has_prefix(key, "hostpci") && key[7] != '\0' && key[7 + strspn(key + 7, "0123456789")] == '\0')
        set_line(vm, key, value, nvl_xasprintf("%s:%zu: %s", path, number, text));
    else if (strcmp(key, "delete") == 0 && is_pending)
        delete_lines(vm, value);
    else if (strcmp(key, "onboot") == 0)
        vm->starts_at_boot = value[0] == '1';
    else if (strcmp(key, "hookscript") == 0)
        vm->takes_turns = nvl_is_own_hookscript(value);
    else if (strcmp(key, "template") == 0)
        vm->is_template = value[0] == '1';
}

/* A file that a listing or a config names. */
static int read_named(const struct nvl_root *root, const char *path, char **text, size_t *len)
{
    nvl_autofd int fd = nvl_root_open_listed(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

    return fd < 0 ? fd : nvl_fd_read(fd, CONFIG_MAX, text, len);
}

/* The config itself and pending changes; snapshots are other sections. */
static void read_vm(const struct nvl_root *root, const char *path, struct vm *vm)
{
    nvl_autofree char *text = NULL;
    size_t len, pos = 0, line_len, number = 0;
    const char *line;
    bool is_pending = false, counts = true;

    if (read_named(root, path, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        while (line_len > 0 && strchr(" \t\r", line[line_len - 1]) != NULL)
            line_len--;
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        number++;
        if (copy[0] == '[') {
            is_pending = strcasecmp(copy, "[PENDING]") == 0;
            counts = is_pending;
        } else if (counts) {
            take_vm_line(vm, path, number, copy, is_pending);
        }
    }
}

static void add_address(const struct vm *vm, const struct line *line, const char *address,
                        const char *mapping_place, bool runs, struct nvl_vm_devices *devices)
{
    struct nvl_vm_device *device = NVL_APPEND(devices->items, devices->count);

    *device = (struct nvl_vm_device){.vm = nvl_xstrdup(vm->id),
                                     .key = nvl_xstrdup(line->key),
                                     .address = nvl_xstrdup(address),
                                     .runs = runs,
                                     .starts_at_boot = vm->starts_at_boot,
                                     .takes_turns = vm->takes_turns,
                                     .goes = line->goes};
    nvl_strv_push(&device->places, line->place);
    if (mapping_place != NULL)
        nvl_strv_push(&device->places, mapping_place);
}

static void add_addresses(const struct vm *vm, const struct line *line, const char *addresses, bool runs,
                          struct nvl_vm_devices *devices)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv list = {0};

    nvl_strv_split(&list, addresses, ";");
    for (size_t i = 0; i < list.count; i++) {
        nvl_autofree char *address = nvl_pci_address(list.items[i]);
        if (address != NULL)
            add_address(vm, line, address, NULL, runs, devices);
    }
}

/* Read when the first config names a mapping, and once: a file that is missing is waited for. */
struct mappings {
    bool is_read;
    struct nvl_pci_mappings read;
    const char *node; /* whose; NULL: of this one */
};

static void mappings_clear(struct mappings *mappings)
{
    nvl_pci_mappings_clear(&mappings->read);
}

static void add_mapped(const struct nvl_root *root, struct mappings *mappings, const char *name,
                       const struct vm *vm, const struct line *line, bool runs,
                       struct nvl_vm_devices *devices)
{
    nvl_auto(nvl_pci_maps_clear) struct nvl_pci_maps maps = {0};

    if (!mappings->is_read)
        nvl_pci_mappings_read(root, NULL, mappings->node, &mappings->read);
    mappings->is_read = true;
    nvl_pci_mapping_find(&mappings->read, name, &maps);
    for (size_t i = 0; i < maps.count; i++)
        for (size_t k = 0; k < maps.items[i].addresses.count; k++)
            add_address(vm, line, maps.items[i].addresses.items[k], maps.items[i].place, runs, devices);
}

/* "0000:01:00.0;0000:01:00.1,pcie=1", "host=01:00", "mapping=gpu". With mdev it is a part of the GPU, which
 * stays with its driver. */
static void add_vm_line(const struct nvl_root *root, struct mappings *mappings, const struct vm *vm,
                        const struct line *line, bool runs, struct nvl_vm_devices *devices)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv pieces = {0};

    nvl_strv_split(&pieces, line->value, ",");
    const char *mapping = nvl_pve_property(&pieces, "mapping"), *host = nvl_pve_property(&pieces, "host");
    if (pieces.count == 0 || nvl_pve_property(&pieces, "mdev") != NULL || (line->goes && !runs))
        return;
    if (mapping == NULL)
        add_addresses(vm, line, host != NULL ? host : pieces.items[0], runs, devices);
    else
        add_mapped(root, mappings, mapping, vm, line, runs, devices);
}

/* `node` is NULL for this one. */
static void read_vms(const struct nvl_root *root, const char *folder, const char *node,
                     struct nvl_vm_devices *devices)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_auto(mappings_clear) struct mappings mappings = {.node = node};

    *devices = (struct nvl_vm_devices){0};
    if (nvl_root_list(root, folder, &names) < 0)
        return;
    for (size_t i = 0; i < names.count && i < VMS_MAX; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", folder, names.items[i]);
        nvl_auto(vm_clear) struct vm vm = {.id = nvl_xstrndup(names.items[i], strcspn(names.items[i], "."))};
        if (strcmp(names.items[i] + strspn(names.items[i], "0123456789"), ".conf") != 0)
            continue;
        read_vm(root, path, &vm);
        if (vm.n_lines == 0 || vm.is_template)
            continue;
        nvl_autofree char *pid_file = nvl_xasprintf("/run/qemu-server/%s.pid", vm.id);
        bool runs = node == NULL && nvl_pid_file_holds(root, pid_file, "kvm");
        for (size_t l = 0; l < vm.n_lines; l++)
            add_vm_line(root, &mappings, &vm, &vm.lines[l], runs, devices);
    }
}

void nvl_vm_devices_read(const struct nvl_root *root, struct nvl_vm_devices *devices)
{
    read_vms(root, VM_FOLDER, NULL, devices);
}

void nvl_vm_devices_read_of(const struct nvl_root *root, const char *node, struct nvl_vm_devices *devices)
{
    nvl_autofree char *folder = nvl_xasprintf(NODES "/%s/qemu-server", node);

    read_vms(root, folder, node, devices);
}

void nvl_vm_devices_clear(struct nvl_vm_devices *devices)
{
    for (size_t i = 0; i < devices->count; i++) {
        free(devices->items[i].vm);
        free(devices->items[i].key);
        free(devices->items[i].address);
        nvl_strv_clear(&devices->items[i].places);
    }
    free(devices->items);
    *devices = (struct nvl_vm_devices){0};
}

bool nvl_is_own_hookscript(const char *volume)
{
    return nvl_has_suffix(volume, ":snippets/" NVL_HOOKSCRIPT) ||
           nvl_has_suffix(volume, ":snippets/" NVL_HOOKSCRIPT_STOP);
}

bool nvl_vm_device_is(const struct nvl_vm_device *device, const char *pci)
{
    return nvl_pci_address_is(device->address, pci);
}
