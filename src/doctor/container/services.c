/* Judges what the unit of a service does to it: systemd.exec(5), systemd.resource-control(5). */
#include "doctor/container/services.h"

#include <fnmatch.h>

#include "base/paths.h"
#include "container/commands.h"
#include "doctor/container/shared.h"
#include "doctor/container/units.h"

#define DEVICES_MAX    (64u << 10) /* /proc/devices */
#define DEVICES_DROPIN "zz-nvlxc-devices.conf"

const char *const nvl_gpu_services[] = {
    "ollama",          "jellyfin",
    "plexmediaserver", "emby-server",
    "frigate",         "immich-server",
    "immich-web",      "immich-ml",
    "immich",          "immich-machine-learning",
    "open-webui",      "openwebui",
    "comfyui",         "vllm",
    "whisper",         NULL,
};

/* ---- the user ---- */

static void add_group(const struct nvl_root *rootfs, const char *name, gid_t *gid)
{
    uint64_t number;

    if (nvl_parse_uint(name, 10, UINT32_MAX - 1, &number) == 0)
        *gid = (gid_t)number;
    else if (!nvl_group_find(rootfs, name, gid))
        *gid = (gid_t)-1;
}

static void add_supplementary(const struct nvl_root *rootfs, const struct nvl_unit *unit,
                              struct nvl_account *user)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    const struct nvl_unit_line *line;
    size_t pos = 0;

    while ((line = nvl_unit_next(unit, "SupplementaryGroups", &pos)) != NULL)
        nvl_unit_words(line, &names);
    for (size_t i = 0; i < names.count && user->n_groups < NVL_ACCOUNT_GROUPS; i++) {
        add_group(rootfs, names.items[i], &user->groups[user->n_groups]);
        user->n_groups += user->groups[user->n_groups] != (gid_t)-1;
    }
}

/* A user of /etc/passwd, or the dynamic one of that name. */
static bool find_named(const struct nvl_root *rootfs, const char *name, bool is_dynamic,
                       struct nvl_account *user)
{
    if (nvl_account_find(rootfs, name, user) == 0)
        return true;
    *user = (struct nvl_account){.uid = (uid_t)-1, .gid = (gid_t)-1};
    if (is_dynamic) {
        user->name = nvl_xstrdup(name);
        user->home = nvl_xstrdup("/");
    }
    return is_dynamic;
}

bool nvl_service_user(const struct nvl_root *rootfs, const char *service, struct nvl_account *user)
{
    nvl_auto(nvl_unit_clear) struct nvl_unit unit = {0};

    *user = (struct nvl_account){0};
    if (!nvl_unit_read(rootfs, service, &unit))
        return false;
    const struct nvl_unit_line *named = nvl_unit_last(&unit, "User"), *group = nvl_unit_last(&unit, "Group");
    bool is_dynamic = nvl_unit_says_yes(&unit, "DynamicUser") != NULL;
    if (named == NULL && !is_dynamic)
        return false;
    if (!find_named(rootfs, named != NULL ? named->value : service, is_dynamic, user) || user->uid == 0)
        return false;
    if (group != NULL) {
        add_group(rootfs, group->value, &user->gid);
        user->groups[0] = user->gid;
        user->n_groups += user->n_groups == 0;
    }
    add_supplementary(rootfs, &unit, user);
    return true;
}

/* ---- the device filter ---- */

/* "195 nvidia": whether /proc/devices has the number under a name that matches. */
static bool is_named(const char *devices, size_t len, int number, const char *pattern)
{
    const char *line;
    size_t pos = 0, line_len;

    while (nvl_next_line(devices, len, &pos, &line, &line_len)) {
        char name[64];
        int found;
        nvl_autofree char *text = nvl_xstrndup(line, line_len);
        if (nvl_has_prefix(text, "Block devices:"))
            return false;
        if (sscanf(text, "%9d %63s", &found, name) == 2 && found == number && fnmatch(pattern, name, 0) == 0)
            return true;
    }
    return false;
}

