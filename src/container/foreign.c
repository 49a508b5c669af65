/* Recognizes what in a config is about NVIDIA. */
#include "container/foreign.h"

#include "base/paths.h"
#include "container/entry.h"
#include "container/node_makers.h"
#include "host/node.h"

#define MAJOR_NVIDIA 195 /* the kernel's Documentation/admin-guide/devices.txt */

static const char *skip_slashes(const char *path)
{
    return path + strspn(path, "/");
}

/* "dev/nvidia0", "//dev/nvidia-caps": a node that grants bring, or the folder of such. */
static bool is_nvidia_node(const char *path)
{
    if (!nvl_has_prefix(skip_slashes(path), "dev/nvidia"))
        return false;
    nvl_autofree char *full = nvl_xasprintf("/%s", skip_slashes(path));
    return nvl_node_is_nvidias(full);
}

/* A file, folder or node of NVIDIA's driver, as a mount entry's source, or as its target, which has no
 * leading slash. Outside of the system's own folders a name means nothing: data about NVIDIA is not the
 * driver, nor is what its daemons keep in /run, /tmp and /etc. */
static bool is_nvidia_path(const char *path)
{
    static const char *const folders[] = {"usr/",  "lib", "etc/", "proc/", "run/nvidia/driver",
                                          "sbin/", "bin/"};
    static const char *const daemons[] = {"etc/nvidia-imex", "etc/nvidia/"};

    path = skip_slashes(path);
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    if (is_nvidia_node(path) || nvl_has_prefix(path, "opt/nvidia-container") ||
        nvl_has_prefix(path, skip_slashes(NVL_BUNDLE_DIR)))
        return true;
    for (size_t i = 0; i < NVL_LENGTH(daemons); i++)
        if (nvl_has_prefix(path, daemons[i]))
            return false;
    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        if (nvl_has_prefix(path, folders[i]))
            return strstr(path, "nvidia") != NULL || nvl_has_prefix(name, "libcuda.so") ||
                   nvl_has_prefix(name, "libcudadebugger.so") || nvl_has_prefix(name, "libnvcuvid.so") ||
                   nvl_has_prefix(name, "libnvoptix.so");
    return false;
}

bool nvl_is_library_folder(const char *path)
{
    static const char *const folders[] = {"lib", "lib32", "lib64"};
    nvl_auto(nvl_strv_clear) struct nvl_strv parts = {0};
    size_t at = 0;

    if (path[0] != '/')
        return false;
    nvl_strv_split(&parts, path, "/");
    if (parts.count == 2 && strcmp(parts.items[0], "etc") == 0 && strcmp(parts.items[1], "alternatives") == 0)
        return true;
    if (parts.count > 0 && strcmp(parts.items[0], "usr") == 0)
        at = 1;
    if (at == parts.count)
        return false;
    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        if (strcmp(parts.items[at], folders[i]) == 0)
            return at + 1 == parts.count ||
                   (at + 2 == parts.count && nvl_has_suffix(parts.items[at + 1], "-linux-gnu"));
    return false;
}

static enum nvl_about mount_about(const char *value)
{
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry entry = {0};

    if (!nvl_mount_entry_parse(value, &entry))
        return NVL_ABOUT_OTHER;
    if (is_nvidia_path(entry.source) || is_nvidia_path(entry.target))
        return NVL_ABOUT_NVIDIA;
    return nvl_is_library_folder(entry.source) ? NVL_ABOUT_MAYBE : NVL_ABOUT_OTHER;
}

/* LXC's own hook, /usr/share/lxc/hooks/nvidia; nvlxc's in a form that nvlxc does not write; and hooks that
 * make nodes by hand. */
static bool is_nvidia_hook(const struct nvl_config *config, const char *key, const char *value)
{
    nvl_autofree char *program = nvl_xstrndup(value, strcspn(value, " \t"));

    return nvl_has_suffix(program, "/hooks/nvidia") || strstr(value, NVL_HOOK_PROGRAM) != NULL ||
           strstr(value, NVL_RUNTIME_HOOK) != NULL || strstr(value, "nvidia-modprobe") != NULL ||
           (config->node_hooks != NULL && nvl_strv_contains(config->node_hooks, value)) ||
           nvl_hook_makes_nvidia(NULL, key, value);
}

void nvl_config_read_hooks(const struct nvl_root *root, struct nvl_config *config)
{
    for (size_t i = 0; i < config->n_lines; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind == NVL_LINE_KEY && nvl_hook_makes_nvidia(root, line->key, line->value))
            nvl_config_add_node_hook(config, line->value);
    }
}

/* Documentation/admin-guide/devices.txt: the kernel assigns 234 to 254, then 384 to 511, as drivers ask. */
static bool is_dynamic(uint64_t major)
{
    return (major >= 234 && major <= 254) || (major >= 384 && major <= NVL_MAJOR_DYNAMIC_MAX);
}

static enum nvl_about major_about(const struct nvl_majors *majors, uint64_t major)
{
    const int granted[] = {majors->nvidia, majors->uvm, majors->caps};
    const int companions[] = {majors->caps_imex, majors->nvswitch, majors->nvlink};

