/* What liblxc makes of the device rules. Loading keeps them as a list, in which an empty value removes the
 * rules of its own key; starting then goes through the list: `a` alone sets the default answer and forgets
 * all before it, any other rule stays. Without a rule left, no filter is attached, whatever the default. */
#include "container/device_rules.h"

#include "container/grant_lines.h"
#include "container/idmap.h"
#include "container/include.h"

/* Both keys' rules share one order, so each rule has its number; of a key's list only three things matter. */
struct rules {
    size_t last_global; /* number of the last `a`, 0 for none */
    size_t last_other;  /* number of the last rule of another kind, 0 for none */
};

struct rule_lists {
    size_t n; /* rules seen */
    struct rules allow, deny;
};

static int take_rule(void *context, const char *key, const char *value, struct nvl_error *err)
{
    struct rule_lists *lists = context;
    struct rules *rules = strcmp(key, "lxc.cgroup2.devices.allow") == 0  ? &lists->allow
                          : strcmp(key, "lxc.cgroup2.devices.deny") == 0 ? &lists->deny
                                                                         : NULL;

    (void)err;
    if (strcmp(key, "lxc.cgroup2") == 0 && value[0] == '\0')
        lists->allow = lists->deny = (struct rules){0};
    if (rules == NULL)
        return 0;
    if (value[0] == '\0')
        *rules = (struct rules){0};
    else if (strcmp(value, "a") == 0)
        rules->last_global = ++lists->n;
    else
        rules->last_other = ++lists->n;
    return 0;
}

static enum nvl_device_filter evaluate(const struct rule_lists *lists)
{
    size_t allow_all = lists->allow.last_global, deny_all = lists->deny.last_global;
    size_t last_global = allow_all > deny_all ? allow_all : deny_all;

    if (allow_all > deny_all)
        return NVL_FILTER_DENY;
    return lists->allow.last_other > last_global || lists->deny.last_other > last_global ? NVL_FILTER_ALLOW
                                                                                         : NVL_FILTER_NONE;
}

/* The includes that Proxmox writes before a CT's raw lines: its common.conf denies all but the base devices,
 * its userns.conf clears that and allows all but the console. A CT with an idmap of its own counts as
 * unprivileged. */
static void begin_as_proxmox(struct rule_lists *lists, const struct nvl_config *config)
{
    if (nvl_config_is_unprivileged_ct(config) || nvl_config_get(config, "lxc.idmap") != NULL) {
        take_rule(lists, "lxc.cgroup2.devices.allow", "a", NULL);
        take_rule(lists, "lxc.cgroup2.devices.deny", "c 5:1 rwm", NULL);
    } else {
        take_rule(lists, "lxc.cgroup2.devices.deny", "a", NULL);
        take_rule(lists, "lxc.cgroup2.devices.allow", "c 1:3 rwm", NULL);
    }
}

int nvl_device_filter(const struct nvl_root *root, const struct nvl_container *c,
                      const struct nvl_config *config, enum nvl_device_filter *filter, struct nvl_error *err)
{
    struct rule_lists lists = {0};

    *filter = NVL_FILTER_NONE;
    if (c->user != NULL)
        return 0;
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(config);
    nvl_autofree bool *skip = nvl_xcalloc(config->n_lines + 1, sizeof *skip);
    for (size_t i = 0; i < config->n_lines; i++)
        skip[i] = owners[i] == NVL_OWNER_NVLXC;
    if (c->kind == NVL_CONTAINER_PVE)
        begin_as_proxmox(&lists, config);
    int r = nvl_config_walk(root, config, skip, take_rule, &lists, err);
    if (r < 0)
        return nvl_error_prefix(err, "%s", c->config_path);
    *filter = evaluate(&lists);
    return 0;
}