/* "/dev/nvidia0 rw", "char-nvidia*", "char-195 rwm". A path is no pattern: systemd looks for that file. */
static bool lets_through(const struct nvl_container_facts *facts, const struct nvl_unit_line *allow,
                         const struct nvl_node *node)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    nvl_autofree char *devices = NULL;
    size_t len;
    uint64_t number;

    nvl_unit_words(allow, &words);
    const char *what = words.count > 0 ? words.items[0] : "", *how = words.count > 1 ? words.items[1] : "rwm";
    if (strchr(how, 'r') == NULL || (strchr(how, 'w') == NULL && node->kind != NVL_NODE_CAP))
        return false;
    if (strcmp(what, node->path) == 0)
        return true;
    if (!nvl_has_prefix(what, "char-"))
        return false;
    what += strlen("char-");
    if (nvl_parse_uint(what, 10, INT32_MAX, &number) == 0)
        return (int)number == node->major;
    return nvl_root_read(facts->host->root, "/proc/devices", DEVICES_MAX, &devices, &len) == 0 &&
           is_named(devices, len, node->major, what);
}

static bool is_allowed(const struct nvl_container_facts *facts, const struct nvl_unit *unit,
                       const struct nvl_node *node)
{
    const struct nvl_unit_line *allow;
    size_t pos = 0;

    while ((allow = nvl_unit_next(unit, "DeviceAllow", &pos)) != NULL)
        if (lets_through(facts, allow, node))
            return true;
    return false;
}

/* The line that makes systemd filter; `auto` does so as soon as a device is allowed. */
static const struct nvl_unit_line *find_filter(const struct nvl_unit *unit)
{
    const struct nvl_unit_line *policy = NULL;
    size_t pos = 0;

    for (size_t i = 0; i < unit->count; i++) {
        const struct nvl_unit_line *line = &unit->items[i];
        if (strcmp(line->key, "DevicePolicy") != 0)
            continue;
        if (strcmp(line->value, "closed") == 0 || strcmp(line->value, "strict") == 0)
            policy = line;
        else if (strcmp(line->value, "auto") == 0)
            policy = NULL;
    }
    return policy != NULL ? policy : nvl_unit_next(unit, "DeviceAllow", &pos);
}

/* ---- paths ---- */

