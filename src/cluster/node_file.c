/* Writes and reads the file of a node. */
#include "cluster/node_file.h"

#include <errno.h>
#include <fcntl.h>

#include "base/file.h"
#include "base/printable.h"
#include "base/root.h"
#include "host/gpu_state.h"
#include "host/json.h"

#define INDEX_MAX    4095
#define MINOR_MAX    0xfffff /* MKDEV keeps 20 bits for it */
#define INSTANCE_MAX 4095
#define DEVICE_MAX   0xffff
#define MEMORY_MAX   (1ll << 50)

const char *nvl_node_file_state_name(enum nvl_node_file_state state)
{
    static const char *const names[] = {
        [NVL_NODE_FILE_GOOD] = "good",       [NVL_NODE_FILE_ABSENT] = "absent",
        [NVL_NODE_FILE_OLDER] = "older",     [NVL_NODE_FILE_NEWER] = "newer",
        [NVL_NODE_FILE_DAMAGED] = "damaged", [NVL_NODE_FILE_UNREADABLE] = "unreadable"};

    return names[state];
}

/* ---- writing ---- */

static json_t *gpu_to_json(const struct nvl_gpu *gpu)
{
    json_t *json = nvl_json_gpu(gpu), *migs = json_array();

    for (size_t i = 0; i < gpu->n_migs; i++)
        json_array_append_new(migs, nvl_json_mig_device(gpu, &gpu->migs[i]));
    json_object_set_new(json, "pci_device", json_integer(gpu->pci_device));
    json_object_set_new(json, "memory_total_bytes",
                        nvl_json_unsigned(gpu->memory > 0 ? (long long)gpu->memory : -1));
    json_object_set_new(json, "mig_devices", migs);
    return json;
}

char *nvl_node_file_format(const struct nvl_node_file *file)
{
    json_t *gpus = json_array();

    for (size_t i = 0; i < file->gpus.count; i++)
        if (nvl_gpu_state(&file->gpus.items[i]) != NVL_GPU_IS_VIRTUAL)
            json_array_append_new(gpus, gpu_to_json(&file->gpus.items[i]));
    json_t *all =
        json_pack("{s:i,s:s,s:s,s:o,s:o}", "format", NVL_NODE_FILE_FORMAT, "cluster_node", file->node,
                  "published", file->when, "driver", nvl_json_driver(&file->driver), "gpus", gpus);
    nvl_autofree char *text = json_dumps(all, JSON_INDENT(1));
    json_decref(all);
    return nvl_xasprintf("%s\n", text != NULL ? text : "");
}

/* ---- reading ---- */

/* Null, or a number from 0 to max; *n stays as it is for null. */
static bool take_bounded(const json_t *object, const char *key, long long max, long long *n)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_null(value))
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max)
        return false;
    *n = json_integer_value(value);
    return true;
}

/* Null, or a text that fits, on one line and printable as it is; "" for null. */
static bool take_words(const json_t *object, const char *key, char *to, size_t size)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);

    to[0] = '\0';
    if (json_is_null(value))
        return true;
    if (text == NULL || strlen(text) >= size || strpbrk(text, "\n\t") != NULL)
        return false;
    nvl_autofree char *printable = nvl_make_printable(nvl_xstrdup(text));
    nvl_copy(to, size, text, strlen(text));
    return strcmp(printable, text) == 0;
}

static bool take_mig(const json_t *json, struct nvl_gpu *gpu)
{
    long long gi = -1, ci = -1;

    if (!take_bounded(json, "gi", INSTANCE_MAX, &gi) || !take_bounded(json, "ci", INSTANCE_MAX, &ci) ||
        gi < 0 || ci < 0)
        return false;
    for (size_t i = 0; i < gpu->n_migs; i++)
        if (gpu->migs[i].gi == (unsigned)gi && gpu->migs[i].ci == (unsigned)ci)
            return false;
    *NVL_APPEND(gpu->migs, gpu->n_migs) = (struct nvl_mig){.gi = (unsigned)gi, .ci = (unsigned)ci};
    return true;
}

static bool take_migs(const json_t *json, struct nvl_gpu *gpu)
{
    const json_t *list = json_object_get(json, "mig_devices");

    if (!json_is_array(list) || json_array_size(list) > NVL_NODE_MIGS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!take_mig(json_array_get(list, i), gpu))
            return false;
    return true;
}

