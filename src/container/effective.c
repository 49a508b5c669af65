/* Reads the effective config. A user's config may include anything: itself, a FIFO, a folder of a million
 * files. So everything has a limit. */
#include "container/effective.h"

#include <errno.h>

#include "base/root.h"
#include "base/visit.h"
#include "container/container.h"
#include "container/foreign.h"
#include "container/grant_lines.h"
#include "container/instance.h"
#include "container/users.h"

#define DEPTH_MAX 16
#define FILES_MAX 256
#define BYTES_MAX (4u << 20)

struct nvl_included_file {
    char *path;
    struct nvl_config config;
    struct nvl_strv values; /* of an fstab: its lines */
};

struct reading {
    const struct nvl_root *root;
    const struct nvl_config *own;
    const struct nvl_effective *before; /* has files that were read already; NULL for none */
    struct nvl_effective *to;
    bool is_users;                        /* the container of a user who is not root */
    const struct nvl_instance_part *part; /* of a daemon's, while its lines are read */
    const char *regular;                  /* a path that was looked at: a regular file */
    unsigned depth, files;
    size_t bytes;
    int code; /* of the first include that could not be read */
    struct nvl_error *err;
};

/* ---- lists ---- */

/* The keys that clear a whole family of lists: "lxc.hook =" empties every hook's. */
static bool is_cleared_by(const char *key, const char *cleared)
{
    static const char *const families[] = {"lxc.hook", "lxc.cgroup", "lxc.cgroup2"};
    size_t len = strlen(cleared);

    if (strcmp(key, cleared) == 0)
        return true;
    for (size_t i = 0; i < NVL_LENGTH(families); i++)
        if (strcmp(cleared, families[i]) == 0)
            return strncmp(key, cleared, len) == 0 && key[len] == '.';
    return false;
}

static void drop_settings(struct nvl_effective *to, const char *cleared)
{
    size_t kept = 0;

    for (size_t i = 0; i < to->count; i++)
        if (!is_cleared_by(to->items[i].key, cleared))
            to->items[kept++] = to->items[i];
    to->count = kept;
}

/* Not NVL_APPEND: that derives the list's capacity from its count, which drop_settings lowers. */
static void push_setting(struct nvl_effective *to, struct nvl_setting setting)
{
    if (to->count == to->capacity) {
        to->capacity = to->capacity > 0 ? to->capacity * 2 : 64;
        to->items = nvl_xrealloc(to->items, to->capacity, sizeof *to->items);
    }
    to->items[to->count++] = setting;
}

/* An lxc.* key adds to a list or, with an empty value, ends the list before it. */
static void take_raw(struct nvl_effective *to, struct nvl_setting setting)
{
    if (setting.value[0] == '\0')
        drop_settings(to, setting.key);
    else
        push_setting(to, setting);
}

static struct nvl_included_file *add_file(struct nvl_effective *to, const char *path)
{
    struct nvl_included_file *file = nvl_xcalloc(1, sizeof *file);

    *NVL_APPEND(to->files, to->n_files) = file;
    file->path = nvl_xstrdup(path);
    return file;
}

/* ---- includes ---- */

static void walk_lines(struct reading *r, const struct nvl_config *config, const char *file);

/* Keeps the first error, and reads what it can. */
static void fail_include(struct reading *r, int code, struct nvl_error *err)
{
    if (r->code == 0) {
        r->code = code;
        if (r->err != NULL)
            *r->err = *err;
        nvl_error_prefix(r->err, "%s", r->to->path);
    }
}

/* One more file, and its bytes: the limits are the same for what was read before. */
static int count_file(struct reading *r, const char *key, struct nvl_error *err)
{
    if (++r->files > FILES_MAX)
        return nvl_error_set(err, -ELOOP, "%s: the config includes more than %d files", key, FILES_MAX);
    return 0;
}

