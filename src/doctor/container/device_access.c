/* Device rules as liblxc keeps them: an empty value removes those of its own key, `a` sets the answer for the
 * rest and forgets what came before it. Where no rule is left, no filter is attached. */
#include "doctor/container/device_access.h"

#include "doctor/container/shared.h"
#include "container/include.h"

#define KEY_DENY "lxc.cgroup2.devices.deny"

struct collecting {
    struct nvl_rules rules;
};

static void forget_rules(struct nvl_rules *rules, bool allows, bool both)
{
    size_t kept = 0;

    for (size_t i = 0; i < rules->count; i++) {
        if (both || rules->items[i].allows == allows)
            free(rules->items[i].value);
        else
            rules->items[kept++] = rules->items[i];
    }
    rules->count = kept;
}

/* Not NVL_APPEND: that takes the list's capacity from its count, which `forget` makes smaller. */
static void append_rule(struct nvl_rules *rules, bool allows, const char *value)
{
    rules->items = nvl_xrealloc(rules->items, rules->count + 1, sizeof *rules->items);
    rules->items[rules->count++] = (struct nvl_rule){.allows = allows, .value = nvl_xstrdup(value)};
}

static int take_key(void *context, const char *key, const char *value, struct nvl_error *err)
{
    struct collecting *c = context;
    bool allows = strcmp(key, NVL_KEY_ALLOW) == 0;

    (void)err;
    if (strcmp(key, "lxc.cgroup2") == 0 && value[0] == '\0')
        forget_rules(&c->rules, false, true);
    if (!allows && strcmp(key, KEY_DENY) != 0)
        return 0;
    if (value[0] == '\0') {
        forget_rules(&c->rules, allows, false);
    } else if (strcmp(value, "a") == 0) {
        forget_rules(&c->rules, false, true);
        c->rules.allows_rest = allows;
    } else {
        append_rule(&c->rules, allows, value);
    }
    return 0;
}

/* What Proxmox's generated config begins with (container/device_rules.c), and its rules for dev[n] entries.
 */
static void add_proxmox_rules(struct collecting *c, const struct nvl_config *config)
{
    static const char *const base[] = {"c *:* m",   "b *:* m",   "c 1:3 rwm",   "c 1:5 rwm",
                                       "c 1:7 rwm", "c 5:0 rwm", "c 5:1 rwm",   "c 5:2 rwm",
                                       "c 1:8 rwm", "c 1:9 rwm", "c 136:* rwm", "c 10:229 rwm"};

    if (nvl_config_is_unprivileged_ct(config) || nvl_config_get(config, "lxc.idmap") != NULL) {
        c->rules.allows_rest = true;
        append_rule(&c->rules, false, "c 5:1 rwm");
        return;
    }
    for (size_t i = 0; i < NVL_LENGTH(base); i++)
        append_rule(&c->rules, true, base[i]);
    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++) {
        nvl_auto(nvl_passthrough_clear) struct nvl_passthrough p = {0};
        if (!nvl_passthrough_parse(&config->lines[i], &p))
            continue;
        nvl_autofree char *rule = nvl_xasprintf("%s %s", p.path, p.denies_write ? "r" : "rw");
        append_rule(&c->rules, true, rule);
    }
}

int nvl_rules_read(const struct nvl_container_facts *facts, struct nvl_rules *rules)
{
    struct collecting c = {0};
    struct nvl_error ignored;

    *rules = (struct nvl_rules){.allows_rest = true};
    if (facts->container->user != NULL) /* liblxc makes filters for root alone */
        return 0;
    if (facts->container->kind == NVL_CONTAINER_PVE)
        add_proxmox_rules(&c, &facts->config);
    int r = nvl_config_walk(facts->host->root, &facts->config, NULL, take_key, &c, &ignored);
    if (r < 0) {
        nvl_rules_clear(&c.rules);
        return r;
    }
    *rules = c.rules;
    if (rules->count == 0)
        rules->allows_rest = true;
    return 0;
}

void nvl_rules_clear(struct nvl_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->items[i].value);
    free(rules->items);
    *rules = (struct nvl_rules){0};
}

/* One half of "195:*". */
static bool number_matches(const char *text, size_t len, int number)
{
    nvl_autofree char *word = nvl_xstrndup(text, len);
    uint64_t value;

    return strcmp(word, "*") == 0 ||
           (number >= 0 && nvl_parse_uint(word, 10, INT32_MAX, &value) == 0 && (int)value == number);
}

bool nvl_rule_matches(const char *value, const char *path, int major, int minor)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, value, " \t");
    if (words.count < 2)
        return false;
    const char *access = words.items[words.count - 1], *numbers = words.items[1];
    if (strchr(access, 'r') == NULL || strchr(access, 'w') == NULL)
        return false;
    if (words.items[0][0] == '/')
        return strcmp(words.items[0], path) == 0;
    const char *colon = strchr(numbers, ':');
    if (words.count != 3 || colon == NULL || (words.items[0][0] != 'c' && words.items[0][0] != 'a'))
        return false;
    return number_matches(numbers, (size_t)(colon - numbers), major) &&
           number_matches(colon + 1, strlen(colon + 1), minor);
}

bool nvl_rules_allow(const struct nvl_rules *rules, const char *path, int major, int minor)
{
    for (size_t i = rules->count; i-- > 0;)
        if (nvl_rule_matches(rules->items[i].value, path, major, minor))
            return rules->items[i].allows;
    return rules->allows_rest;
}

bool nvl_is_allow_rule(const struct nvl_line *line)
{
    return line->kind == NVL_LINE_KEY && line->section == 0 && strcmp(line->key, NVL_KEY_ALLOW) == 0;
}

int nvl_rule_major(const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    uint64_t number;

    nvl_strv_split(&words, value, " \t");
    if (words.count != 3 || strcmp(words.items[0], "c") != 0)
        return -1;
    words.items[1][strcspn(words.items[1], ":")] = '\0';
    return nvl_parse_uint(words.items[1], 10, 0xfff, &number) == 0 ? (int)number : -1;
}