/* The rest of a state follows from what drives the GPU. */
static bool take_gpu_state(const json_t *json, struct nvl_gpu *gpu)
{
    char state[32];

    if (!take_words(json, "state", state, sizeof state) || state[0] == '\0')
        return false;
    gpu->is_lost = strcmp(state, "lost") == 0;
    gpu->is_lent = strcmp(state, "lent") == 0;
    gpu->excluded = strcmp(state, "excluded") == 0;
    gpu->was_used = strcmp(state, "silent") == 0;
    gpu->mig_enabled = strcmp(state, "mig") == 0 || gpu->n_migs > 0;
    return true;
}

static bool take_gpu(const json_t *json, struct nvl_gpu *gpu)
{
    long long index = -1, minor = -1, device = 0, memory = 0;
    char name[sizeof gpu->driver_name], pci[NVL_PCI_MAX];

    *gpu = (struct nvl_gpu){.card = -1, .render = -1};
    if (!take_bounded(json, "index", INDEX_MAX, &index) || !take_bounded(json, "minor", MINOR_MAX, &minor) ||
        !take_bounded(json, "pci_device", DEVICE_MAX, &device) ||
        !take_bounded(json, "memory_total_bytes", MEMORY_MAX, &memory) ||
        !take_words(json, "uuid", gpu->uuid, sizeof gpu->uuid) ||
        !take_words(json, "model", gpu->model, sizeof gpu->model) ||
        !take_words(json, "pci", gpu->pci, sizeof gpu->pci) ||
        !take_words(json, "kernel_driver", name, sizeof name))
        return false;
    gpu->index = (int)index;
    gpu->minor = (int)minor;
    gpu->pci_device = (unsigned)device;
    gpu->memory = (uint64_t)memory;
    if (name[0] != '\0')
        nvl_gpu_set_driver(gpu, name);
    return (gpu->uuid[0] == '\0' || nvl_is_gpu_uuid(gpu->uuid)) && nvl_pci_normalise(gpu->pci, pci) &&
           strcmp(pci, gpu->pci) == 0 && take_migs(json, gpu) && take_gpu_state(json, gpu);
}

/* Each is there once. */
static bool is_another(const struct nvl_gpus *gpus, const struct nvl_gpu *gpu)
{
    return nvl_gpu_by_pci(gpus, gpu->pci) == NULL &&
           (gpu->uuid[0] == '\0' || nvl_gpu_by_uuid(gpus, gpu->uuid) == NULL) &&
           (gpu->index < 0 || nvl_gpu_by_index(gpus, (unsigned)gpu->index) == NULL);
}

static bool take_gpus(const json_t *all, struct nvl_gpus *gpus)
{
    const json_t *list = json_object_get(all, "gpus");

    if (!json_is_array(list) || json_array_size(list) > NVL_NODE_GPUS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct nvl_gpu gpu;
        bool is_good = take_gpu(json_array_get(list, i), &gpu) && is_another(gpus, &gpu);
        *NVL_APPEND(gpus->items, gpus->count) = gpu; /* its MIG devices are freed with the others */
        if (!is_good)
            return false;
    }
    return true;
}

static bool take_driver(const json_t *all, struct nvl_driver_version *driver)
{
    const json_t *json = json_object_get(all, "driver"), *loaded = json_object_get(json, "loaded");
    char flavour[16];

    if (!json_is_boolean(loaded) || !take_words(json, "version", driver->version, sizeof driver->version) ||
        !take_words(json, "flavour", flavour, sizeof flavour))
        return false;
    driver->loaded = json_is_true(loaded);
    for (enum nvl_flavour f = NVL_FLAVOUR_UNKNOWN; f <= NVL_FLAVOUR_OPEN; f++)
        if (nvl_flavour_name(f) != NULL && strcmp(nvl_flavour_name(f), flavour) == 0)
            driver->flavour = f;
    return (flavour[0] == '\0' || driver->flavour != NVL_FLAVOUR_UNKNOWN) &&
           (driver->version[0] == '\0' || nvl_is_version(driver->version, strlen(driver->version)));
}

/* "2026-11-30T20:18:33Z" */
static bool is_moment(const char *text)
{
    static const char form[] = "0000-00-00T00:00:00Z";

    for (size_t i = 0; i < sizeof form; i++)
        if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return true;
}

