/* What the settings of an effective config say: values, the grant, lines by hand. */
#include "container/settings.h"

#include "base/error.h"
#include "container/effective.h"
#include "container/grant_lines.h"
#include "container/instance.h"

const char *nvl_effective_get(const struct nvl_effective *effective, const char *key)
{
    for (size_t i = effective->count; i-- > 0;)
        if (strcmp(effective->items[i].key, key) == 0)
            return effective->items[i].value;
    return NULL;
}

const struct nvl_setting *nvl_effective_variable_setting(const struct nvl_effective *effective,
                                                         const char *key, const char *variable)
{
    size_t len = strlen(variable);

    for (size_t i = effective->count; i-- > 0;) {
        const struct nvl_setting *s = &effective->items[i];
        if (strcmp(s->key, key) == 0 && strncmp(s->value, variable, len) == 0 && s->value[len] == '=')
            return s;
    }
    return NULL;
}

const char *nvl_effective_variable(const struct nvl_effective *effective, const char *key,
                                   const char *variable)
{
    const struct nvl_setting *s = nvl_effective_variable_setting(effective, key, variable);

    return s != NULL ? s->value + strlen(variable) + 1 : NULL;
}

/* How the hook lines deliver the grant: the mount hook does the work, so its line counts. */
bool nvl_effective_delivery(const struct nvl_effective *e, struct nvl_delivery *delivery)
{
    bool has_hook = false, has_mount = false;

    for (size_t i = 0; i < e->count; i++) {
        const struct nvl_setting *s = &e->items[i];
        enum nvl_grant_slot slot = s->line != NULL ? nvl_grant_slot(s->key, s->value) : NVL_SLOT_NONE;
        struct nvl_delivery said;
        if ((slot != NVL_SLOT_MOUNT && slot != NVL_SLOT_PRE_START) || !nvl_hook_line_parse(s->value, &said))
            continue;
        if (slot == NVL_SLOT_MOUNT || !has_mount)
            *delivery = said;
        has_hook = true;
        has_mount = has_mount || slot == NVL_SLOT_MOUNT;
    }
    return has_hook;
}

static const char *variable(const struct nvl_effective *effective, const char *name)
{
    return nvl_effective_variable(effective, NVL_KEY_ENVIRONMENT, name);
}

int nvl_effective_grant(const struct nvl_effective *effective, struct nvl_grant *grant, struct nvl_error *err)
{
    struct nvl_delivery delivery = {0};

    *grant = (struct nvl_grant){0};
    if (!nvl_effective_delivery(effective, &delivery))
        return 0;
    int r = nvl_grant_parse(grant, variable(effective, NVL_ENV_DEVICES), variable(effective, NVL_ENV_GPUS),
                            variable(effective, NVL_ENV_CAPABILITIES), err);
    if (r < 0)
        return r;
    grant->delivery = delivery;
    return 1;
}

bool nvl_setting_mount(const struct nvl_setting *setting, struct nvl_mount_entry *entry)
{
    *entry = (struct nvl_mount_entry){0};
    return strcmp(setting->key, NVL_KEY_ENTRY) == 0 && nvl_mount_entry_parse(setting->value, entry);
}

bool nvl_setting_dev(const struct nvl_setting *setting, struct nvl_dev_entry *entry)
{
    *entry = (struct nvl_dev_entry){0};
    return nvl_dev_index(setting->key) >= 0 && nvl_dev_entry_parse(setting->value, entry);
}

bool nvl_setting_allows(const struct nvl_setting *setting)
{
    return strcmp(setting->key, NVL_KEY_ALLOW) == 0;
}

static int line_length(const struct nvl_config *config, const struct nvl_line *line)
{
    return (int)strcspn(config->text + line->start, "\r\n");
}

char *nvl_setting_text(const struct nvl_effective *effective, const struct nvl_setting *s)
{
    const struct nvl_config *config = effective->config;

    if (s->part != NULL)
        return nvl_xasprintf("%s (%s = %s)", s->file, s->key, s->value);
    if (s->line == NULL)
        return nvl_xasprintf("%s:%zu: %s = %s", s->file != NULL ? s->file : "Proxmox's own config", s->number,
                             s->key, s->value);
    return nvl_xasprintf("%s:%zu: %.*s", s->file, s->number, line_length(config, s->line),
                         config->text + s->line->start);
}

void nvl_effective_by_hand(const struct nvl_effective *effective, struct nvl_strv *lines)
{
    const struct nvl_config *config = effective->config;

    for (size_t i = 0; i < effective->count; i++) {
        const struct nvl_setting *s = &effective->items[i];
        if (s->owner != NVL_OWNER_BY_HAND)
            continue;
        if (s->part != NULL)
            nvl_strv_push_once(lines, s->file);
        else if (s->line != NULL)
            nvl_strv_pushf(lines, "line %zu: %.*s", s->number, line_length(config, s->line),
                           config->text + s->line->start);
        else
            nvl_strv_pushf(lines, "%s:%zu: %s = %s", s->file, s->number, s->key, s->value);
    }
}

const struct nvl_setting *nvl_effective_foreign_file(const struct nvl_effective *effective)
{
    for (size_t i = 0; i < effective->count; i++)
        if (effective->items[i].owner == NVL_OWNER_BY_HAND && effective->items[i].line == NULL &&
            effective->items[i].part == NULL)
            return &effective->items[i];
    return NULL;
}

bool nvl_effective_parts_by_hand(const struct nvl_effective *effective, struct nvl_strv *sources,
                                 struct nvl_strv *removals)
{
    for (size_t i = 0; i < effective->count; i++) {
        const struct nvl_setting *s = &effective->items[i];
        if (s->owner != NVL_OWNER_BY_HAND || s->part == NULL)
            continue;
        nvl_strv_push_once(sources, s->file);
        nvl_strv_push_once(removals, s->part->removal);
    }
    return removals->count > 0;
}

char *nvl_setting_removal(const struct nvl_setting *s)
{
    return s->part != NULL ? nvl_xstrdup(s->part->removal)
                           : nvl_xasprintf("remove line %zu from %s", s->number, s->file);
}