static int count_bytes(struct reading *r, size_t len, const char *key, struct nvl_error *err)
{
    r->bytes += len;
    if (r->bytes <= BYTES_MAX)
        return 0;
    return nvl_error_set(err, -EFBIG, "%s: the config includes more than %u MiB", key, BYTES_MAX >> 20);
}

static int read_file(struct reading *r, const char *path, const char *key, char **text, size_t *len,
                     struct nvl_error *err)
{
    struct stat st;

    if (count_file(r, key, err) < 0)
        return -ELOOP;
    /* check before opening: opening a device can already have an effect */
    int code = path == r->regular ? 0 : nvl_root_stat(r->root, path, 0, &st);
    if (code == 0 && path != r->regular && !S_ISREG(st.st_mode))
        return nvl_error_set(err, -EINVAL, "%s: %s is not a regular file", key, path);
    if (code == 0)
        code = nvl_root_read(r->root, path, NVL_CONFIG_MAX, text, len);
    if (code < 0) {
        nvl_error_errno(err, code, "%s: cannot read %s", key, path);
        nvl_error_hint(err, "LXC needs the file too: restore it, or remove its %s line", key);
        return code;
    }
    code = count_bytes(r, *len, key, err);
    if (code < 0) {
        free(*text);
        *text = NULL;
    }
    return code;
}

/* The text of a file that was read before. */
static int take_read(struct reading *r, const struct nvl_config *read, char **text, size_t *len,
                     struct nvl_error *err)
{
    int code = count_file(r, "lxc.include", err);

    if (code == 0)
        code = count_bytes(r, read->len, "lxc.include", err);
    if (code < 0)
        return code;
    *text = nvl_xstrndup(read->text, read->len);
    *len = read->len;
    return 0;
}

/* The config of a file that was included before; NULL if it was not. */
static const struct nvl_config *find_read(const struct reading *r, const char *path)
{
    for (size_t i = 0; r->before != NULL && i < r->before->n_files; i++)
        if (r->before->files[i]->config.text != NULL && strcmp(r->before->files[i]->path, path) == 0)
            return &r->before->files[i]->config;
    return NULL;
}

static int parse_include(struct reading *r, const char *path, struct nvl_included_file **file,
                         struct nvl_error *err)
{
    char *text = NULL;
    size_t len = 0;

    if (r->depth >= DEPTH_MAX) {
        nvl_error_set(err, -ELOOP, "lxc.include: %s is more than %d levels deep", path, DEPTH_MAX);
        nvl_error_hint(err, "check for a file that includes itself; LXC cannot load it either");
        return -ELOOP;
    }
    const struct nvl_config *read = find_read(r, path);
    int code = read != NULL ? take_read(r, read, &text, &len, err)
                            : read_file(r, path, "lxc.include", &text, &len, err);
    if (code < 0)
        return code;
    *file = add_file(r->to, path);
    code = nvl_config_parse(&(*file)->config, NVL_DIALECT_LXC, text, len, err);
    return code < 0 ? nvl_error_prefix(err, "lxc.include: %s", path) : 0;
}

static void walk_file(struct reading *r, const char *path)
{
    struct nvl_included_file *file;
    struct nvl_error err = {0};

    if (r->files > FILES_MAX || r->bytes > BYTES_MAX)
        return;
    int code = parse_include(r, path, &file, &err);
    if (code < 0) {
        fail_include(r, code, &err);
        return;
    }
    file->config.majors = r->own->majors;
    if (!r->is_users)
        nvl_config_read_hooks(r->root, &file->config);
    r->depth++;
    walk_lines(r, &file->config, file->path);
    r->depth--;
}

