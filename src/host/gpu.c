/* GPUs: what the nvidia driver lists in /proc, joined with what the machine has in sysfs. The hook reads only
 * /proc; commands read both, so that they can name a GPU that another driver holds. */
#include "host/gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "host/driver_version.h"
#include "base/paths.h"
#include "host/loan.h"
#include "host/pci.h"

/* ---- MIG devices ---- */

#define ACCESS_FILE_MAX 4096

/* "gi3" with prefix "gi" is 3. */
static bool take_number(const char *name, const char *prefix, unsigned *number)
{
    uint64_t value;

    if (!nvl_has_prefix(name, prefix) || nvl_parse_uint(name + strlen(prefix), 10, UINT_MAX, &value) < 0)
        return false;
    *number = (unsigned)value;
    return true;
}

static bool read_minor(const struct nvl_root *root, const char *instance, unsigned *minor)
{
    nvl_autofree char *path = nvl_xasprintf("%s/access", instance);
    nvl_autofree char *text = NULL;
    const char *line, *value;
    size_t len, line_len, value_len, pos = 0;

    if (nvl_root_read(root, path, ACCESS_FILE_MAX, &text, &len) < 0)
        return false;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        char digits[16];
        uint64_t number;
        if (!nvl_line_value(line, line_len, "DeviceFileMinor", &value, &value_len))
            continue;
        if (!nvl_copy(digits, sizeof digits, value, value_len) ||
            nvl_parse_uint(digits, 10, INT_MAX, &number) < 0)
            return false;
        *minor = (unsigned)number;
        return true;
    }
    return false;
}

static void read_gpu_instance(const struct nvl_root *root, const char *path, unsigned gi, struct nvl_gpu *gpu)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    unsigned gi_minor, ci;

    if (nvl_root_list(root, path, &names) < 0 || !read_minor(root, path, &gi_minor))
        return;
    for (size_t i = 0; i < names.count; i++) {
        unsigned ci_minor;
        nvl_autofree char *instance = nvl_xasprintf("%s/%s", path, names.items[i]);
        if (take_number(names.items[i], "ci", &ci) && read_minor(root, instance, &ci_minor))
            *NVL_APPEND(gpu->migs, gpu->n_migs) =
                (struct nvl_mig){.gi = gi, .ci = ci, .gi_minor = gi_minor, .ci_minor = ci_minor};
    }
}

static int compare_migs(const void *a, const void *b)
{
    const struct nvl_mig *x = a, *y = b;

    if (x->gi != y->gi)
        return x->gi < y->gi ? -1 : 1;
    return (int)(x->ci > y->ci) - (int)(x->ci < y->ci);
}

void nvl_gpu_read_migs(const struct nvl_root *root, struct nvl_gpu *gpu)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    unsigned gi;

    if (gpu->minor < 0)
        return;
    nvl_autofree char *path = nvl_xasprintf("/proc/driver/nvidia/capabilities/gpu%d/mig", gpu->minor);
    if (nvl_root_list(root, path, &names) < 0)
        return;
    gpu->mig_enabled = nvl_strv_contains(&names, "config");
    for (size_t i = 0; i < names.count; i++) {
        if (!take_number(names.items[i], "gi", &gi))
            continue;
        nvl_autofree char *instance = nvl_xasprintf("%s/%s", path, names.items[i]);
        gpu->mig_enabled = true;
        read_gpu_instance(root, instance, gi, gpu);
    }
    /* gi10 is listed before gi2 */
    if (gpu->n_migs > 1)
        qsort(gpu->migs, gpu->n_migs, sizeof *gpu->migs, compare_migs);
}

/* ---- GPUs ---- */

#define PROC_GPUS       "/proc/driver/nvidia/gpus"
#define INFORMATION_MAX 16384
#define MINOR_MAX       0xfffffu /* MKDEV keeps 20 bits for it */
#define CLASS_VGA       0x0300
#define CLASS_3D        0x0302

static const struct {
    const char *name;
    enum nvl_gpu_driver driver;
} drivers[] = {
    {"nvidia", NVL_GPU_NVIDIA},  {"nouveau", NVL_GPU_NOUVEAU}, {"nova_core", NVL_GPU_NOVA},
    {"nova-core", NVL_GPU_NOVA}, {"NovaCore", NVL_GPU_NOVA}, /* its own name for itself in Linux 6.15 and
                                                                later */
    {"vfio-pci", NVL_GPU_VFIO},
};

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool take_hex(const char **s, size_t max_digits, unsigned *value)
{
    size_t n = 0;

    for (*value = 0; n < max_digits && is_hex(**s); n++, (*s)++)
        *value = *value * 16 + (unsigned)(**s <= '9' ? **s - '0' : (**s | 0x20) - 'a' + 10);
    return n > 0;
}

