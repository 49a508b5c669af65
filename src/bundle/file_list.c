/* NVIDIA's own list of the driver's files for containers, sandboxutils-filelist.json: drivers of 570 and
 * newer have it. An array of {"name": "libcuda.so.580.95.05", "type": "LIB", "category": ["cuda", …],
 * "optional": true}; a name occurs once for each set of categories. It is a help where the catalog has aged,
 * and is not relied on: what is not understood in it is skipped. Sources: as read by NVIDIA's own tools and
 * others'. */
#include "bundle/unlisted.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/root.h"
#include "bundle/catalog.h"
#include "grant/grant.h"
#include "host/userspace.h"

#define LIST_NAME "sandboxutils-filelist.json"
#define LIST_MAX  (1u << 20)
#define NAMES_MAX 20 /* in one line */

#define FIRST_BRANCH 560

static void drop_list_json(json_t **value)
{
    json_decref(*value);
}

/* 0 for those that containers have no use for: firmware, modprobe, what is unknown. */
static unsigned capability_of(const char *category)
{
    static const struct {
        const char *category;
        unsigned capability;
    } known[] = {
        {"cuda", NVL_CAP_COMPUTE},
        {"opencl", NVL_CAP_COMPUTE},
        {"nvml", NVL_CAP_UTILITY},
        {"utils", NVL_CAP_UTILITY},
        {"nvsandboxutils", NVL_CAP_UTILITY},
        {"video", NVL_CAP_VIDEO},
        {"vdpau", NVL_CAP_VIDEO},
        {"vulkan", NVL_CAP_GRAPHICS},
        {"egl", NVL_CAP_GRAPHICS},
        {"glx", NVL_CAP_GRAPHICS},
        {"gbm", NVL_CAP_GRAPHICS},
        {"optix", NVL_CAP_GRAPHICS},
        {"xdriver", NVL_CAP_DISPLAY},
        {"ngx", NVL_CAP_NGX},
        {"egl_headless", NVL_CAP_GRAPHICS},
        {"opengl", NVL_CAP_GRAPHICS},
    };

    for (size_t i = 0; i < NVL_LENGTH(known); i++)
        if (strcmp(known[i].category, category) == 0)
            return known[i].capability;
    return 0;
}

/* Of the first category that is known; a category may also be one word. */
static unsigned capability_of_entry(const json_t *entry)
{
    const json_t *category = json_object_get(entry, "category");
    unsigned capability = json_is_string(category) ? capability_of(json_string_value(category)) : 0;

    for (size_t i = 0; capability == 0 && i < json_array_size(category); i++) {
        const char *word = json_string_value(json_array_get(category, i));
        capability = word != NULL ? capability_of(word) : 0;
    }
    return capability;
}

static bool has_name(const struct nvl_manifest *m, const char *name)
{
    for (size_t i = 0; i < m->n_files; i++)
        if (strcmp(strrchr(m->files[i].path, '/') + 1, name) == 0)
            return true;
    return false;
}

/* Whether the list's name is one of the catalog's: then the catalog says what its absence means. */
static bool is_in_catalog(const char *name, const char *version)
{
    nvl_autofree char *suffix = nvl_xasprintf(".%s", version);
    size_t len = strlen(name) - (nvl_has_suffix(name, suffix) ? strlen(suffix) : 0);

    for (size_t i = 0; i < nvl_catalog_length; i++) {
        const char *slash = strrchr(nvl_catalog[i].name, '/'), *its = nvl_catalog[i].name;
        its = slash != NULL ? slash + 1 : its;
        if (strncmp(its, name, len) == 0 && (its[len] == '\0' || its[len] == '.'))
            return true;
    }
    return false;
}

/* A library of the driver's version that the bundle should have; files with other names may be called
 * anything on this host, or be of no use to a container. */