/* "-/dev/nvidia0", "+/dev:/dev:rbind" */
static bool covers(const char *word, const char *path)
{
    while (*word == '-' || *word == '+')
        word++;
    size_t len = strcspn(word, ":");
    while (len > 1 && word[len - 1] == '/')
        len--;
    return len > 0 && strncmp(word, path, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* The first line of a key, a list of paths, that names the path or a folder above it. */
static const struct nvl_unit_line *find_covering(const struct nvl_unit *unit, const char *key,
                                                 const char *path)
{
    const struct nvl_unit_line *line;
    size_t pos = 0;

    while ((line = nvl_unit_next(unit, key, &pos)) != NULL) {
        nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
        nvl_unit_words(line, &words);
        for (size_t i = 0; i < words.count; i++)
            if (covers(words.items[i], path))
                return line;
    }
    return NULL;
}

static bool is_bound(const struct nvl_unit *unit, const char *path)
{
    return find_covering(unit, "BindPaths", path) != NULL ||
           find_covering(unit, "BindReadOnlyPaths", path) != NULL;
}

/* ---- all of it ---- */

/* The nodes without which the service has no GPU, or no graphics. */
static struct nvl_node *list_needed(const struct nvl_container_facts *facts, size_t *count)
{
    struct nvl_node *nodes = nvl_expected_nodes(facts, count);
    size_t n = 0;

    for (size_t i = 0; i < *count; i++)
        if (nodes[i].kind != NVL_NODE_UVM_TOOLS)
            nodes[n++] = nodes[i];
    *count = n;
    return nodes;
}

static void add_closing(struct nvl_service_closing *c, const struct nvl_unit_line *line, const char *does)
{
    nvl_autofree char *key = nvl_xasprintf("%s=%s", line->key, line->value),
                      *text = nvl_xasprintf("%s: %s%s", line->place, key, does);

    nvl_strv_push_once(&c->lines, text);
    nvl_strv_push_once(&c->keys, key);
}

/* The line by which systemd keeps the node out of the service's reach though it is there; NULL for none. */
static const struct nvl_unit_line *find_filtering(const struct nvl_container_facts *facts,
                                                  const struct nvl_unit *unit, const struct nvl_node *node)
{
    const struct nvl_unit_line *filter = find_filter(unit);

    if (filter == NULL && is_bound(unit, node->path))
        filter = nvl_unit_says_yes(unit, "PrivateDevices"); /* it filters, too */
    return filter != NULL && !is_allowed(facts, unit, node) ? filter : NULL;
}

static void judge_devices(const struct nvl_container_facts *facts, const struct nvl_unit *unit,
                          const struct nvl_node *nodes, size_t count, struct nvl_service_closing *c)
{
    const struct nvl_unit_line *private = nvl_unit_says_yes(unit, "PrivateDevices"), *filter = NULL;
    nvl_auto(nvl_strv_clear) struct nvl_strv filtered = {0};

    for (size_t i = 0; i < count; i++) {
        const struct nvl_node *node = &nodes[i];
        const struct nvl_unit_line *by = find_filtering(facts, unit, node);
        if (private != NULL && !is_bound(unit, node->path)) {
            add_closing(c, private, " (its /dev has no GPU)");
            nvl_strv_push_once(&c->fix, "PrivateDevices=no");
            nvl_strv_push_once(&c->paths, node->path);
            c->is_in_force = true;
        }
        if (by == NULL)
            continue;
        filter = by;
        nvl_strv_push(&filtered, node->path);
        nvl_strv_push_once(&c->paths, node->path);
        nvl_strv_push_once(&c->fix, node->kind == NVL_NODE_DRI ? "DeviceAllow=char-drm rw"
                                                               : "DeviceAllow=char-nvidia* rw");
    }
    if (filter == NULL)
        return;
    nvl_autofree char *list = nvl_strv_join(&filtered, ", "),
                      *does = nvl_xasprintf(" (no DeviceAllow= lets through: %s)", list);
    add_closing(c, filter, does);
    c->is_in_force |= facts->idmap.privileged; /* only the host's root may load a filter (BPF) */
}

/* Keeps what else the key names. */
static void fix_paths(const struct nvl_unit *unit, const char *key, const char *path, struct nvl_strv *fix)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    const struct nvl_unit_line *line;
    size_t pos = 0;

    while ((line = nvl_unit_next(unit, key, &pos)) != NULL)
        nvl_unit_words(line, &words);
    nvl_autofree char *reset = nvl_xasprintf("%s=", key);
    if (nvl_strv_contains(fix, reset))
        return;
    nvl_strv_push(fix, reset);
    for (size_t i = 0; i < words.count; i++)
        if (!covers(words.items[i], path) && !covers(words.items[i], NVL_MOUNT_POINT) &&
            nvl_is_plain(words.items[i]))
            nvl_strv_pushf(fix, "%s=%s", key, words.items[i]);
}

static void judge_path(const struct nvl_unit *unit, const char *path, struct nvl_service_closing *c)
{
    static const char *const keys[] = {"InaccessiblePaths", "TemporaryFileSystem"};

    for (size_t i = 0; i < NVL_LENGTH(keys); i++) {
        const struct nvl_unit_line *line = find_covering(unit, keys[i], path);
        if (line == NULL || is_bound(unit, path))
            continue;
        nvl_autofree char *does = nvl_xasprintf(" (hides %s)", path);
        add_closing(c, line, does);
        fix_paths(unit, keys[i], path, &c->fix);
        nvl_strv_push_once(&c->paths, path);
        c->is_in_force = true;
    }
}

/* Another root has neither the nodes nor the driver; what it needs nobody knows but its author. */
static void judge_root(const struct nvl_unit *unit, struct nvl_service_closing *c)
{
    static const char *const keys[] = {"RootDirectory", "RootImage"};

    for (size_t i = 0; i < NVL_LENGTH(keys); i++) {
        const struct nvl_unit_line *line = nvl_unit_last(unit, keys[i]);
        if (line == NULL || strcmp(line->value, "/") == 0 || is_bound(unit, NVL_MOUNT_POINT))
            continue;
        add_closing(c, line, " (a root without " NVL_MOUNT_POINT ")");
        c->is_in_force = true;
    }
}

static void judge_unit(const struct nvl_container_facts *facts, const struct nvl_unit *unit,
                       struct nvl_service_closing *c)
{
    size_t count;
    nvl_autofree struct nvl_node *nodes = list_needed(facts, &count);

    *c = (struct nvl_service_closing){0};
    judge_devices(facts, unit, nodes, count, c);
    for (size_t i = 0; i < count; i++)
        judge_path(unit, nodes[i].path, c);
    if (nvl_wants_bundle(facts)) {
        judge_path(unit, NVL_MOUNT_POINT, c);
        judge_root(unit, c);
    }
}

/* The fix replaces an earlier one, so it has to say again what that said: it is made for the unit as it is
 * without. */
static void fix_anew(const struct nvl_container_facts *facts, const struct nvl_unit *unit,
                     struct nvl_service_closing *c)
{
    nvl_auto(nvl_service_closing_clear) struct nvl_service_closing bare_closing = {0};
    struct nvl_unit bare = {0};

    for (size_t i = 0; i < unit->count; i++)
        if (strstr(unit->items[i].place, "/" DEVICES_DROPIN ":") == NULL)
            *NVL_APPEND(bare.items, bare.count) = unit->items[i];
    judge_unit(facts, &bare, &bare_closing);
    free(bare.items); /* what is in them is the unit's */
    nvl_strv_clear(&c->fix);
    c->fix = bare_closing.fix;
    bare_closing.fix = (struct nvl_strv){0};
}

bool nvl_service_is_closed(const struct nvl_container_facts *facts, const char *service,
                           struct nvl_service_closing *c)
{
    nvl_auto(nvl_unit_clear) struct nvl_unit unit = {0};

    *c = (struct nvl_service_closing){0};
    if (!nvl_unit_read(&facts->rootfs, service, &unit))
        return false;
    judge_unit(facts, &unit, c);
    if (c->fix.count > 0)
        fix_anew(facts, &unit, c);
    return c->lines.count > 0;
}

void nvl_service_closing_clear(struct nvl_service_closing *closing)
{
    nvl_strv_clear(&closing->lines);
    nvl_strv_clear(&closing->paths);
    nvl_strv_clear(&closing->keys);
    nvl_strv_clear(&closing->fix);
}

/* Names that sort behind those of others, so that their lines count; one for each subject. */
static char *make_dropin(const struct nvl_container_facts *facts, const char *service, const char *name,
                         const struct nvl_strv *lines)
{
    nvl_autofree char *content = nvl_strv_join(lines, "\" \"");
    nvl_autofree char *script = nvl_xasprintf(
        "mkdir -p /etc/systemd/system/%s.service.d && printf \"%%s\\n\" \"[Service]\" \"%s\" > "
        "/etc/systemd/system/%s.service.d/%s && systemctl daemon-reload && systemctl restart %s",
        service, content, service, name, service);
    nvl_autofree char *word = nvl_shell_word(script), *command = nvl_xasprintf("sh -c %s", word);
    nvl_autofree char *inside = nvl_container_run_inside(facts->container, command);

    if (facts->is_running)
        return TAKE_PTR(inside);
    nvl_autofree char *start = nvl_container_start(facts->container);
    return nvl_xasprintf("%s\n%s", start, inside);
}

char *nvl_service_open(const struct nvl_container_facts *facts, const char *service,
                       const struct nvl_service_closing *closing)
{
    return make_dropin(facts, service, DEVICES_DROPIN, &closing->fix);
}

char *nvl_service_join(const struct nvl_container_facts *facts, const char *service, const char *group)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};
    nvl_autofree char *name = nvl_xasprintf("zz-nvlxc-%s.conf", group);

    nvl_strv_pushf(&lines, "SupplementaryGroups=%s", group);
    return make_dropin(facts, service, name, &lines);
}
