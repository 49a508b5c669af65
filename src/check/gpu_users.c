/* The containers that are to have a GPU: what the host's checks ask on their behalf. */
#include "check/facts.h"

static bool is_dev_key(const char *key)
{
    return nvl_has_prefix(key, "dev") && key[3] >= '0' && key[3] <= '9';
}

static bool names_a_node(const struct nvl_line *line)
{
    return strstr(line->value, "/dev/nvidia") != NULL &&
           (is_dev_key(line->key) || strcmp(line->key, "lxc.mount.entry") == 0);
}

static bool starts_at_boot(const struct nvl_container *c, const struct nvl_config *config)
{
    const char *value = nvl_config_get(config, c->kind == NVL_CONTAINER_PVE ? "onboot" : "lxc.start.auto");

    return value != NULL && strcmp(value, "1") == 0;
}

static void read_user(struct nvl_host_facts *f, const struct nvl_container *c)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    struct nvl_error ignored;
    bool by_hand = false, names_nodes = false;

    if (c->node != NULL || nvl_container_read_config(f->root, c, &config, &ignored) < 0)
        return;
    bool has_grant = nvl_config_grant(&config, &grant, &ignored) == 1 && grant.devices != NVL_DEVICES_VOID;
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(&config);
    for (size_t i = 0; i < config.n_lines; i++) {
        by_hand |= owners[i] == NVL_OWNER_BY_HAND;
        names_nodes |= owners[i] == NVL_OWNER_BY_HAND && names_a_node(&config.lines[i]);
    }
    if (!has_grant && !by_hand)
        return;
    *NVL_APPEND(f->users, f->n_users) = (struct nvl_gpu_user){
        .name = nvl_container_full_name(&f->containers, c),
        .has_grant = has_grant,
        .capabilities = has_grant ? grant.capabilities : 0,
        .needs_nodes_first = names_nodes || c->user != NULL,
        .starts_at_boot = starts_at_boot(c, &config),
    };
}

void nvl_gpu_users_read(struct nvl_host_facts *f)
{
    for (size_t i = 0; i < f->containers.count; i++)
        read_user(f, &f->containers.items[i]);
}