/* As in liblxc, an absent folder is empty, and an absent file is an error. */
static void walk_folder(struct reading *r, const char *folder)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct nvl_error err = {0};

    int code = nvl_root_list(r->root, folder, &names);
    if (code < 0 && code != -ENOENT) {
        nvl_error_errno(&err, code, "lxc.include: cannot read the folder %s", folder);
        fail_include(r, code, &err);
    }
    for (size_t i = 0; i < names.count; i++) {
        if (strlen(names.items[i]) < sizeof "x.conf" - 1 || !nvl_has_suffix(names.items[i], ".conf"))
            continue;
        nvl_autofree char *path =
            nvl_xasprintf("%s%s%s", folder, nvl_has_suffix(folder, "/") ? "" : "/", names.items[i]);
        walk_file(r, path);
    }
}

/* A relative path starts in the folder in which lxc-start runs: "/" for what systemd and Proxmox start. */
static void walk_path(struct reading *r, const char *value)
{
    nvl_autofree char *path = value[0] == '/' ? nvl_xstrdup(value) : nvl_xasprintf("/%s", value);
    struct stat st;

    if (find_read(r, path) != NULL) {
        walk_file(r, path);
        return;
    }
    int code = nvl_root_stat(r->root, path, 0, &st);
    if (nvl_has_suffix(path, "/") || (code == 0 && S_ISDIR(st.st_mode))) {
        walk_folder(r, path);
        return;
    }
    r->regular = code == 0 && S_ISREG(st.st_mode) ? path : NULL;
    walk_file(r, path);
    r->regular = NULL;
}

static void walk_include(struct reading *r, const char *value)
{
    const struct nvl_instance_part *part = r->part;

    r->part = NULL;
    walk_path(r, value);
    r->part = part;
}

static void walk_lines(struct reading *r, const struct nvl_config *config, const char *file)
{
    bool is_own = config == r->own;

    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++) {
        const struct nvl_line *line = &config->lines[i];
        struct nvl_setting setting = {.key = line->key,
                                      .value = line->value,
                                      .file = file,
                                      .number = r->part != NULL ? 0 : i + 1,
                                      .line = is_own ? line : NULL,
                                      .part = r->part};
        if (line->kind != NVL_LINE_KEY)
            continue;
        if (!nvl_line_is_raw(line)) { /* Proxmox's own key: the last duplicate wins */
            drop_settings(r->to, line->key);
            push_setting(r->to, setting);
        } else if (strcmp(line->key, "lxc.include") == 0 && line->value[0] != '\0') {
            walk_include(r, line->value);
        } else {
            take_raw(r->to, setting);
        }
    }
}

/* Reads the file that lxc.mount.fstab names, each of its lines as a mount entry. */
static void take_fstab(struct reading *r)
{
    const char *path = nvl_effective_get(r->to, NVL_KEY_FSTAB), *start;
    nvl_autofree char *text = NULL;
    struct nvl_error err = {0};
    size_t len = 0, pos = 0, line_len;

    if (path == NULL)
        return;
    int code = read_file(r, path, NVL_KEY_FSTAB, &text, &len, &err);
    if (code < 0) {
        fail_include(r, code, &err);
        return;
    }
    struct nvl_included_file *file = add_file(r->to, path);
    file->config.dialect = NVL_DIALECT_LXC;
    while (nvl_next_line(text, len, &pos, &start, &line_len)) {
        nvl_autofree char *line = nvl_xstrndup(start, line_len);
        nvl_strv_push(&file->values, line);
    }
    for (size_t i = 0; i < file->values.count; i++)
        push_setting(r->to, (struct nvl_setting){.key = NVL_KEY_ENTRY,
                                                 .value = file->values.items[i],
                                                 .file = file->path,
                                                 .number = i + 1});
}

/* ---- Proxmox ---- */

static bool says_yes(const char *value)
{
    static const char *const yes[] = {"1", "on", "yes", "true"};

    for (size_t i = 0; value != NULL && i < NVL_LENGTH(yes); i++)
        if (strcasecmp(value, yes[i]) == 0)
            return true;
    return false;
}

/* What the config that Proxmox generates puts before a CT's raw lines: its common.conf denies all but the
 * base devices, its userns.conf clears that and allows all but the console. A CT with its own id map counts
 * as unprivileged. */
