/* The lines that nvlxc writes, and the grant that they say. Which lines of a config are whose: owners.c. */
#include "container/grant_lines.h"

#include <errno.h>

#include "base/paths.h"

/* Without `required` the line starts the container also where nvlxc is not installed; with it, it must not.
 */
#define HOOK          "sh -c '[ ! -x " NVL_HOOK_PROGRAM " ] || exec " NVL_HOOK_PROGRAM " \"$@\"' nvlxc"
#define HOOK_REQUIRED NVL_HOOK_PROGRAM " --required"

#define KEY_ENVIRONMENT "lxc.environment"
#define KEY_PRE_START   "lxc.hook.pre-start"
#define KEY_MOUNT       "lxc.hook.mount"
#define KEY_ALLOW       "lxc.cgroup2.devices.allow"

static bool is_variable(const char *value, const char *variable)
{
    size_t len = strlen(variable);

    return strncmp(value, variable, len) == 0 && value[len] == '=';
}

static bool is_numbered(const char *path, const char *prefix)
{
    return nvl_has_prefix(path, prefix) && path[strlen(prefix)] >= '0' && path[strlen(prefix)] <= '9';
}

enum nvl_grant_slot nvl_grant_slot(const char *key, const char *value)
{
    bool is_hook = strcmp(value, HOOK) == 0 || strcmp(value, HOOK_REQUIRED) == 0;

    if (is_hook && strcmp(key, KEY_PRE_START) == 0)
        return NVL_SLOT_PRE_START;
    if (is_hook && strcmp(key, KEY_MOUNT) == 0)
        return NVL_SLOT_MOUNT;
    if (strcmp(key, KEY_ENVIRONMENT) == 0 && is_variable(value, NVL_ENV_DEVICES))
        return NVL_SLOT_DEVICES;
    if (strcmp(key, KEY_ENVIRONMENT) == 0 && is_variable(value, NVL_ENV_CAPABILITIES))
        return NVL_SLOT_CAPABILITIES;
    if (strcmp(key, KEY_ALLOW) != 0)
        return NVL_SLOT_NONE;
    if (nvl_has_prefix(value, "/dev/nvidia"))
        return NVL_SLOT_RULE;
    bool is_dri = is_numbered(value, "/dev/dri/card") || is_numbered(value, "/dev/dri/renderD");
    return is_dri ? NVL_SLOT_DRI_RULE : NVL_SLOT_NONE;
}

int nvl_config_grant(const struct nvl_config *config, struct nvl_grant *grant, struct nvl_error *err)
{
    bool has_hook = false, required = false;

    *grant = (struct nvl_grant){0};
    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind != NVL_LINE_KEY)
            continue;
        enum nvl_grant_slot slot = nvl_grant_slot(line->key, line->value);
        if (slot == NVL_SLOT_PRE_START || slot == NVL_SLOT_MOUNT) {
            has_hook = true;
            required = required || strcmp(line->value, HOOK_REQUIRED) == 0;
        }
    }
    if (!has_hook)
        return 0;
    int r = nvl_grant_parse(grant, nvl_config_environment(config, NVL_ENV_DEVICES),
                            nvl_config_environment(config, NVL_ENV_CAPABILITIES), err);
    if (r < 0)
        return r;
    grant->required = required;
    return 1;
}

static void add(struct nvl_grant_line_list *lines, const char *key, char *value)
{
    *NVL_APPEND(lines->items, lines->count) = (struct nvl_grant_line){.key = key, .value = value};
}

void nvl_grant_line_list_make(struct nvl_grant_line_list *lines, const struct nvl_grant *grant,
                              const struct nvl_strv *rules)
{
    const char *hook = grant->required ? HOOK_REQUIRED : HOOK;
    nvl_autofree char *devices = nvl_grant_devices(grant);
    nvl_autofree char *capabilities = nvl_capabilities_format(grant->capabilities);

    add(lines, KEY_ENVIRONMENT, nvl_xasprintf(NVL_ENV_DEVICES "=%s", devices));
    add(lines, KEY_ENVIRONMENT, nvl_xasprintf(NVL_ENV_CAPABILITIES "=%s", capabilities));
    add(lines, KEY_PRE_START, nvl_xstrdup(hook));
    add(lines, KEY_MOUNT, nvl_xstrdup(hook));
    for (size_t i = 0; rules != NULL && i < rules->count; i++)
        add(lines, KEY_ALLOW, nvl_xasprintf("%s rw", rules->items[i]));
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
    return nvl_xasprintf("%s%s%s", line->key, dialect == NVL_DIALECT_PVE ? ": " : " = ", line->value);
}

void nvl_grant_lines(enum nvl_dialect dialect, const struct nvl_grant *grant, const struct nvl_strv *rules,
                     struct nvl_strv *lines)
{
    nvl_auto(nvl_grant_line_list_clear) struct nvl_grant_line_list made = {0};

    nvl_grant_line_list_make(&made, grant, rules);
    for (size_t i = 0; i < made.count; i++) {
        nvl_autofree char *text = nvl_grant_line_text(dialect, &made.items[i]);
        nvl_strv_push(lines, text);
    }
}
