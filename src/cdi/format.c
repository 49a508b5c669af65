/* Specifications of the Container Device Interface, with jansson. */
#include "cdi/format.h"

#include <jansson.h>

#include "base/paths.h"

#define CDI_VERSION "0.5.0"

struct nvl_cdi_edits *nvl_cdi_add(struct nvl_cdi *cdi, const char *name)
{
    struct nvl_cdi_device *device = NVL_APPEND(cdi->devices, cdi->n_devices);

    device->name = nvl_xstrdup(name);
    return &device->edits;
}

void nvl_cdi_bind(struct nvl_cdi_edits *edits, const char *source, const char *target)
{
    nvl_strv_push(&edits->sources, source);
    nvl_strv_push(&edits->targets, target);
}

static void edits_clear(struct nvl_cdi_edits *edits)
{
    nvl_strv_clear(&edits->env);
    nvl_strv_clear(&edits->nodes);
    nvl_strv_clear(&edits->sources);
    nvl_strv_clear(&edits->targets);
}

void nvl_cdi_clear(struct nvl_cdi *cdi)
{
    for (size_t i = 0; i < cdi->n_devices; i++) {
        free(cdi->devices[i].name);
        edits_clear(&cdi->devices[i].edits);
    }
    free(cdi->devices);
    edits_clear(&cdi->edits);
    *cdi = (struct nvl_cdi){0};
}

/* Leaves out what is empty. */
static json_t *json_edits(const struct nvl_cdi_edits *edits)
{
    json_t *object = json_object(), *env = json_array(), *nodes = json_array(), *mounts = json_array();

    for (size_t i = 0; i < edits->env.count; i++)
        json_array_append_new(env, json_string(edits->env.items[i]));
    for (size_t i = 0; i < edits->nodes.count; i++)
        json_array_append_new(nodes, json_pack("{s:s}", "path", edits->nodes.items[i]));
    for (size_t i = 0; i < edits->sources.count; i++)
        json_array_append_new(
            mounts, json_pack("{s:s, s:s, s:[s,s,s,s]}", "hostPath", edits->sources.items[i], "containerPath",
                              edits->targets.items[i], "options", "ro", "nosuid", "nodev", "bind"));
    const struct {
        const char *name;
        json_t *array;
    } parts[] = {{"env", env}, {"deviceNodes", nodes}, {"mounts", mounts}};
    for (size_t i = 0; i < NVL_LENGTH(parts); i++)
        if (json_array_size(parts[i].array) > 0)
            json_object_set_new(object, parts[i].name, parts[i].array);
        else
            json_decref(parts[i].array);
    return object;
}

char *nvl_cdi_text(const struct nvl_cdi *cdi)
{
    json_t *devices = json_array();

    for (size_t i = 0; i < cdi->n_devices; i++)
        json_array_append_new(devices, json_pack("{s:s, s:o}", "name", cdi->devices[i].name, "containerEdits",
                                                 json_edits(&cdi->devices[i].edits)));
    json_t *all = json_pack("{s:s, s:s, s:o, s:o}", "cdiVersion", CDI_VERSION, "kind", NVL_CDI_KIND,
                            "devices", devices, "containerEdits", json_edits(&cdi->edits));
    char *text = all != NULL ? json_dumps(all, JSON_INDENT(2)) : NULL;
    json_decref(all);
    if (text == NULL)
        nvl_out_of_memory();
    nvl_autofree char *without_newline = text;
    return nvl_xasprintf("%s\n", without_newline);
}

static bool binds_bundle(const json_t *mounts)
{
    const json_t *first = json_array_get(mounts, 0);
    const char *source = json_string_value(json_object_get(first, "hostPath"));
    const char *target = json_string_value(json_object_get(first, "containerPath"));

    return source != NULL && target != NULL && nvl_has_prefix(source, NVL_BUNDLE_DIR "/") &&
           strcmp(target, NVL_MOUNT_POINT) == 0;
}

/* "NAME=value" in `env`. */
static const char *value_of(const json_t *env, const char *variable)
{
    size_t len = strlen(variable);

    for (size_t i = 0; i < json_array_size(env); i++) {
        const char *entry = json_string_value(json_array_get(env, i));
        if (entry != NULL && strncmp(entry, variable, len) == 0 && entry[len] == '=')
            return entry + len + 1;
    }
    return NULL;
}

char *nvl_cdi_read_own(const char *text, size_t len, const char *variable)
{
    json_t *all = json_loadb(text, len, 0, NULL);
    const json_t *edits = json_object_get(all, "containerEdits");
    const char *kind = json_string_value(json_object_get(all, "kind"));
    const char *value = value_of(json_object_get(edits, "env"), variable);
    bool is_own = kind != NULL && strcmp(kind, NVL_CDI_KIND) == 0 && value != NULL &&
                  binds_bundle(json_object_get(edits, "mounts"));
    char *found = is_own ? nvl_xstrdup(value) : NULL;

    json_decref(all);
    return found;
}