static void begin_as_proxmox(struct nvl_effective *to, const struct nvl_config *config)
{
    static const char *const base[] = {"c *:* m",   "b *:* m",   "c 1:3 rwm",   "c 1:5 rwm",
                                       "c 1:7 rwm", "c 5:0 rwm", "c 5:1 rwm",   "c 5:2 rwm",
                                       "c 1:8 rwm", "c 1:9 rwm", "c 136:* rwm", "c 10:229 rwm"};
    bool is_unprivileged =
        says_yes(nvl_config_get(config, "unprivileged")) || nvl_config_get(config, NVL_KEY_IDMAP) != NULL;

    push_setting(to,
                 (struct nvl_setting){.key = is_unprivileged ? NVL_KEY_ALLOW : NVL_KEY_DENY, .value = "a"});
    if (is_unprivileged)
        push_setting(to, (struct nvl_setting){.key = NVL_KEY_DENY, .value = "c 5:1 rwm"});
    for (size_t i = 0; !is_unprivileged && i < NVL_LENGTH(base); i++)
        push_setting(to, (struct nvl_setting){.key = NVL_KEY_ALLOW, .value = base[i]});
}

/* "delete: dev3,!swap" */
static void delete_pending(struct nvl_effective *to, const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, value, ", ;");
    for (size_t i = 0; i < words.count; i++)
        drop_settings(to, words.items[i] + (words.items[i][0] == '!'));
}

/* Applies what waits for the next start: first its deletions, then its keys in place of the old ones. Raw
 * lines have no effect there. */
static void apply_pending(struct reading *r)
{
    const struct nvl_config *config = r->own;

    for (int pass = 0; pass < 2; pass++) {
        bool is_pending = false;
        for (size_t i = 0; i < config->n_lines; i++) {
            const struct nvl_line *line = &config->lines[i];
            if (line->kind == NVL_LINE_SECTION)
                is_pending = nvl_is_pending_section(line);
            if (!is_pending || line->kind != NVL_LINE_KEY || nvl_line_is_raw(line))
                continue;
            bool is_delete = strcmp(line->key, "delete") == 0;
            if (pass == 0 && is_delete)
                delete_pending(r->to, line->value);
            if (pass == 0 || is_delete)
                continue;
            drop_settings(r->to, line->key);
            push_setting(r->to, (struct nvl_setting){.key = line->key,
                                                     .value = line->value,
                                                     .file = r->to->path,
                                                     .number = i + 1,
                                                     .line = line});
        }
    }
}

/* ---- Incus and LXD ---- */

/* What the daemon makes of the instance's keys and devices, before its raw.lxc or behind it. */
static void walk_parts(struct reading *r, bool is_late)
{
    const struct nvl_instance *instance = r->own->instance;

    for (size_t i = 0; instance != NULL && i < instance->n_parts; i++) {
        const struct nvl_instance_part *part = &instance->parts[i];
        if (part->is_late != is_late)
            continue;
        struct nvl_included_file *file = add_file(r->to, part->source);
        nvl_config_parse(&file->config, NVL_DIALECT_LXC, nvl_xstrdup(part->lines), strlen(part->lines), NULL);
        file->config.majors = r->own->majors;
        r->part = part;
        walk_lines(r, &file->config, file->path);
        r->part = NULL;
    }
}

/* ---- owners ---- */

/* The config that has the setting's line. */
static const struct nvl_config *config_of(const struct nvl_effective *e, const struct nvl_setting *s)
{
    for (size_t i = 0; s->line == NULL && i < e->n_files; i++)
        if (e->files[i]->path == s->file)
            return &e->files[i]->config;
    return e->config;
}

static enum nvl_about about(const struct nvl_effective *e, const struct nvl_setting *s)
{
    return s->file == NULL ? NVL_ABOUT_OTHER : nvl_setting_about(config_of(e, s), s->key, s->value);
}

