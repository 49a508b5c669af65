/* The lines that nvlxc writes, and the grant that they express. ownership.c decides which lines of a config
 * are whose. */
#include "container/grant_lines.h"

#include <errno.h>

#include "base/paths.h"
#include "container/entry.h"
#include "container/foreign.h"
#include "container/keys.h"
#include "host/node.h"

/* Without `required` the line starts the container even if nvlxc is not installed; with it, it must not.
 * liblxc has a shell run "exec VALUE NAME lxc TYPE", and `exec` with nothing but a redirection goes on in
 * that shell: the guard takes no process of its own. Lines of before, which had one, are known. */
#define HOOK_GUARDED  "</dev/null; [ ! -x " NVL_HOOK_PROGRAM " ] || exec " NVL_HOOK_PROGRAM
#define HOOK_EARLIER  "sh -c '[ ! -x " NVL_HOOK_PROGRAM " ] || exec " NVL_HOOK_PROGRAM " \"$@\"' nvlxc"
#define HOOK_REQUIRED NVL_HOOK_PROGRAM

#define KEY_DEV "dev"

/* Spelled out, unlike what people write: the node of another vendor's GPU must not pass for nvlxc's. */
#define DEV_OPTIONS     ",mode=0666"
#define DRI_DEV_OPTIONS DEV_OPTIONS ",uid=0,gid=0"
#define DRI_GID_OPTIONS ",mode=0660,uid=0,gid=%u" /* for the container's group, if that is known */

/* ---- values ---- */

static char *hook_line(const char *form, const struct nvl_delivery *delivery)
{
    nvl_autofree char *arguments = nvl_delivery_arguments(delivery);

    return nvl_xasprintf("%s%s%s", form, arguments[0] != '\0' ? " " : "", arguments);
}

static char *hook_value(const struct nvl_delivery *delivery)
{
    return hook_line(delivery->required ? HOOK_REQUIRED : HOOK_GUARDED, delivery);
}

/* "/dev/nvidia0 dev/nvidia0 none bind,…": the same path in the container, relative. */
static char *entry_value(const char *source, const char *target, const char *options)
{
    return nvl_xasprintf("%s %s none %s", source, target + 1, options);
}

static char *node_entry(const char *path)
{
    return entry_value(path, path, "bind,optional,create=file");
}

static char *folder_entry(const char *path)
{
    return entry_value(path, path, "ro,bind,optional,create=dir");
}

/* A daemon's folder or socket, or a node: writable, and left out where the host does not have it. */
static char *with_entry(const struct nvl_with_place *place)
{
    return entry_value(place->path, place->path,
                       place->is_folder ? "bind,optional,create=dir" : "bind,optional,create=file");
}

static char *dri_dev(const char *path, unsigned gid)
{
    return gid > 0 ? nvl_xasprintf("%s" DRI_GID_OPTIONS, path, gid)
                   : nvl_xasprintf("%s" DRI_DEV_OPTIONS, path);
}

static char *smi_entry(void)
{
    return entry_value(NVL_HOST_SMI, NVL_CONTAINER_SMI, "ro,bind,optional,create=file");
}

/* ---- reading ---- */

bool nvl_hook_line_parse(const char *value, struct nvl_delivery *delivery)
{
    static const char *const forms[] = {HOOK_GUARDED, HOOK_EARLIER, HOOK_REQUIRED};
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    const char *form = NULL;

    *delivery = (struct nvl_delivery){0};
    for (size_t i = 0; form == NULL && i < NVL_LENGTH(forms); i++)
        form = nvl_has_prefix(value, forms[i]) ? forms[i] : NULL;
    if (form == NULL)
        return false;
    nvl_strv_split(&words, value + strlen(form), " ");
    for (size_t i = 0; i < words.count; i++)
        if (!nvl_delivery_take_argument(delivery, words.items[i]))
            return false;
    nvl_autofree char *exact = hook_line(form, delivery);
    return strcmp(value, exact) == 0 && delivery->required == (strcmp(form, HOOK_REQUIRED) == 0);
}

static bool is_variable(const char *value, const char *variable)
{
    size_t len = strlen(variable);

    return strncmp(value, variable, len) == 0 && value[len] == '=';
}

static bool is_numbered(const char *path, const char *prefix)
{
    return nvl_has_prefix(path, prefix) && path[strlen(prefix)] >= '0' && path[strlen(prefix)] <= '9';
}

static bool is_dri(const char *path)
{
    return is_numbered(path, "/dev/dri/card") || is_numbered(path, "/dev/dri/renderD");
}

/* Most mount entries of a config are about something else: this takes no memory for them. */
static bool may_be_entry(const char *value)
{
    static const char *const ends[] = {"bind,optional,create=file", "bind,optional,create=dir"};

    return value[0] == '/' && (nvl_has_suffix(value, ends[0]) || nvl_has_suffix(value, ends[1]));
}

static bool is_exactly(const char *value, char *form)
{
    nvl_autofree char *own = form;

    return strcmp(value, own) == 0;
}

static enum nvl_grant_slot entry_slot(const char *value)
{
    struct nvl_with_place place;

