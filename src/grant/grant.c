/* The text form of a grant: reads and writes NVIDIA's two variables, and nvlxc's own. */
#include "grant/grant.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"
#include "host/pci_mappings.h"

/* In the order of writing. */
static const struct {
    const char *word;
    unsigned bit;
} words[] = {
    {"compute", NVL_CAP_COMPUTE},   {"utility", NVL_CAP_UTILITY}, {"video", NVL_CAP_VIDEO},
    {"graphics", NVL_CAP_GRAPHICS}, {"display", NVL_CAP_DISPLAY}, {"ngx", NVL_CAP_NGX},
    {"compat32", NVL_CAP_COMPAT32},
};

static int no_selector(const char *text, struct nvl_error *err)
{
    int r = nvl_error_usage(err, "'%.60s' does not name a GPU", text);

    nvl_error_hint(err, "give an index (0), a UUID (GPU-…), a PCI address (0000:01:00.0), a MIG device "
                        "(MIG-GPU-…/GI/CI or MIG-…), or 'all'; or what each start decides: 'any', "
                        "model:TEXT, mapping:NAME\nwhich there are: nvlxc gpus --wide");
    return r;
}

/* "GPU-UUID/GI/CI" after "MIG-". */
static bool parse_mig(const char *text, struct nvl_selector *selector)
{
    size_t gpu_len = strcspn(text, "/"),
           gi_len = text[gpu_len] != '\0' ? strcspn(text + gpu_len + 1, "/") : 0;
    nvl_autofree char *gpu = nvl_xstrndup(text, gpu_len), *instance = NULL;
    uint64_t gi, ci;

    if (!nvl_is_gpu_uuid(gpu) || gi_len == 0 || text[gpu_len + 1 + gi_len] == '\0')
        return false;
    instance = nvl_xstrndup(text + gpu_len + 1, gi_len);
    if (nvl_parse_uint(instance, 10, INT_MAX, &gi) < 0 ||
        nvl_parse_uint(text + gpu_len + gi_len + 2, 10, INT_MAX, &ci) < 0)
        return false;
    selector->kind = NVL_SELECT_MIG;
    nvl_copy(selector->gpu, sizeof selector->gpu, gpu, gpu_len);
    selector->gi = (unsigned)gi;
    selector->ci = (unsigned)ci;
    return true;
}

/* "MIG-" and a UUID. */
static bool is_mig_uuid(const char *text)
{
    char as_gpu[NVL_UUID_MAX] = "GPU-";

    return nvl_has_prefix(text, "MIG-") &&
           nvl_copy(as_gpu + 4, sizeof as_gpu - 4, text + 4, strlen(text + 4)) && nvl_is_gpu_uuid(as_gpu);
}

/* ---- open selectors ---- */

#define MAPPING "mapping:"
#define MODEL   "model:"

/* Characters that models have, and no config or shell gives another meaning between quotes. */
static bool is_model(const char *text)
{
    static const char signs[] = " -_./()+";
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr(signs, text[i]) == NULL)
            return false;
    return len > 0 && text[0] != ' ' && text[len - 1] != ' ';
}

static bool parse_open(const char *text, struct nvl_selector *selector)
{
    if (strcmp(text, "any") == 0)
        selector->kind = NVL_SELECT_ANY;
    else if (nvl_has_prefix(text, MAPPING) && nvl_is_pci_mapping_name(text + strlen(MAPPING)))
        selector->kind = NVL_SELECT_MAPPING;
    else if (nvl_has_prefix(text, MODEL) && is_model(text + strlen(MODEL)))
        selector->kind = NVL_SELECT_MODEL;
    else
        return false;
    return true;
}

bool nvl_selector_is_open(const struct nvl_selector *selector)
{
    return selector->kind == NVL_SELECT_MAPPING || selector->kind == NVL_SELECT_MODEL ||
           selector->kind == NVL_SELECT_ANY;
}

const char *nvl_selector_name(const struct nvl_selector *selector)
{
    return selector->text + (selector->kind == NVL_SELECT_MAPPING ? strlen(MAPPING)
                             : selector->kind == NVL_SELECT_MODEL ? strlen(MODEL)
                                                                  : strlen(selector->text));
}

/* ---- all selectors ---- */

