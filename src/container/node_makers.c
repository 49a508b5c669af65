/* Finds who makes which nodes in a container. */
#include "container/node_makers.h"

#include "base/root.h"
#include "container/grant_lines.h"
#include "host/node.h"

#define SCRIPT_MAX (64u << 10)
#define ROOT_WORD  "LXC_ROOTFS_MOUNT"
#define ANY_NVIDIA "/dev/nvidia*"

/* ---- what a shell's words make ---- */

/* "${LXC_ROOTFS_MOUNT}/dev/nvidia$i" -> "/dev/nvidia*"; "nvidia0", after a `cd`, -> "/dev/nvidia0". NULL if
 * nothing of the name is known. */
static char *read_node_path(const char *word, size_t len)
{
    nvl_autofree char *text = nvl_xstrndup(word, len);
    char *to = text, *dev = NULL;

    for (const char *from = text; *from != '\0'; from++)
        if (*from != '"' && *from != '\'')
            *to++ = *from;
    *to = '\0';
    for (char *at = strstr(text, "/dev/"); at != NULL; at = strstr(at + 1, "/dev/"))
        dev = at;
    const char *slash = strrchr(text, '/'), *name = dev != NULL     ? dev + strlen("/dev/")
                                                    : slash != NULL ? slash + 1
                                                                    : text;
    size_t known = strcspn(name, "$`*?{[\\");
    if (known == 0)
        return NULL;
    return nvl_xasprintf("/dev/%.*s%s", (int)known, name, name[known] != '\0' ? "*" : "");
}

static bool is_end_of_word(char c)
{
    return c == '\0' || strchr(" \t\r\n;|&()<>", c) != NULL;
}

/* Moves *at past the blanks and the next word of the same command; 0 at its end. */
static size_t next_word(const char **at)
{
    size_t len = 0;

    while (**at == ' ' || **at == '\t')
        (*at)++;
    while (!is_end_of_word((*at)[len]))
        len++;
    return len;
}

static void add_path(struct nvl_strv *paths, const char *path)
{
    if (path != NULL)
        nvl_strv_push_once(paths, path);
}

/* The arguments of a mknod: "[-m MODE] PATH c 195 0". `is_nvidias`: the text is about NVIDIA's nodes. */
static void take_mknod(const char *at, bool is_nvidias, struct nvl_strv *paths)
{
    size_t len;

    for (; (len = next_word(&at)) > 0 && *at == '-'; at += len)
        if (len == 2 && at[1] == 'm') {
            at += len;
            len = next_word(&at);
        }
    nvl_autofree char *path = len > 0 ? read_node_path(at, len) : NULL;
    at += len;
    if (path == NULL && next_word(&at) == 1) { /* the type; the shell makes up the name, the major may tell */
        at++;
        len = next_word(&at);
        if ((len == 3 && nvl_has_prefix(at, "195")) || (len > 0 && is_nvidias && strchr("$`\"", *at) != NULL))
            path = nvl_xstrdup(ANY_NVIDIA);
    }
    add_path(paths, path);
}

static bool is_in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static size_t word_length(const char *s)
{
    size_t len = 0;

    while (!is_end_of_word(s[len]))
        len++;
    return len;
}

static void scan_mknod(const char *text, bool is_nvidias, struct nvl_strv *paths)
{
    static const char mknod[] = "mknod";

    for (const char *at = strstr(text, mknod); at != NULL; at = strstr(at + 1, mknod)) {
        const char *behind = at + strlen(mknod);
        if ((at == text || !is_in_word(at[-1])) && (*behind == ' ' || *behind == '\t'))
            take_mknod(behind, is_nvidias, paths);
    }
}

/* Whatever the text puts below the container's /dev, also by another command, such as `cp` or `mount`.
 * Returns whether it names that folder itself. */