/* The daemons take over an image's variables, as keys of the instance. raw.lxc comes after them. */
static bool is_images_variable(const struct nvl_setting *s)
{
    return s->part != NULL && strcmp(s->key, NVL_KEY_ENVIRONMENT) == 0;
}

/* ownership.c decides the owners of the config's own lines. What another file adds about NVIDIA was written
 * by hand; a line that says nothing by itself counts beside any line that does, wherever that is. */
static void find_owners(struct nvl_effective *e)
{
    nvl_autofree enum nvl_line_owner *own = nvl_config_owners(e->config);
    struct nvl_company company = {0};

    for (size_t i = 0; i < e->count; i++) {
        struct nvl_setting *s = &e->items[i];
        if (s->line != NULL)
            s->owner = own[s->line - e->config->lines];
        if (s->owner != NVL_OWNER_NVLXC)
            nvl_company_add(&company, about(e, s), s->key, s->value);
        else
            company.is_granted |= nvl_has_prefix(s->key, "lxc.hook.");
    }
    for (size_t i = 0; i < e->count; i++) {
        struct nvl_setting *s = &e->items[i];
        if (s->owner == NVL_OWNER_OTHER && !is_images_variable(s) &&
            nvl_is_by_hand(&company, about(e, s), s->key))
            s->owner = NVL_OWNER_BY_HAND;
    }
}

/* ---- reading ---- */

static void walk_own(struct reading *r)
{
    walk_parts(r, false);
    walk_lines(r, r->own, r->to->path);
    walk_parts(r, true);
    if (r->own->dialect == NVL_DIALECT_PVE)
        apply_pending(r);
    take_fstab(r);
}

/* LXC reads a user's config as that user: what the user cannot read is no part of it. */
static void walk_as_owner(struct reading *r, const struct nvl_container *c)
{
    struct nvl_own_rights own;
    struct nvl_error err = {0};

    if (c->owner == NULL) {
        walk_own(r);
        return;
    }
    if (nvl_user_visit(r->root, c->owner) < 0) {
        nvl_error_set(&err, -ETIMEDOUT, "the home of %s does not answer", c->user);
        fail_include(r, -ETIMEDOUT, &err);
        return;
    }
    nvl_user_become(r->root, c->owner, &own);
    walk_own(r);
    nvl_user_resume(&own);
    nvl_visit_end();
}

int nvl_effective_read_again(const struct nvl_root *root, const struct nvl_container *c,
                             const struct nvl_config *config, const struct nvl_effective *before,
                             struct nvl_effective *effective, struct nvl_error *err)
{
    struct reading r = {.root = root,
                        .own = config,
                        .before = before,
                        .to = effective,
                        .is_users = c->owner != NULL,
                        .err = err};

    *effective = (struct nvl_effective){.config = config, .path = c->config_path};
    if (config->dialect == NVL_DIALECT_PVE)
        begin_as_proxmox(effective, config);
    walk_as_owner(&r, c);
    find_owners(effective);
    return r.code;
}

int nvl_effective_read(const struct nvl_root *root, const struct nvl_container *c,
                       const struct nvl_config *config, struct nvl_effective *effective,
                       struct nvl_error *err)
{
    return nvl_effective_read_again(root, c, config, NULL, effective, err);
}

void nvl_effective_clear(struct nvl_effective *effective)
{
    for (size_t i = 0; i < effective->n_files; i++) {
        free(effective->files[i]->path);
        nvl_config_clear(&effective->files[i]->config);
        nvl_strv_clear(&effective->files[i]->values);
        free(effective->files[i]);
    }
    free(effective->files);
    free(effective->items);
    *effective = (struct nvl_effective){0};
}

bool nvl_effective_says_yes(const struct nvl_effective *effective, const char *key)
{
    return says_yes(nvl_effective_get(effective, key));
}