int nvl_selector_parse(const char *text, struct nvl_selector *selector, struct nvl_error *err)
{
    uint64_t index;

    *selector = (struct nvl_selector){0};
    if (!nvl_copy(selector->text, sizeof selector->text, text, strlen(text)))
        return no_selector(text, err);
    if (parse_open(text, selector))
        return 0;
    if (nvl_parse_uint(text, 10, INT_MAX, &index) == 0) {
        selector->kind = NVL_SELECT_INDEX;
        selector->index = (unsigned)index;
    } else if (nvl_is_gpu_uuid(text)) {
        selector->kind = NVL_SELECT_UUID;
        nvl_copy(selector->gpu, sizeof selector->gpu, text, strlen(text));
    } else if (nvl_pci_normalise(text, selector->gpu)) {
        selector->kind = NVL_SELECT_PCI;
    } else if (is_mig_uuid(text)) {
        selector->kind = NVL_SELECT_MIG_UUID;
    } else if (!nvl_has_prefix(text, "MIG-") || !parse_mig(text + 4, selector)) {
        return no_selector(text, err);
    }
    return 0;
}

static bool is_same(const struct nvl_selector *a, const struct nvl_selector *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case NVL_SELECT_INDEX:
        return a->index == b->index;
    case NVL_SELECT_UUID:
    case NVL_SELECT_PCI:
        return strcasecmp(a->gpu, b->gpu) == 0;
    case NVL_SELECT_MIG:
        return strcasecmp(a->gpu, b->gpu) == 0 && a->gi == b->gi && a->ci == b->ci;
    case NVL_SELECT_MIG_UUID:
        return strcasecmp(a->text, b->text) == 0;
    case NVL_SELECT_MAPPING:
    case NVL_SELECT_MODEL:
    case NVL_SELECT_ANY:
        break; /* each gives one of its own */
    }
    return false;
}

static void add_selector(struct nvl_grant *grant, const struct nvl_selector *selector)
{
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (is_same(&grant->selectors[i], selector))
            return;
    *NVL_APPEND(grant->selectors, grant->n_selectors) = *selector;
}

/* Adds the selectors. NVIDIA's variable has no open ones. */
static int parse_selectors(struct nvl_grant *grant, const struct nvl_strv *items, bool may_be_open,
                           struct nvl_error *err)
{
    for (size_t i = 0; i < items->count; i++) {
        struct nvl_selector selector;
        int r = nvl_selector_parse(items->items[i], &selector, err);
        if (r == 0 && !may_be_open && nvl_selector_is_open(&selector))
            r = no_selector(items->items[i], err);
        if (r < 0)
            return r;
        add_selector(grant, &selector);
    }
    return nvl_grant_check_size(grant, err);
}

/* A list of selectors, or one of the words that stand for the whole variable. */
static int parse_devices(struct nvl_grant *grant, const char *text, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv items = {0};
    static const struct {
        const char *word;
        enum nvl_devices devices;
    } whole[] = {{"all", NVL_DEVICES_ALL}, {"none", NVL_DEVICES_NONE}, {"void", NVL_DEVICES_VOID}};

    nvl_strv_split(&items, text != NULL ? text : "", ",");
    grant->devices = items.count > 0 ? NVL_DEVICES_LIST : NVL_DEVICES_VOID;
    for (size_t w = 0; w < NVL_LENGTH(whole); w++) {
        if (!nvl_strv_contains(&items, whole[w].word))
            continue;
        if (items.count > 1)
            return nvl_error_usage(err, "'%s' cannot be combined with other GPUs in '%.200s'", whole[w].word,
                                   text);
        grant->devices = whole[w].devices;
        return 0;
    }
    return parse_selectors(grant, &items, false, err);
}

/* Only beside "void", which nvlxc writes with it. */
static int parse_gpus(struct nvl_grant *grant, const char *devices, const char *text, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv items = {0};

    if (devices == NULL || strcmp(devices, "void") != 0 || text == NULL)
        return 0;
    nvl_strv_split(&items, text, ",");
    if (items.count > 0)
        grant->devices = NVL_DEVICES_LIST;
    return parse_selectors(grant, &items, true, err);
}