static bool scan_targets(const char *text, struct nvl_strv *paths)
{
    bool is_folder = false;

    for (const char *at = strstr(text, ROOT_WORD); at != NULL; at = strstr(at + 1, ROOT_WORD)) {
        const char *path = at + strlen(ROOT_WORD);
        path += strspn(path, "}\"");
        size_t len = word_length(path);
        if (!nvl_has_prefix(path, "/dev"))
            continue;
        size_t rest = strlen("/dev") + strspn(path + strlen("/dev"), "/\"'");
        nvl_autofree char *found = rest < len ? read_node_path(path, len) : NULL;
        is_folder |= rest == len;
        if (path[strlen("/dev")] == '/')
            add_path(paths, found);
    }
    return is_folder;
}

/* A copy into the folder has the name of its source: `cp -a /dev/nvidia0 $LXC_ROOTFS_MOUNT/dev/`. */
static void scan_sources(const char *text, bool is_nvidias, struct nvl_strv *paths)
{
    for (const char *at = strstr(text, "/dev/"); at != NULL; at = strstr(at + 1, "/dev/")) {
        if (at > text && strchr(" \t\r\n\"'=(", at[-1]) == NULL)
            continue; /* it goes on: $LXC_ROOTFS_MOUNT/dev/… */
        nvl_autofree char *path = read_node_path(at, word_length(at));
        if (path == NULL && is_nvidias)
            add_path(paths, ANY_NVIDIA);
        else if (path != NULL && (nvl_node_is_nvidias(path) || nvl_has_prefix(path, "/dev/dri/")))
            add_path(paths, path);
    }
}

static void scan_shell(const char *text, struct nvl_strv *paths)
{
    bool is_nvidias = strstr(text, "nvidia") != NULL;

    scan_mknod(text, is_nvidias, paths);
    if (scan_targets(text, paths))
        scan_sources(text, is_nvidias, paths);
}

/* A user's config may name anything: only a small regular text is read. */
static void scan_script(const struct nvl_root *root, const char *path, struct nvl_strv *paths)
{
    nvl_autofree char *text = NULL;
    struct stat st;
    size_t len;

    if (nvl_has_prefix(path, "/usr/share/lxc") || nvl_root_stat(root, path, 0, &st) < 0 ||
        !S_ISREG(st.st_mode) || st.st_size > SCRIPT_MAX)
        return;
    if (nvl_root_read(root, path, SCRIPT_MAX, &text, &len) == 0 && strlen(text) == len)
        scan_shell(text, paths);
}

/* A hook's value is a shell's command; the scripts that it names count, too. */
void nvl_hook_nodes(const struct nvl_root *root, const char *value, struct nvl_strv *paths)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    struct nvl_delivery ours;

    if (nvl_hook_line_parse(value, &ours))
        return;
    scan_shell(value, paths);
    nvl_strv_split(&words, value, " \t'\";|&()<>");
    for (size_t i = 0; root != NULL && i < words.count; i++)
        if (words.items[i][0] == '/' && !nvl_has_prefix(words.items[i], "/dev/"))
            scan_script(root, words.items[i], paths);
}

/* The hooks that run where a node would be the container's. */
static bool is_hook(const char *key, enum nvl_node_maker_kind *kind)
{
    *kind = strcmp(key, NVL_KEY_MOUNT) == 0 ? NVL_MADE_BY_MOUNT_HOOK : NVL_MADE_BY_AUTODEV_HOOK;
    return *kind == NVL_MADE_BY_MOUNT_HOOK || strcmp(key, NVL_KEY_AUTODEV_HOOK) == 0;
}

bool nvl_hook_makes_nvidia(const struct nvl_root *root, const char *key, const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};
    enum nvl_node_maker_kind kind;

    if (!is_hook(key, &kind))
        return false;
    nvl_hook_nodes(root, value, &paths);
    for (size_t i = 0; i < paths.count; i++)
        if (nvl_node_is_nvidias(paths.items[i]))
            return true;
    return false;
}