    if (!may_be_entry(value))
        return NVL_SLOT_NONE;
    nvl_autofree char *source = nvl_xstrndup(value, strcspn(value, " \t"));
    if (strcmp(source, NVL_HOST_SMI) == 0)
        return is_exactly(value, smi_entry()) ? NVL_SLOT_LIBRARY : NVL_SLOT_NONE;
    if (nvl_with_find(source, &place))
        return is_exactly(value, with_entry(&place)) ? NVL_SLOT_WITH_ENTRY : NVL_SLOT_NONE;
    if (nvl_node_is_nvidias(source))
        return is_exactly(value, node_entry(source)) ? NVL_SLOT_ENTRY : NVL_SLOT_NONE;
    if (is_dri(source))
        return is_exactly(value, node_entry(source)) ? NVL_SLOT_DRI_ENTRY : NVL_SLOT_NONE;
    return nvl_is_library_folder(source) && is_exactly(value, folder_entry(source)) ? NVL_SLOT_LIBRARY
                                                                                    : NVL_SLOT_NONE;
}

/* An NVIDIA node counts whatever else the entry says: the web interface may have changed its mode. */
static enum nvl_grant_slot dev_slot(const char *value)
{
    nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry entry = {0};

    if (!nvl_dev_entry_parse(value, &entry))
        return NVL_SLOT_NONE;
    if (nvl_node_is_nvidias(entry.path))
        return NVL_SLOT_DEV;
    nvl_autofree char *exact = dri_dev(entry.path, entry.gid);
    return is_dri(entry.path) && strcmp(value, exact) == 0 ? NVL_SLOT_DRI_DEV : NVL_SLOT_NONE;
}

static enum nvl_grant_slot rule_slot(const char *value)
{
    nvl_autofree char *path = nvl_xstrndup(value, strcspn(value, " \t"));
    struct nvl_with_place place;

    return nvl_node_is_nvidias(path)                      ? NVL_SLOT_RULE
           : is_dri(value)                                ? NVL_SLOT_DRI_RULE
           : nvl_with_find(path, &place) && place.is_node ? NVL_SLOT_WITH_RULE
                                                          : NVL_SLOT_NONE;
}

enum nvl_grant_slot nvl_grant_slot(const char *key, const char *value)
{
    struct nvl_delivery said;
    bool is_pre_start = strcmp(key, NVL_KEY_PRE_START) == 0;

    if (is_pre_start || strcmp(key, NVL_KEY_MOUNT) == 0)
        return !nvl_hook_line_parse(value, &said) ? NVL_SLOT_NONE
               : is_pre_start                     ? NVL_SLOT_PRE_START
                                                  : NVL_SLOT_MOUNT;
    if (strcmp(key, NVL_KEY_ENVIRONMENT) == 0)
        return is_variable(value, NVL_ENV_DEVICES)        ? NVL_SLOT_DEVICES
               : is_variable(value, NVL_ENV_GPUS)         ? NVL_SLOT_GPUS
               : is_variable(value, NVL_ENV_CAPABILITIES) ? NVL_SLOT_CAPABILITIES
                                                          : NVL_SLOT_NONE;
    if (strcmp(key, NVL_KEY_ENTRY) == 0)
        return entry_slot(value);
    if (nvl_dev_index(key) >= 0)
        return dev_slot(value);
    return strcmp(key, NVL_KEY_ALLOW) == 0 ? rule_slot(value) : NVL_SLOT_NONE;
}

enum nvl_grant_slot nvl_line_slot(const struct nvl_line *line)
{
    return line->kind == NVL_LINE_KEY ? nvl_grant_slot(line->key, line->value) : NVL_SLOT_NONE;
}

bool nvl_slot_needs_company(enum nvl_grant_slot slot)
{
    return slot == NVL_SLOT_LIBRARY || slot == NVL_SLOT_DRI_ENTRY || slot == NVL_SLOT_DRI_RULE ||
           slot == NVL_SLOT_WITH_ENTRY || slot == NVL_SLOT_WITH_RULE;
}

/* ---- writing ---- */

static void add(struct nvl_grant_line_list *lines, enum nvl_grant_slot slot, const char *key, char *value)
{
    *NVL_APPEND(lines->items, lines->count) =
        (struct nvl_grant_line){.slot = slot, .key = key, .index = -1, .value = value};
}