bool nvl_pci_normalise(const char *text, char pci[NVL_PCI_MAX])
{
    unsigned domain, bus, device, function;
    const char *s = text;

    if (!take_hex(&s, 8, &domain) || *s++ != ':' || !take_hex(&s, 2, &bus))
        return false;
    if (*s == ':') {
        s++;
        if (!take_hex(&s, 2, &device))
            return false;
    } else { /* without a domain */
        device = bus;
        bus = domain;
        domain = 0;
    }
    if (*s++ != '.' || !take_hex(&s, 1, &function) || *s != '\0')
        return false;
    if (bus > 0xff || device > 0x1f || function > 7)
        return false;
    snprintf(pci, NVL_PCI_MAX, "%04x:%02x:%02x.%x", domain, bus, device, function);
    return true;
}

bool nvl_is_gpu_uuid(const char *s)
{
    static const char shape[] = "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0;

    for (; shape[i] != '\0'; i++)
        if (shape[i] == 'x' ? !is_hex(s[i]) : s[i] != shape[i])
            return false;
    return s[i] == '\0';
}

static void parse_minor(const char *value, size_t len, int *minor)
{
    char digits[16];
    uint64_t number;

    if (nvl_copy(digits, sizeof digits, value, len) && nvl_parse_uint(digits, 10, MINOR_MAX, &number) == 0)
        *minor = (int)number;
}

void nvl_gpu_parse_information(const char *text, size_t len, struct nvl_gpu *gpu)
{
    const char *line, *value;
    size_t line_len, value_len, pos = 0;
    char word[NVL_UUID_MAX];

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        if (nvl_line_value(line, line_len, "Model", &value, &value_len))
            nvl_copy(gpu->model, sizeof gpu->model, value, value_len);
        else if (nvl_line_value(line, line_len, "Device Minor", &value, &value_len))
            parse_minor(value, value_len, &gpu->minor);
        else if (nvl_line_value(line, line_len, "GPU Excluded", &value, &value_len))
            gpu->excluded = value_len == 3 && memcmp(value, "Yes", 3) == 0;
        else if (nvl_line_value(line, line_len, "GPU Firmware", &value, &value_len))
            gpu->runs_firmware = nvl_is_version(value, value_len);
        else if (nvl_line_value(line, line_len, "GPU UUID", &value, &value_len)) {
            if (nvl_copy(word, sizeof word, value, value_len) && nvl_is_gpu_uuid(word))
                nvl_copy(gpu->uuid, sizeof gpu->uuid, word, strlen(word));
        } else if (nvl_line_value(line, line_len, "Bus Location", &value, &value_len)) {
            if (nvl_copy(word, sizeof word, value, value_len))
                nvl_pci_normalise(word, gpu->pci);
        }
    }
}

static struct nvl_gpu *append(struct nvl_gpus *gpus, const char *pci)
{
    struct nvl_gpu *gpu = NVL_APPEND(gpus->items, gpus->count);

    *gpu = (struct nvl_gpu){.minor = -1, .index = -1, .card = -1, .render = -1};
    nvl_copy(gpu->pci, sizeof gpu->pci, pci, strlen(pci));
    return gpu;
}

void nvl_gpu_set_driver(struct nvl_gpu *gpu, const char *name)
{
    nvl_copy(gpu->driver_name, sizeof gpu->driver_name, name, strlen(name));
    gpu->driver = NVL_GPU_OTHER_DRIVER;
    for (size_t i = 0; i < NVL_LENGTH(drivers); i++)
        if (strcmp(name, drivers[i].name) == 0)
            gpu->driver = drivers[i].driver;
}

/* A domain of more than four digits comes after all others: longer is later. */
static int compare_gpus(const void *a, const void *b)
{
    const struct nvl_gpu *x = a, *y = b;
    size_t len_x = strlen(x->pci), len_y = strlen(y->pci);

    if (len_x != len_y)
        return len_x < len_y ? -1 : 1;
    return strcmp(x->pci, y->pci);
}

static void sort(struct nvl_gpus *gpus)
{
    if (gpus->count > 1)
        qsort(gpus->items, gpus->count, sizeof *gpus->items, compare_gpus);
}

static void read_information(const struct nvl_root *root, const char *name, struct nvl_gpu *gpu)
{
    nvl_autofree char *path = nvl_xasprintf(PROC_GPUS "/%s/information", name);
    nvl_autofree char *text = NULL;
    char pci[NVL_PCI_MAX];
    size_t len;

    if (nvl_root_read(root, path, INFORMATION_MAX, &text, &len) < 0)
        return; /* it exists, but nothing more is known about it */
    nvl_copy(pci, sizeof pci, gpu->pci, strlen(gpu->pci));
    nvl_gpu_parse_information(text, len, gpu);
    nvl_copy(gpu->pci, sizeof gpu->pci, pci, strlen(pci));
}