/* ---- a config's makers ---- */

static void add_maker(struct nvl_node_makers *makers, enum nvl_node_maker_kind kind, size_t setting,
                      const char *path, bool is_folder)
{
    if (nvl_has_prefix(path, "/dev/"))
        *NVL_APPEND(makers->items, makers->count) = (struct nvl_node_maker){
            .kind = kind, .setting = setting, .path = nvl_xstrdup(path), .is_folder = is_folder};
}

/* Without `create=`, liblxc mounts only onto what is there, which a new /dev has nothing of. */
static void add_entry(struct nvl_node_makers *makers, const struct nvl_setting *s, size_t setting)
{
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry entry = {0};

    if (!nvl_setting_mount(s, &entry))
        return;
    nvl_autofree char *place = nvl_mount_entry_place(&entry, NULL);
    bool is_folder = nvl_mount_entry_has(&entry, "create=dir");
    if (place != NULL && (is_folder || nvl_mount_entry_has(&entry, "create=file")))
        add_maker(makers, NVL_MADE_BY_ENTRY, setting, place, is_folder);
}

static void add_hook(const struct nvl_root *root, struct nvl_node_makers *makers, const struct nvl_setting *s,
                     size_t setting, enum nvl_node_maker_kind wanted)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};
    enum nvl_node_maker_kind kind;

    if (!is_hook(s->key, &kind) || kind != wanted)
        return;
    nvl_hook_nodes(root, s->value, &paths);
    for (size_t i = 0; i < paths.count; i++)
        add_maker(makers, kind, setting, paths.items[i], false);
}

void nvl_node_makers_find(const struct nvl_root *root, const struct nvl_effective *effective,
                          struct nvl_node_makers *makers)
{
    *makers = (struct nvl_node_makers){0};
    for (enum nvl_node_maker_kind kind = NVL_MADE_BY_ENTRY; kind <= NVL_MADE_BY_AUTODEV_HOOK; kind++)
        for (size_t i = 0; i < effective->count; i++) {
            const struct nvl_setting *s = &effective->items[i];
            nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry dev = {0};
            if (kind == NVL_MADE_BY_ENTRY)
                add_entry(makers, s, i);
            else if (kind != NVL_MADE_BY_DEV)
                add_hook(root, makers, s, i, kind);
            else if (nvl_setting_dev(s, &dev))
                add_maker(makers, kind, i, dev.path, false);
        }
}

void nvl_node_makers_clear(struct nvl_node_makers *makers)
{
    for (size_t i = 0; i < makers->count; i++)
        free(makers->items[i].path);
    free(makers->items);
    *makers = (struct nvl_node_makers){0};
}

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

bool nvl_node_maker_makes(const struct nvl_node_maker *maker, const char *path)
{
    size_t len = strlen(maker->path), other = strlen(path);

    if (maker->is_folder)
        return is_below(path, maker->path);
    len -= maker->path[len - 1] == '*';
    other -= path[other - 1] == '*';
    if (maker->path[len] == '\0' && path[other] == '\0')
        return len == other && strncmp(maker->path, path, len) == 0;
    if (maker->path[len] == '*' && path[other] == '*')
        return strncmp(maker->path, path, len < other ? len : other) == 0;
    return maker->path[len] == '*' ? other > len && strncmp(path, maker->path, len) == 0
                                   : len > other && strncmp(path, maker->path, other) == 0;
}

const struct nvl_node_maker *nvl_node_maker_before(const struct nvl_node_makers *makers, size_t i)
{
    const struct nvl_node_maker *late = &makers->items[i];

    /* liblxc takes an entry's target as it finds it, and nobody knows how a mount hook would */
    for (size_t k = 0; late->kind >= NVL_MADE_BY_DEV && k < i; k++)
        if (makers->items[k].setting != late->setting && nvl_node_maker_makes(&makers->items[k], late->path))
            return &makers->items[k];
    return NULL;
}