    if (major == MAJOR_NVIDIA)
        return NVL_ABOUT_NVIDIA;
    for (size_t i = 0; i < NVL_LENGTH(granted); i++)
        if (granted[i] >= 0 && major == (uint64_t)granted[i])
            return NVL_ABOUT_NVIDIA;
    for (size_t i = 0; i < NVL_LENGTH(companions); i++)
        if (companions[i] >= 0 && major == (uint64_t)companions[i])
            return NVL_ABOUT_COMPANION;
    return is_dynamic(major) && !majors->others[major] ? NVL_ABOUT_MAYBE : NVL_ABOUT_OTHER;
}

/* "c 195:* rwm", or a path. */
static enum nvl_about rule_about(const struct nvl_majors *majors, const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    uint64_t major;

    nvl_strv_split(&words, value, " \t");
    if (words.count > 0 && words.items[0][0] == '/')
        return nvl_node_is_nvidias(words.items[0]) ? NVL_ABOUT_NVIDIA : NVL_ABOUT_OTHER;
    if (words.count < 2 || strcmp(words.items[0], "c") != 0)
        return NVL_ABOUT_OTHER;
    char *colon = strchr(words.items[1], ':');
    if (colon == NULL)
        return NVL_ABOUT_OTHER;
    *colon = '\0';
    return nvl_parse_uint(words.items[1], 10, UINT32_MAX, &major) == 0 ? major_about(majors, major)
                                                                       : NVL_ABOUT_OTHER;
}

/* Also with a number that Proxmox does not know ("dev256"): it was meant as an entry. */
static bool is_passthrough(const char *key)
{
    return nvl_has_prefix(key, "dev") && key[3] >= '0' && key[3] <= '9';
}

static bool is_rule(const char *key)
{
    return strcmp(key, "lxc.cgroup2.devices.allow") == 0 || strcmp(key, "lxc.cgroup.devices.allow") == 0;
}

/* The variables that say what a container gets. Others, which images set (NVIDIA_REQUIRE_CUDA), matter
 * only to LXC's own hook. */
static enum nvl_about variable_about(const char *value)
{
    if (nvl_has_prefix(value, NVL_ENV_DEVICES "=") || nvl_has_prefix(value, NVL_ENV_CAPABILITIES "=") ||
        nvl_has_prefix(value, NVL_ENV_GPUS "="))
        return NVL_ABOUT_NVIDIA;
    return nvl_has_prefix(value, "NVIDIA_") ? NVL_ABOUT_MAYBE : NVL_ABOUT_OTHER;
}

enum nvl_about nvl_setting_about(const struct nvl_config *config, const char *key, const char *value)
{
    nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry dev = {0};
    bool is_nvidia = false;

    if (is_rule(key))
        return rule_about(&config->majors, value);
    if (strcmp(key, NVL_KEY_ENTRY) == 0)
        return mount_about(value);
    if (strcmp(key, NVL_KEY_ENVIRONMENT) == 0)
        return variable_about(value);
    if (nvl_has_prefix(key, "lxc.hook."))
        is_nvidia = is_nvidia_hook(config, key, value);
    else if (config->dialect == NVL_DIALECT_PVE && is_passthrough(key))
        is_nvidia = nvl_dev_entry_parse(value, &dev) && nvl_node_is_nvidias(dev.path);
    return is_nvidia ? NVL_ABOUT_NVIDIA : NVL_ABOUT_OTHER;
}

enum nvl_about nvl_line_about(const struct nvl_config *config, const struct nvl_line *line)
{
    return nvl_setting_about(config, line->key, line->value);
}

void nvl_setting_nodes(const char *key, const char *value, struct nvl_strv *paths)
{
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry entry = {0};
    nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry dev = {0};
    nvl_autofree char *rule = NULL;
    const char *path = NULL;

    if (is_passthrough(key) && nvl_dev_entry_parse(value, &dev))
        path = dev.path;
    else if (strcmp(key, NVL_KEY_ENTRY) == 0 && nvl_mount_entry_parse(value, &entry))
        path = entry.source;
    else if (is_rule(key))
        path = rule = nvl_xstrndup(value, strcspn(value, " \t"));
    if (path != NULL && nvl_has_prefix(path, "/dev/"))
        nvl_strv_push(paths, path);
}

void nvl_line_nodes(const struct nvl_line *line, struct nvl_strv *paths)
{
    if (line->kind == NVL_LINE_KEY)
        nvl_setting_nodes(line->key, line->value, paths);
}

/* Variables may serve a program. */
static bool is_variable(const char *key)
{
    return strcmp(key, NVL_KEY_ENVIRONMENT) == 0;
}

static bool brings_companion(const char *key, const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};

    if (strstr(value, "/dev/nvidia") != NULL && !is_rule(key))
        nvl_setting_nodes(key, value, &paths);
    for (size_t i = 0; i < paths.count; i++)
        if (nvl_has_prefix(paths.items[i], "/dev/nvidia") && !nvl_node_is_nvidias(paths.items[i]))
            return true;
    return false;
}

void nvl_company_add(struct nvl_company *company, enum nvl_about about, const char *key, const char *value)
{
    company->any_clear |= about == NVL_ABOUT_NVIDIA && !is_variable(key);
    company->any_companion |= brings_companion(key, value);
}

bool nvl_is_by_hand(const struct nvl_company *company, enum nvl_about about, const char *key)
{
    switch (about) {
    case NVL_ABOUT_NVIDIA:
        return !is_variable(key) || !company->is_granted;
    case NVL_ABOUT_COMPANION:
        return company->any_clear && !company->any_companion;
    case NVL_ABOUT_MAYBE:
        return company->any_clear;
    case NVL_ABOUT_OTHER:
        break;
    }
    return false;
}