static bool is_missed(const struct nvl_search *s, const json_t *entry)
{
    const char *type = json_string_value(json_object_get(entry, "type"));
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *slash = name != NULL ? strrchr(name, '/') : NULL;

    if (name == NULL || type == NULL || strcmp(type, "LIB") != 0 ||
        json_is_true(json_object_get(entry, "optional")))
        return false;
    name = slash != NULL ? slash + 1 : name;
    const char *version = nvl_name_version(name);
    return version != NULL && strcmp(version, s->version) == 0 && nvl_has_prefix(name, "lib") &&
           name[strcspn(name, " \t\n\r\033")] == '\0' && !nvl_catalog_leaves_out(name) &&
           !is_in_catalog(name, version) && !has_name(s->chosen, name);
}

/* A host without a screen has no graphics at all, which is said in one line. */
static bool has_any_of(const struct nvl_search *s, unsigned capability)
{
    for (size_t i = 0; i < nvl_catalog_length; i++)
        if (nvl_catalog[i].capability == capability && s->absences[i] == NVL_PRESENT)
            return true;
    return false;
}

static void report_missed(const struct nvl_search *s, const json_t *list, unsigned capability,
                          struct nvl_missing *missing)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < json_array_size(list) && names.count < NAMES_MAX; i++) {
        const json_t *entry = json_array_get(list, i);
        if (is_missed(s, entry) && capability_of_entry(entry) == capability) {
            const char *name = json_string_value(json_object_get(entry, "name"));
            const char *slash = strrchr(name, '/');
            nvl_strv_push_once(&names, slash != NULL ? slash + 1 : name);
        }
    }
    if (names.count == 0 || !has_any_of(s, capability))
        return;
    nvl_autofree char *word = nvl_capabilities_format(capability);
    nvl_autofree char *joined = nvl_strv_join(&names, ", ");
    *NVL_APPEND(missing->items, missing->count) = (struct nvl_missing_files){
        .capability = capability,
        .text = nvl_xasprintf("%s: %s %s not installed, though the driver's own list of files names %s", word,
                              joined, names.count > 1 ? "are" : "is", names.count > 1 ? "them" : "it"),
    };
}

/* The array, or the first array in an object around it. NULL if the text is something else. */
static const json_t *find_list(json_t *json)
{
    const char *key;
    json_t *value;

    if (json_is_array(json))
        return json;
    json_object_foreach(json, key, value)
    {
        if (json_is_array(value))
            return value;
    }
    return NULL;
}

static json_t *load_list(const struct nvl_search *s)
{
    static const char *const tails[] = {"nvidia/files.d/" LIST_NAME, "nvidia/" LIST_NAME};
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};
    json_t *json = NULL;

    for (size_t i = 0; i < s->us->n_dirs; i++)
        if (nvl_search_counts(s, i, NVL_ELF_64) && nvl_strv_sorted_contains(&s->us->dirs[i].names, LIST_NAME))
            nvl_strv_pushf(&paths, "%s/" LIST_NAME, s->us->dirs[i].path);
    for (size_t i = 0; i < s->data.count && strtoul(s->version, NULL, 10) >= FIRST_BRANCH; i++)
        for (size_t n = 0; n < NVL_LENGTH(tails) && nvl_has_suffix(s->data.items[i], "/share"); n++)
            nvl_strv_pushf(&paths, "%s/%s", s->data.items[i], tails[n]);
    for (size_t i = 0; i < paths.count && json == NULL; i++) {
        nvl_autofree char *text = NULL;
        size_t len;
        if (nvl_root_read(s->root, paths.items[i], LIST_MAX, &text, &len) == 0)
            json = json_loadb(text, len, 0, NULL);
    }
    return json;
}

void nvl_compare_file_list(struct nvl_search *s, struct nvl_missing *missing)
{
    json_t nvl_auto(drop_list_json) *json = load_list(s);
    const json_t *list = json != NULL ? find_list(json) : NULL;

    for (unsigned bit = 1; list != NULL && bit <= NVL_CAP_ALL; bit <<= 1)
        report_missed(s, list, bit, missing);
}