/* Lines that need company stand directly above the mount hook. */
static void add_company(struct nvl_grant_line_list *lines, const struct nvl_grant *grant,
                        const struct nvl_grant_places *places)
{
    for (size_t i = 0; i < places->libraries.count; i++)
        add(lines, NVL_SLOT_LIBRARY, NVL_KEY_ENTRY, folder_entry(places->libraries.items[i]));
    if (places->has_smi)
        add(lines, NVL_SLOT_LIBRARY, NVL_KEY_ENTRY, smi_entry());
    for (size_t i = 0; grant->delivery.nodes == NVL_NODES_STATIC && i < places->nodes.count; i++)
        if (is_dri(places->nodes.items[i]))
            add(lines, NVL_SLOT_DRI_ENTRY, NVL_KEY_ENTRY, node_entry(places->nodes.items[i]));
    for (size_t i = 0; i < places->rules.count; i++)
        if (is_dri(places->rules.items[i]))
            add(lines, NVL_SLOT_DRI_RULE, NVL_KEY_ALLOW, nvl_xasprintf("%s rw", places->rules.items[i]));
    for (enum nvl_with with = NVL_WITH_MPS; with <= NVL_WITH_IMEX; with <<= 1) {
        struct nvl_with_place place;
        if (!nvl_with_place(&grant->delivery, with, &place))
            continue;
        add(lines, NVL_SLOT_WITH_ENTRY, NVL_KEY_ENTRY, with_entry(&place));
        if (place.is_node && places->needs_rules)
            add(lines, NVL_SLOT_WITH_RULE, NVL_KEY_ALLOW, nvl_xasprintf("%s rw", place.path));
    }
}

static void add_devs(struct nvl_grant_line_list *lines, const struct nvl_grant_places *places)
{
    for (size_t i = 0; i < places->nodes.count; i++) {
        const char *path = places->nodes.items[i];
        if (is_dri(path))
            add(lines, NVL_SLOT_DRI_DEV, KEY_DEV,
                dri_dev(path, nvl_has_prefix(path, "/dev/dri/card") ? places->video : places->render));
        else
            add(lines, NVL_SLOT_DEV, KEY_DEV, nvl_xasprintf("%s" DEV_OPTIONS, path));
        lines->items[lines->count - 1].index = (int)i;
    }
}

static void add_nodes(struct nvl_grant_line_list *lines, const struct nvl_grant *grant,
                      const struct nvl_grant_places *places)
{
    for (size_t i = 0; i < places->rules.count; i++)
        if (!is_dri(places->rules.items[i]))
            add(lines, NVL_SLOT_RULE, NVL_KEY_ALLOW, nvl_xasprintf("%s rw", places->rules.items[i]));
    for (size_t i = 0; grant->delivery.nodes == NVL_NODES_STATIC && i < places->nodes.count; i++)
        if (!is_dri(places->nodes.items[i]))
            add(lines, NVL_SLOT_ENTRY, NVL_KEY_ENTRY, node_entry(places->nodes.items[i]));
    if (grant->delivery.nodes == NVL_NODES_DEV)
        add_devs(lines, places);
}

void nvl_grant_line_list_make(struct nvl_grant_line_list *lines, const struct nvl_grant *grant,
                              const struct nvl_grant_places *places)
{
    const struct nvl_grant_places none = {0};
    nvl_autofree char *devices = nvl_grant_visible_devices(grant), *gpus = nvl_grant_gpus(grant);
    nvl_autofree char *capabilities = nvl_capabilities_format(grant->capabilities);

    if (places == NULL)
        places = &none;
    add(lines, NVL_SLOT_DEVICES, NVL_KEY_ENVIRONMENT, nvl_xasprintf(NVL_ENV_DEVICES "=%s", devices));
    if (gpus != NULL)
        add(lines, NVL_SLOT_GPUS, NVL_KEY_ENVIRONMENT, nvl_xasprintf(NVL_ENV_GPUS "=%s", gpus));
    add(lines, NVL_SLOT_CAPABILITIES, NVL_KEY_ENVIRONMENT,
        nvl_xasprintf(NVL_ENV_CAPABILITIES "=%s", capabilities));
    add(lines, NVL_SLOT_PRE_START, NVL_KEY_PRE_START, hook_value(&grant->delivery));
    add_company(lines, grant, places);
    add(lines, NVL_SLOT_MOUNT, NVL_KEY_MOUNT, hook_value(&grant->delivery));
    add_nodes(lines, grant, places);
}

void nvl_grant_line_list_clear(struct nvl_grant_line_list *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->items[i].value);
    free(lines->items);
    *lines = (struct nvl_grant_line_list){0};
}

char *nvl_grant_line_text(enum nvl_dialect dialect, const struct nvl_grant_line *line)
{
    const char *separator = dialect == NVL_DIALECT_PVE ? ": " : " = ";

    if (line->index >= 0)
        return nvl_xasprintf("%s%d%s%s", line->key, line->index, separator, line->value);
    return nvl_xasprintf("%s%s%s", line->key, separator, line->value);
}

void nvl_grant_places_clear(struct nvl_grant_places *places)
{
    nvl_strv_clear(&places->nodes);
    nvl_strv_clear(&places->rules);
    nvl_strv_clear(&places->libraries);
    *places = (struct nvl_grant_places){0};
}

void nvl_grant_lines(enum nvl_dialect dialect, const struct nvl_grant *grant,
                     const struct nvl_grant_places *places, struct nvl_strv *lines)
{
    nvl_auto(nvl_grant_line_list_clear) struct nvl_grant_line_list made = {0};

    nvl_grant_line_list_make(&made, grant, places);
    for (size_t i = 0; i < made.count; i++) {
        nvl_autofree char *text = nvl_grant_line_text(dialect, &made.items[i]);
        nvl_strv_push(lines, text);
    }
}
