/* The containers that are to have a GPU: what the host's checks ask on their behalf; and those whose config
 * says something of NVIDIA that has no effect. */
#include "doctor/facts.h"
#include "container/entry.h"
#include "container/foreign.h"
#include "container/gpu_use.h"

/* A node that Proxmox wants to be there before anything of a start, or that a mount leaves out without a
 * word. nvlxc's own mount entries have its pre-start hook before them. */
static bool needs_node_first(const struct nvl_setting *s)
{
    if (s->owner == NVL_OWNER_OTHER || strstr(s->value, "/dev/nvidia") == NULL)
        return false;
    return nvl_dev_index(s->key) >= 0 ||
           (s->owner == NVL_OWNER_BY_HAND && strcmp(s->key, NVL_KEY_ENTRY) == 0);
}

static bool starts_at_boot(const struct nvl_container *c, const struct nvl_effective *effective)
{
    const char *value =
        nvl_effective_get(effective, c->kind == NVL_CONTAINER_PVE ? "onboot" : "lxc.start.auto");

    return value != NULL && strcmp(value, "1") == 0;
}

/* Wherever it stands in the file, and in whatever form: a line that is not read, a section, a comment. */
static bool speaks_of_gpus(const struct nvl_config *config)
{
    static const char *const words[] = {"nvidia", "nvlxc", "gpu", "cuda"};

    for (size_t i = 0; i < NVL_LENGTH(words); i++)
        if (strcasestr(config->text, words[i]) != NULL)
            return true;
    nvl_autofree bool *strays = nvl_config_strays(config); /* rules, which are numbers */
    return strays != NULL;
}

static void read_config(struct nvl_host_facts *f, size_t index)
{
    nvl_autofree struct nvl_container *c = nvl_container_at(&f->containers, index);
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    struct nvl_error ignored;
    bool by_hand = false, needs_nodes = false;

    if (c->node != NULL)
        return;
    /* what cannot be read is reported later, by the caller, who reads it again */
    bool is_suspect = nvl_container_read_config(f->root, c, &config, &ignored) < 0 || speaks_of_gpus(&config);
    is_suspect = nvl_effective_read(f->root, c, &config, &effective, &ignored) < 0 || is_suspect;
    bool has_grant =
        nvl_effective_grant(&effective, &grant, &ignored) == 1 && grant.devices != NVL_DEVICES_VOID;
    for (size_t i = 0; i < effective.count; i++) {
        by_hand |= effective.items[i].owner == NVL_OWNER_BY_HAND;
        needs_nodes |= needs_node_first(&effective.items[i]);
    }
    if (has_grant && nvl_mark_gpus_used(f->root, c, &grant, &f->host.gpus) && f->user_of_silent == NULL)
        f->user_of_silent = nvl_container_full_name(&f->containers, c);
    bool is_user = has_grant || by_hand;
    if (is_user || is_suspect)
        *NVL_APPEND(f->suspects, f->n_suspects) = (struct nvl_suspect){.index = index, .is_user = is_user};
    if (!is_user)
        return;
    *NVL_APPEND(f->users, f->n_users) = (struct nvl_gpu_user){
        .name = nvl_container_full_name(&f->containers, c),
        .has_grant = has_grant,
        .capabilities = has_grant ? grant.capabilities : 0,
        .needs_nodes_first = needs_nodes || c->user != NULL,
        .starts_at_boot = starts_at_boot(c, &effective),
    };
}

void nvl_gpu_users_read(struct nvl_host_facts *f)
{
    for (size_t i = 0; i < f->containers.count; i++)
        read_config(f, i);
}
