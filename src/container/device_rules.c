/* What liblxc makes of the device rules (cgroups/cgfsng.c, conf.c). Loading keeps them as lists, in which an
 * empty value removes the rules of its own key: that happens when the config is read. At a start, liblxc goes
 * through them: a bare `a` sets the answer for the rest and drops all rules before it, any other rule stays.
 * If no rule is left, it attaches no filter, whatever that answer is. */
#include "container/device_rules.h"

#include "container/container.h"
#include "container/entry.h"
#include "container/idmap.h"

static void forget_rules(struct nvl_device_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->items[i].value);
    free(rules->items);
    rules->items = NULL;
    rules->count = 0;
}

static void take_rule(struct nvl_device_rules *rules, bool allows, const char *value)
{
    if (strcmp(value, "a") == 0) {
        forget_rules(rules);
        rules->allows_rest = allows;
        return;
    }
    *NVL_APPEND(rules->items, rules->count) =
        (struct nvl_device_rule){.allows = allows, .value = nvl_xstrdup(value)};
}

/* Proxmox makes a rule for each dev[n] entry of a privileged CT, before the raw lines. */
static void take_dev_entries(struct nvl_device_rules *rules, const struct nvl_effective *effective,
                             bool without_ours)
{
    for (size_t i = 0; i < effective->count; i++) {
        const struct nvl_setting *s = &effective->items[i];
        nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry entry = {0};
        if (nvl_dev_index(s->key) < 0 || (without_ours && s->owner == NVL_OWNER_NVLXC) ||
            !nvl_dev_entry_parse(s->value, &entry))
            continue;
        nvl_autofree char *rule = nvl_xasprintf("%s %s", entry.path, entry.denies_write ? "r" : "rw");
        take_rule(rules, true, rule);
    }
}

/* Adds the rules that Proxmox itself writes, or those of the config. */
static void take_settings(struct nvl_device_rules *rules, const struct nvl_effective *effective,
                          bool proxmoxs, bool without_ours)
{
    for (size_t i = 0; i < effective->count; i++) {
        const struct nvl_setting *s = &effective->items[i];
        bool allows = strcmp(s->key, NVL_KEY_ALLOW) == 0;
        if ((allows || strcmp(s->key, NVL_KEY_DENY) == 0) && (s->file == NULL) == proxmoxs &&
            (!without_ours || s->owner != NVL_OWNER_NVLXC))
            take_rule(rules, allows, s->value);
    }
}

void nvl_device_rules_read(const struct nvl_container *c, const struct nvl_effective *effective,
                           bool without_ours, struct nvl_device_rules *rules)
{
    *rules = (struct nvl_device_rules){0};
    if (c->user == NULL) {
        take_settings(rules, effective, true, without_ours);
        if (effective->config->dialect == NVL_DIALECT_PVE && !rules->allows_rest)
            take_dev_entries(rules, effective, without_ours);
        take_settings(rules, effective, false, without_ours);
    }
    if (rules->count == 0)
        rules->allows_rest = true;
}

void nvl_device_rules_clear(struct nvl_device_rules *rules)
{
    forget_rules(rules);
    *rules = (struct nvl_device_rules){0};
}

enum nvl_device_filter nvl_device_filter(const struct nvl_container *c, const struct nvl_effective *effective)
{
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};

    nvl_device_rules_read(c, effective, true, &rules);
    return rules.count == 0 ? NVL_FILTER_NONE : rules.allows_rest ? NVL_FILTER_DENY : NVL_FILTER_ALLOW;
}

/* ---- one rule ---- */

/* One half of "195:*". */
static bool number_matches(const char *text, size_t len, int number)
{
    nvl_autofree char *word = nvl_xstrndup(text, len);
    uint64_t value;

    return strcmp(word, "*") == 0 ||
           (number >= 0 && nvl_parse_uint(word, 10, INT32_MAX, &value) == 0 && (int)value == number);
}

/* liblxc takes three letters at most, and ignores what follows them. */
static bool reads_and_writes(const char *access)
{
    size_t len = strspn(access, "rwm");

    len = len < 3 ? len : 3;
    return memchr(access, 'r', len) != NULL && memchr(access, 'w', len) != NULL;
}

bool nvl_device_rule_matches(const char *value, const char *path, int major, int minor)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, value, " \t");
    if (words.count >= 2 && words.items[0][0] == '/')
        return reads_and_writes(words.items[1]) && strcmp(words.items[0], path) == 0;
    const char *colon = words.count >= 3 ? strchr(words.items[1], ':') : NULL;
    if (colon == NULL || (words.items[0][0] != 'c' && words.items[0][0] != 'a') ||
        !reads_and_writes(words.items[2]))
        return false;
    return number_matches(words.items[1], (size_t)(colon - words.items[1]), major) &&
           number_matches(colon + 1, strlen(colon + 1), minor);
}

bool nvl_device_rules_allow(const struct nvl_device_rules *rules, const char *path, int major, int minor)
{
    for (size_t i = rules->count; i-- > 0;)
        if (nvl_device_rule_matches(rules->items[i].value, path, major, minor))
            return rules->items[i].allows;
    return rules->allows_rest;
}

int nvl_device_rule_major(const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    uint64_t number;

    nvl_strv_split(&words, value, " \t");
    if (words.count < 3 || strcmp(words.items[0], "c") != 0)
        return -1;
    words.items[1][strcspn(words.items[1], ":")] = '\0';
    return nvl_parse_uint(words.items[1], 10, 0xfff, &number) == 0 ? (int)number : -1;
}
