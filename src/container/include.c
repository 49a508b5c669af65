/* lxc.include: which keys are in force, in liblxc's order. A user's config may include what it likes: itself,
 * a FIFO, a folder of a million files. So everything is counted. */
#include "container/include.h"

#include <errno.h>

#define DEPTH_MAX 16
#define FILES_MAX 256
#define BYTES_MAX (4u << 20)

struct walk {
    const struct nvl_root *root;
    nvl_key_fn *each;
    void *context;
    unsigned depth, files;
    size_t bytes;
};

static int walk_config(struct walk *w, const struct nvl_config *config, const bool *skip,
                       struct nvl_error *err);

static int read_include(struct walk *w, const char *path, char **text, size_t *len, struct nvl_error *err)
{
    struct stat st;

    if (++w->files > FILES_MAX)
        return nvl_error_set(err, -ELOOP, "lxc.include: more than %d files are included", FILES_MAX);
    /* looked at before it is opened: opening a device can already do something */
    int r = nvl_root_stat(w->root, path, 0, &st);
    if (r == 0 && !S_ISREG(st.st_mode))
        return nvl_error_set(err, -EINVAL, "lxc.include: %s is not a regular file", path);
    if (r == 0)
        r = nvl_root_read(w->root, path, NVL_CONFIG_MAX, text, len);
    if (r < 0) {
        nvl_error_errno(err, r, "lxc.include: cannot read %s", path);
        nvl_error_hint(err, "LXC needs the file too: restore it, or take its lxc.include line out");
        return r;
    }
    w->bytes += *len;
    return 0;
}

static int walk_file(struct walk *w, const char *path, struct nvl_error *err)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    char *text = NULL;
    size_t len = 0;

    if (w->depth >= DEPTH_MAX) {
        nvl_error_set(err, -ELOOP, "lxc.include: %s is included more than %d levels deep", path, DEPTH_MAX);
        nvl_error_hint(err, "a file that includes itself? LXC cannot load it either");
        return -ELOOP;
    }
    int r = read_include(w, path, &text, &len, err);
    if (r < 0)
        return r;
    if (w->bytes > BYTES_MAX) {
        free(text);
        return nvl_error_set(err, -EFBIG, "lxc.include: more than %u MiB are included", BYTES_MAX >> 20);
    }
    r = nvl_config_parse(&config, NVL_DIALECT_LXC, text, len, err);
    if (r < 0)
        return nvl_error_prefix(err, "lxc.include: %s", path);
    w->depth++;
    r = walk_config(w, &config, NULL, err);
    w->depth--;
    return r;
}

static int walk_folder(struct walk *w, const char *folder, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    int r = nvl_root_list(w->root, folder, &names);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return nvl_error_errno(err, r, "lxc.include: cannot read the folder %s", folder);
    for (size_t i = 0; i < names.count; i++) {
        if (strlen(names.items[i]) < sizeof "x.conf" - 1 || !nvl_has_suffix(names.items[i], ".conf"))
            continue;
        nvl_autofree char *path =
            nvl_xasprintf("%s%s%s", folder, nvl_has_suffix(folder, "/") ? "" : "/", names.items[i]);
        r = walk_file(w, path, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int walk_include(struct walk *w, const char *path, struct nvl_error *err)
{
    struct stat st;

    if (path[0] != '/')
        return nvl_error_set(err, -EINVAL, "lxc.include: %s is not an absolute path", path);
    bool is_folder =
        nvl_has_suffix(path, "/") || (nvl_root_stat(w->root, path, 0, &st) == 0 && S_ISDIR(st.st_mode));
    return is_folder ? walk_folder(w, path, err) : walk_file(w, path, err);
}

static int walk_config(struct walk *w, const struct nvl_config *config, const bool *skip,
                       struct nvl_error *err)
{
    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind != NVL_LINE_KEY || (skip != NULL && skip[i]))
            continue;
        bool is_include = strcmp(line->key, "lxc.include") == 0 && line->value[0] != '\0';
        int r =
            is_include ? walk_include(w, line->value, err) : w->each(w->context, line->key, line->value, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int nvl_config_walk(const struct nvl_root *root, const struct nvl_config *config, const bool *skip,
                    nvl_key_fn *each, void *context, struct nvl_error *err)
{
    struct walk w = {.root = root, .each = each, .context = context};

    return walk_config(&w, config, skip, err);
}