int nvl_grant_check_size(const struct nvl_grant *grant, struct nvl_error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < grant->n_selectors; i++)
        n += nvl_selector_is_open(&grant->selectors[i]);
    return n > NVL_OPEN_MAX ? nvl_error_usage(err, "a grant cannot ask for more than %d GPUs", NVL_OPEN_MAX)
                            : 0;
}

bool nvl_grant_is_open(const struct nvl_grant *grant)
{
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (nvl_selector_is_open(&grant->selectors[i]))
            return true;
    return false;
}

static unsigned bit_of(const char *word)
{
    if (strcmp(word, "all") == 0)
        return NVL_CAP_ALL;
    for (size_t i = 0; i < NVL_LENGTH(words); i++)
        if (strcmp(word, words[i].word) == 0)
            return words[i].bit;
    return 0;
}

int nvl_capabilities_parse(const char *text, unsigned *capabilities, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv items = {0}, unknown = {0};
    unsigned bits = 0;

    nvl_strv_split(&items, text != NULL ? text : "", ",");
    for (size_t i = 0; i < items.count; i++) {
        unsigned bit = bit_of(items.items[i]);
        if (bit == 0)
            nvl_strv_push_once(&unknown, items.items[i]);
        bits |= bit;
    }
    if (unknown.count > 0) {
        nvl_autofree char *list = nvl_strv_join(&unknown, ", ");
        int r = nvl_error_usage(err, "unknown driver %s: %.200s",
                                unknown.count == 1 ? "capability" : "capabilities", list);
        nvl_error_hint(err, "valid are compute, utility, video, graphics, display, ngx, compat32, and all");
        return r;
    }
    *capabilities = bits != 0 ? bits : NVL_CAP_DEFAULT;
    return 0;
}

int nvl_grant_parse(struct nvl_grant *grant, const char *devices, const char *gpus, const char *capabilities,
                    struct nvl_error *err)
{
    *grant = (struct nvl_grant){0};
    const char *variable = NVL_ENV_DEVICES;
    int r = parse_devices(grant, devices, err);
    if (r == 0) {
        variable = NVL_ENV_GPUS;
        r = parse_gpus(grant, devices, gpus, err);
    }
    if (r == 0) {
        variable = NVL_ENV_CAPABILITIES;
        r = nvl_capabilities_parse(capabilities, &grant->capabilities, err);
    }
    if (r < 0) {
        nvl_error_prefix(err, "%s", variable);
        nvl_error_exit(err, NVL_EXIT_FAILED); /* a config is wrong, not the command line */
        nvl_grant_clear(grant);
    }
    return r;
}

char *nvl_grant_devices(const struct nvl_grant *grant)
{
    struct nvl_buf b = {0};

    switch (grant->devices) {
    case NVL_DEVICES_VOID:
        return nvl_xstrdup("void");
    case NVL_DEVICES_NONE:
        return nvl_xstrdup("none");
    case NVL_DEVICES_ALL:
        return nvl_xstrdup("all");
    case NVL_DEVICES_LIST:
        break;
    }
    for (size_t i = 0; i < grant->n_selectors; i++)
        nvl_buf_addf(&b, "%s%s", i > 0 ? "," : "", grant->selectors[i].text);
    return nvl_buf_take(&b);
}

char *nvl_grant_visible_devices(const struct nvl_grant *grant)
{
    return nvl_grant_is_open(grant) ? nvl_xstrdup("void") : nvl_grant_devices(grant);
}

char *nvl_grant_gpus(const struct nvl_grant *grant)
{
    return nvl_grant_is_open(grant) ? nvl_grant_devices(grant) : NULL;
}

char *nvl_capabilities_format(unsigned capabilities)
{
    struct nvl_buf b = {0};

    if ((capabilities & NVL_CAP_ALL) == NVL_CAP_ALL)
        return nvl_xstrdup("all");
    for (size_t i = 0; i < NVL_LENGTH(words); i++)
        if ((capabilities & words[i].bit) != 0)
            nvl_buf_addf(&b, "%s%s", b.len > 0 ? "," : "", words[i].word);
    return nvl_buf_take(&b);
}

void nvl_grant_clear(struct nvl_grant *grant)
{
    free(grant->selectors);
    *grant = (struct nvl_grant){0};
}