/* Source: Documentation/ABI/testing/sysfs-bus-pci, physfn. */
static void read_physical(const struct nvl_root *root, struct nvl_gpu *gpu)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/physfn", gpu->pci);
    nvl_autofree char *target = NULL;

    if (nvl_root_readlink(root, path, &target) < 0)
        return;
    const char *slash = strrchr(target, '/');
    const char *name = slash != NULL ? slash + 1 : target;
    nvl_copy(gpu->physical, sizeof gpu->physical, name, strlen(name));
    gpu->minor = -1;
    gpu->uuid[0] = '\0';
}

static int read_proc(const struct nvl_root *root, struct nvl_gpus *gpus, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    char pci[NVL_PCI_MAX];
    int index = 0;
    int r = nvl_root_list(root, PROC_GPUS, &names);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot list %s" PROC_GPUS, root->name);
    for (size_t i = 0; i < names.count; i++) {
        if (!nvl_pci_normalise(names.items[i], pci))
            continue;
        struct nvl_gpu *gpu = append(gpus, pci);
        nvl_gpu_set_driver(gpu, "nvidia");
        read_information(root, names.items[i], gpu);
        read_physical(root, gpu);
        nvl_gpu_read_migs(root, gpu);
    }
    sort(gpus);
    for (size_t i = 0; i < gpus->count; i++)
        if (!gpus->items[i].excluded && gpus->items[i].physical[0] == '\0')
            gpus->items[i].index = index++;
    return 0;
}

static void read_driver_link(const struct nvl_root *root, struct nvl_gpu *gpu)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/driver", gpu->pci);
    nvl_autofree char *target = NULL;

    if (nvl_root_readlink(root, path, &target) < 0)
        return;
    const char *slash = strrchr(target, '/');
    nvl_gpu_set_driver(gpu, slash != NULL ? slash + 1 : target);
}

/* A GPU that has fallen off the bus (Xid 79) answers nothing, and a read then returns all ones. Reading wakes
 * a GPU that sleeps without power, so such a GPU is not read. */
static void read_lost(const struct nvl_root *root, struct nvl_gpu *gpu)
{
    nvl_autofree char *state = nvl_xasprintf(NVL_PCI_DEVICES "/%s/power_state", gpu->pci);
    nvl_autofree char *config = nvl_xasprintf(NVL_PCI_DEVICES "/%s/config", gpu->pci);
    unsigned char header[64]; /* as much as any user may read */
    char power[16];

    if (nvl_root_read_attribute(root, state, power, sizeof power) == 0 && strcmp(power, "D3cold") == 0)
        return;
    nvl_autofd int fd = nvl_root_openat(root, config, O_RDONLY | O_NONBLOCK);
    ssize_t len = fd >= 0 ? read(fd, header, sizeof header) : -1;
    gpu->is_lost = len == (ssize_t)sizeof header;
    for (ssize_t i = 0; i < len; i++)
        gpu->is_lost = gpu->is_lost && header[i] == 0xff;
}

static int read_sys(const struct nvl_root *root, struct nvl_gpus *gpus, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    char pci[NVL_PCI_MAX];
    struct nvl_pci_identity id;
    int r = nvl_pci_list(root, &names);

    if (r < 0 && r != -ENOENT)
        return nvl_error_errno(err, r, "cannot list %s" NVL_PCI_DEVICES, root->name);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        if (!nvl_pci_normalise(name, pci) || strcmp(name, pci) != 0 || !nvl_pci_identify(root, pci, &id) ||
            id.vendor != NVL_VENDOR_NVIDIA || (id.class != CLASS_VGA && id.class != CLASS_3D))
            continue;
        struct nvl_gpu *gpu = (struct nvl_gpu *)nvl_gpu_by_pci(gpus, pci);
        if (gpu == NULL) { /* nvidia does not list it: the link says what drives it */
            gpu = append(gpus, pci);
            read_driver_link(root, gpu);
            read_physical(root, gpu);
        }
        gpu->pci_device = id.device;
        /* another driver may have put its GPU to sleep or be resetting it */
        if (gpu->driver == NVL_GPU_NVIDIA || gpu->driver == NVL_GPU_NO_DRIVER)
            read_lost(root, gpu);
    }
    sort(gpus);
    return 0;
}

static void read_dri(const struct nvl_root *root, struct nvl_gpu *gpu)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/drm", gpu->pci);
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (nvl_root_list(root, path, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        if (nvl_has_prefix(name, "card"))
            parse_minor(name + 4, strlen(name + 4), &gpu->card);
        else if (nvl_has_prefix(name, "renderD"))
            parse_minor(name + 7, strlen(name + 7), &gpu->render);
    }
}

