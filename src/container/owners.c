/* Whose a config's line is: nvlxc's, somebody's by hand, or not about NVIDIA at all. */
#include "container/grant_lines.h"

#include "base/paths.h"

/* A file or node of NVIDIA's driver, as a mount entry's source, or as its target, which has no slash before
 * it. */
static bool is_nvidia_path(const char *path)
{
    while (*path == '/')
        path++;
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

    return nvl_has_prefix(path, "dev/nvidia") || nvl_has_prefix(path, "opt/nvidia-container") ||
           nvl_has_prefix(name, "libnvidia") || nvl_has_prefix(name, "libcuda.so") ||
           nvl_has_prefix(name, "libcudadebugger.so") || strcmp(name, "nvidia-smi") == 0;
}

static bool is_nvidia_mount(const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv fields = {0};

    nvl_strv_split(&fields, value, " \t");
    for (size_t i = 0; i < fields.count && i < 2; i++)
        if (is_nvidia_path(fields.items[i]))
            return true;
    return false;
}

/* LXC's own, /usr/share/lxc/hooks/nvidia, or ours in a form that nvlxc does not write. */
static bool is_nvidia_hook(const char *value)
{
    size_t len = strcspn(value, " \t");
    nvl_autofree char *program = nvl_xstrndup(value, len);

    return nvl_has_suffix(program, "/hooks/nvidia") || strstr(value, NVL_HOOK_PROGRAM) != NULL;
}

/* "c 195:* rwm", or a path. The dynamic majors (uvm's, caps') say nothing by themselves. */
static bool is_nvidia_rule(const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, value, " \t");
    if (words.count > 0 && words.items[0][0] == '/')
        return nvl_has_prefix(words.items[0], "/dev/nvidia");
    return words.count > 1 && strcmp(words.items[0], "c") == 0 && nvl_has_prefix(words.items[1], "195:");
}

/* Proxmox's dev0 to dev255: "/dev/nvidia0,mode=0666" or "gid=44,path=/dev/nvidia0". */
static bool is_nvidia_passthrough(const char *key, const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv parts = {0};

    if (!nvl_has_prefix(key, "dev") || key[3] < '0' || key[3] > '9')
        return false;
    nvl_strv_split(&parts, value, ",");
    for (size_t i = 0; i < parts.count; i++) {
        const char *part = parts.items[i];
        if (nvl_has_prefix(part, "path=") ? nvl_has_prefix(part + 5, "/dev/nvidia")
                                          : nvl_has_prefix(part, "/dev/nvidia"))
            return true;
    }
    return false;
}

/* About NVIDIA, in a line that is not ours. */
static bool is_by_hand(const struct nvl_config *config, const struct nvl_line *line, bool has_hook)
{
    const char *key = line->key, *value = line->value;

    if (strcmp(key, "lxc.environment") == 0)
        return !has_hook && nvl_has_prefix(value, "NVIDIA_");
    if (strcmp(key, "lxc.cgroup2.devices.allow") == 0 || strcmp(key, "lxc.cgroup.devices.allow") == 0)
        return is_nvidia_rule(value);
    if (strcmp(key, "lxc.mount.entry") == 0)
        return is_nvidia_mount(value);
    if (nvl_has_prefix(key, "lxc.hook."))
        return is_nvidia_hook(value);
    return config->dialect == NVL_DIALECT_PVE && is_nvidia_passthrough(key, value);
}

static bool may_have_dri_rules(const struct nvl_config *config)
{
    const char *text = nvl_config_environment(config, NVL_ENV_CAPABILITIES);
    unsigned capabilities = 0;

    return text != NULL && nvl_capabilities_parse(text, &capabilities, NULL) == 0 &&
           (capabilities & (NVL_CAP_GRAPHICS | NVL_CAP_DISPLAY)) != 0;
}

static bool is_hook_slot(enum nvl_grant_slot slot)
{
    return slot == NVL_SLOT_PRE_START || slot == NVL_SLOT_MOUNT;
}

static bool has_hook_line(const struct nvl_config *config)
{
    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind == NVL_LINE_KEY && is_hook_slot(nvl_grant_slot(line->key, line->value)))
            return true;
    }
    return false;
}

enum nvl_line_owner *nvl_config_owners(const struct nvl_config *config)
{
    enum nvl_line_owner *owners = nvl_xcalloc(config->n_lines + 1, sizeof *owners);
    bool has_hook = has_hook_line(config), may_have_dri = has_hook && may_have_dri_rules(config);
    bool among_ours = false; /* behind a hook line of ours, with no foreign lxc.* line since */

    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind != NVL_LINE_KEY)
            continue;
        enum nvl_grant_slot slot = nvl_grant_slot(line->key, line->value);
        bool is_ours =
            slot == NVL_SLOT_DRI_RULE ? may_have_dri && among_ours : slot != NVL_SLOT_NONE && has_hook;
        if (is_ours)
            owners[i] = NVL_OWNER_NVLXC;
        else if (is_by_hand(config, line, has_hook))
            owners[i] = NVL_OWNER_BY_HAND;
        if (is_hook_slot(slot))
            among_ours = true;
        else if (!is_ours && nvl_has_prefix(line->key, "lxc."))
            among_ours = false;
    }
    return owners;
}