static const char *take_all(const json_t *all, const char *node, struct nvl_node_file *file)
{
    if (!take_words(all, "cluster_node", file->node, sizeof file->node) || strcmp(file->node, node) != 0)
        return "is damaged: it is not of this node";
    if (!take_words(all, "published", file->when, sizeof file->when) || !is_moment(file->when))
        return "is damaged: it does not say when it was written";
    if (!take_driver(all, &file->driver))
        return "is damaged: what it says of the driver is not in its form";
    if (!take_gpus(all, &file->gpus))
        return "is damaged: what it says of the GPUs is not in its form";
    return NULL;
}

static enum nvl_node_file_state judge_format(const json_t *all, char **why)
{
    const json_t *format = json_object_get(all, "format");

    if (!json_is_integer(format)) {
        *why = nvl_xstrdup("is damaged: it has no format number");
        return NVL_NODE_FILE_DAMAGED;
    }
    if (json_integer_value(format) == NVL_NODE_FILE_FORMAT)
        return NVL_NODE_FILE_GOOD;
    bool is_newer = json_integer_value(format) > NVL_NODE_FILE_FORMAT;
    *why = nvl_xasprintf("has the format %lld, of %s nvlxc", (long long)json_integer_value(format),
                         is_newer ? "a newer" : "an older");
    return is_newer ? NVL_NODE_FILE_NEWER : NVL_NODE_FILE_OLDER;
}

static enum nvl_node_file_state judge_node_file(const json_t *all, const char *node,
                                                struct nvl_node_file *file, char **why)
{
    enum nvl_node_file_state state = judge_format(all, why);

    if (state != NVL_NODE_FILE_GOOD)
        return state;
    const char *damage = take_all(all, node, file);
    if (damage == NULL)
        return NVL_NODE_FILE_GOOD;
    nvl_node_file_clear(file);
    *why = nvl_xstrdup(damage);
    return NVL_NODE_FILE_DAMAGED;
}

enum nvl_node_file_state nvl_node_file_parse(const char *text, size_t len, const char *node,
                                             struct nvl_node_file *file, char **why)
{
    *file = (struct nvl_node_file){0};
    *why = NULL;
    json_t *all = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    enum nvl_node_file_state state = judge_node_file(all, node, file, why);
    json_decref(all);
    return state;
}

/* While a node replaces its file, that is absent for some milliseconds, and another one beside it is not. */
static bool is_there_or_coming(const struct nvl_root *root, const char *folder)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(root, folder, &names);
    for (size_t i = 0; i < names.count; i++)
        if (nvl_has_prefix(names.items[i], NVL_NODE_FILE))
            return true;
    return false;
}

enum nvl_node_file_state nvl_node_file_read(const struct nvl_root *root, const char *node,
                                            struct nvl_node_file *file, char **why)
{
    nvl_autofree char *folder = nvl_xasprintf(NVL_NODES_DIR "/%s", node),
                      *path = nvl_xasprintf("%s/" NVL_NODE_FILE, folder), *text = NULL;
    size_t len;

    *file = (struct nvl_node_file){0};
    *why = NULL;
    nvl_autofd int fd = is_there_or_coming(root, folder)
                            ? nvl_root_open_listed(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
                            : -ENOENT;
    int r = fd < 0 ? fd : nvl_fd_read(fd, NVL_NODE_FILE_MAX, &text, &len);
    if (r == 0)
        return nvl_node_file_parse(text, len, node, file, why);
    if (r == -ENOENT) {
        *why = nvl_xstrdup("was never written");
        return NVL_NODE_FILE_ABSENT;
    }
    *why = r == -EFBIG   ? nvl_xasprintf("is damaged: it is larger than %u KiB", NVL_NODE_FILE_MAX >> 10)
           : r == -ELOOP ? nvl_xstrdup("is damaged: it is a link")
                         : nvl_xasprintf("cannot be read: %s", strerror(-nvl_root_note(root, path, r)));
    return r == -EFBIG || r == -ELOOP ? NVL_NODE_FILE_DAMAGED : NVL_NODE_FILE_UNREADABLE;
}

bool nvl_node_file_is_same(const struct nvl_node_file *a, const struct nvl_node_file *b)
{
    struct nvl_node_file x = *a, y = *b;

    x.when[0] = y.when[0] = '\0';
    nvl_autofree char *one = nvl_node_file_format(&x), *other = nvl_node_file_format(&y);
    return strcmp(one, other) == 0;
}

void nvl_node_file_clear(struct nvl_node_file *file)
{
    nvl_gpus_clear(&file->gpus);
    *file = (struct nvl_node_file){0};
}