static void take_loan(const struct nvl_root *root, const char *pci, struct nvl_gpus *gpus)
{
    nvl_auto(nvl_loan_clear) struct nvl_loan loan = {0};
    nvl_autofree char *device = nvl_xasprintf(NVL_PCI_DEVICES "/%s", pci);
    struct nvl_gpu *gpu = (struct nvl_gpu *)nvl_gpu_by_pci(gpus, pci);

    if (nvl_loan_read(root, pci, &loan) < 0 || (gpu == NULL && !nvl_root_exists(root, device)))
        return;
    if (gpu == NULL) {
        gpu = append(gpus, pci);
        read_driver_link(root, gpu);
    }
    gpu->is_lent = true;
    nvl_copy(gpu->lent_to, sizeof gpu->lent_to, loan.vm, strlen(loan.vm));
    if (gpu->uuid[0] == '\0')
        nvl_copy(gpu->uuid, sizeof gpu->uuid, loan.uuid, strlen(loan.uuid));
    if (gpu->model[0] == '\0')
        nvl_copy(gpu->model, sizeof gpu->model, loan.model, strlen(loan.model));
}

/* Those that nvidia does not drive any more are added, at any depth: a grant may name them. */
static void read_loans(const struct nvl_root *root, struct nvl_gpus *gpus)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    char pci[NVL_PCI_MAX];

    nvl_root_list(root, NVL_LOANS_DIR, &names);
    for (size_t i = 0; i < names.count; i++)
        if (nvl_pci_normalise(names.items[i], pci) && strcmp(names.items[i], pci) == 0)
            take_loan(root, pci, gpus);
    if (names.count > 0)
        sort(gpus);
}

static void count_functions(struct nvl_gpus *gpus)
{
    for (size_t i = 0; i < gpus->count; i++)
        for (size_t n = 0; n < gpus->count; n++)
            gpus->items[i].n_functions += strcmp(gpus->items[n].physical, gpus->items[i].pci) == 0;
}

int nvl_gpus_read(const struct nvl_root *root, enum nvl_gpus_depth depth, struct nvl_gpus *gpus,
                  struct nvl_error *err)
{
    *gpus = (struct nvl_gpus){0};
    int r = read_proc(root, gpus, err);
    if (r == 0 && depth == NVL_GPUS_ALL)
        r = read_sys(root, gpus, err);
    if (r < 0) {
        nvl_gpus_clear(gpus);
        return r;
    }
    read_loans(root, gpus);
    count_functions(gpus);
    for (size_t i = 0; depth != NVL_GPUS_PROC && i < gpus->count; i++)
        read_dri(root, &gpus->items[i]);
    return 0;
}

void nvl_gpus_clear(struct nvl_gpus *gpus)
{
    for (size_t i = 0; i < gpus->count; i++)
        free(gpus->items[i].migs);
    free(gpus->items);
    *gpus = (struct nvl_gpus){0};
}

const struct nvl_gpu *nvl_gpu_by_uuid(const struct nvl_gpus *gpus, const char *uuid)
{
    for (size_t i = 0; i < gpus->count; i++)
        if (gpus->items[i].uuid[0] != '\0' && strcasecmp(gpus->items[i].uuid, uuid) == 0)
            return &gpus->items[i];
    return NULL;
}

char *nvl_mig_uuid(const struct nvl_gpu *gpu, const struct nvl_mig *mig)
{
    return gpu->uuid[0] != '\0' ? nvl_xasprintf("MIG-%s/%u/%u", gpu->uuid, mig->gi, mig->ci) : NULL;
}

const struct nvl_gpu *nvl_gpu_by_index(const struct nvl_gpus *gpus, unsigned index)
{
    for (size_t i = 0; i < gpus->count; i++)
        if (gpus->items[i].index >= 0 && (unsigned)gpus->items[i].index == index)
            return &gpus->items[i];
    return NULL;
}

const struct nvl_gpu *nvl_gpu_by_pci(const struct nvl_gpus *gpus, const char *pci)
{
    char address[NVL_PCI_MAX];

    if (!nvl_pci_normalise(pci, address))
        return NULL;
    for (size_t i = 0; i < gpus->count; i++)
        if (strcmp(gpus->items[i].pci, address) == 0)
            return &gpus->items[i];
    return NULL;
}

char *nvl_gpu_text(const struct nvl_gpu *gpu)
{
    return nvl_xasprintf("GPU %d, %s (%s)", gpu->index, gpu->model[0] != '\0' ? gpu->model : "unknown model",
                         gpu->uuid[0] != '\0' ? gpu->uuid : gpu->pci);
}

bool nvl_gpu_lacks_uuid(const struct nvl_gpu *gpu)
{
    return gpu->driver == NVL_GPU_NVIDIA && gpu->uuid[0] == '\0' && gpu->minor >= 0 && !gpu->is_lent;
}
