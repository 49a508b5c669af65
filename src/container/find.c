/* Where containers lie: Proxmox's cluster file system, root's lxcpath, and the users' own. Folders of users
 * hold what users put there, so names are checked and, of others' entries, only regular config files count.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "container/container.h"
#include "container/users.h"

#define PVE_DIR       "/etc/pve/lxc"
#define PVE_NODES     "/etc/pve/nodes"
#define LXC_DIR       "/var/lib/lxc"
#define LXC_CONF      "/etc/lxc/lxc.conf"
#define USER_LXC_DIR  "/.local/share/lxc"
#define USER_LXC_CONF "/.config/lxc/lxc.conf"

struct search {
    const struct nvl_root *root;
    bool is_root; /* who asks */
    uid_t uid;
    struct nvl_containers *found;
    struct nvl_strv cts; /* the names of those in the folders before, sorted */
};

static struct nvl_container *add(struct nvl_container **items, size_t *count, enum nvl_container_kind kind,
                                 const char *name, const char *lxcpath)
{
    struct nvl_container *c = NVL_APPEND(*items, *count);

    c->kind = kind;
    c->name = nvl_xstrdup(name);
    c->lxcpath = nvl_xstrdup(lxcpath);
    return c;
}

/* A folder that is not there holds nothing; one that cannot be read is the caller's business if it is the
 * caller's. */
static int list_failed(int r, const char *root_name, const char *folder, bool is_own, struct nvl_error *err)
{
    if (r == -ENOENT || !is_own)
        return 0;
    return nvl_error_errno(err, r, "cannot read the folder %s%s, to look for containers", root_name, folder);
}

/* "220.conf": *ctid is "220", the caller frees. */
static bool is_ct_file(const char *name, char **ctid)
{
    uint64_t n;

    if (!nvl_has_suffix(name, ".conf") || name[0] == '0')
        return false;
    nvl_autofree char *stem = nvl_xstrndup(name, strlen(name) - strlen(".conf"));
    if (nvl_parse_uint(stem, 10, 999999999, &n) < 0)
        return false;
    *ctid = TAKE_PTR(stem);
    return true;
}

/* One folder of CTs: this node's (node NULL), or another's, then kept apart unless asked for. */
static int find_cts(struct search *s, const char *folder, const char *node, bool asked, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct nvl_containers *found = s->found;
    size_t before = s->cts.count;

    int r = nvl_root_list(s->root, folder, &names);
    if (r < 0)
        return list_failed(r, s->root->name, folder, s->is_root && node == NULL, err);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *ctid = NULL;
        if (!is_ct_file(names.items[i], &ctid) ||
            nvl_strv_sorted_contains(&(struct nvl_strv){s->cts.items, before}, ctid))
            continue;
        nvl_strv_push(&s->cts, ctid);
        struct nvl_container *c =
            asked ? add(&found->items, &found->count, NVL_CONTAINER_PVE, ctid, LXC_DIR)
                  : add(&found->elsewhere, &found->n_elsewhere, NVL_CONTAINER_PVE, ctid, LXC_DIR);
        c->config_path = nvl_xasprintf("%s/%s", folder, names.items[i]);
        c->node = node != NULL ? nvl_xstrdup(node) : NULL;
    }
    nvl_strv_sort(&s->cts);
    return 0;
}

/* /etc/pve/lxc is a link to nodes/NODE/lxc. */
static bool is_this_node(const struct nvl_root *root, const char *folder)
{
    nvl_autofree char *here = NULL;

    return nvl_root_resolve(root, PVE_DIR, &here) == 0 && strcmp(here, folder) == 0;
}

static int find_pve(struct search *s, bool cluster, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv nodes = {0};

    if (!nvl_root_exists(s->root, "/etc/pve"))
        return 0;
    nvl_strv_push(&s->found->looked, PVE_DIR);
    int r = find_cts(s, PVE_DIR, NULL, true, err);
    if (r < 0 || nvl_root_list(s->root, PVE_NODES, &nodes) < 0)
        return r;
    for (size_t i = 0; i < nodes.count && r == 0; i++) {
        nvl_autofree char *folder = nvl_xasprintf(PVE_NODES "/%s/lxc", nodes.items[i]);
        if (!is_this_node(s->root, folder))
            r = find_cts(s, folder, nodes.items[i], cluster, err);
    }
    return r;
}

static bool is_good_name(const char *name)
{
    if (name[0] == '.' || name[0] == '\0')
        return false;
    for (; *name != '\0'; name++)
        if ((unsigned char)*name < ' ' || *name == 0x7f || *name == '/')
            return false;
    return true;
}

/* lxc.lxcpath of an lxc.conf, the first that is not empty as liblxc reads it, else the default; NULL where it
 * is no path that could be used. */
static char *read_lxcpath(const struct nvl_root *place, const char *conf, const char *fallback)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    char *text;
    size_t len;
    const char *value = NULL;

    if (nvl_root_read(place, conf, NVL_CONFIG_MAX, &text, &len) == 0 &&
        nvl_config_parse(&config, NVL_DIALECT_LXC, text, len, NULL) == 0)
        for (size_t i = 0; i < config.n_lines && value == NULL; i++)
            if (config.lines[i].kind == NVL_LINE_KEY && strcmp(config.lines[i].key, "lxc.lxcpath") == 0 &&
                config.lines[i].value[0] != '\0')
                value = config.lines[i].value;
    if (value == NULL)
        value = fallback;
    size_t end = strlen(value);
    while (end > 1 && value[end - 1] == '/')
        end--;
    nvl_autofree char *path = nvl_xstrndup(value, end);
    bool is_good = path[0] == '/' && strstr(path, "/../") == NULL && !nvl_has_suffix(path, "/..");
    for (const char *p = path; *p != '\0'; p++)
        is_good = is_good && (unsigned char)*p >= ' ' && *p != 0x7f;
    return is_good ? TAKE_PTR(path) : NULL;
}

static int find_roots(const struct search *s, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *lxcpath = read_lxcpath(s->root, LXC_CONF, LXC_DIR);
    struct stat st;

    if (lxcpath == NULL) {
        nvl_error_set(err, -EINVAL, "%s" LXC_CONF ": lxc.lxcpath is not an absolute path", s->root->name);
        return s->is_root ? -EINVAL : 0;
    }
    nvl_strv_push(&s->found->looked, lxcpath);
    int r = nvl_root_list(s->root, lxcpath, &names);
    if (r < 0)
        return list_failed(r, s->root->name, lxcpath, s->is_root, err);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s/config", lxcpath, names.items[i]);
        /* of a CT, that is what Proxmox generates at each start */
        if (!is_good_name(names.items[i]) || nvl_strv_sorted_contains(&s->cts, names.items[i]) ||
            nvl_root_stat(s->root, path, AT_SYMLINK_NOFOLLOW, &st) < 0)
            continue;
        struct nvl_container *c =
            add(&s->found->items, &s->found->count, NVL_CONTAINER_LXC, names.items[i], lxcpath);
        c->config_path = TAKE_PTR(path);
    }
    return 0;
}

/* Whether what a user has as NAME/config counts: to the user itself everything, so that what is wrong with it
 * can be said; to root a regular file, and outside of the home the user's own. */
static bool counts(const struct search *s, const struct nvl_user *user, const struct nvl_root *place,
                   const char *config, const char *full)
{
    struct stat st;

    if (nvl_root_stat(place, config, AT_SYMLINK_NOFOLLOW, &st) < 0)
        return false;
    if (!s->is_root)
        return true;
    return S_ISREG(st.st_mode) && (nvl_user_owns_path(user, full) || st.st_uid == user->uid);
}

static int find_users_own(const struct search *s, const struct nvl_user *user, const struct nvl_root *home,
                          const char *lxcpath, struct nvl_error *err)
{
    nvl_auto(nvl_root_close) struct nvl_root elsewhere = NVL_ROOT_NONE;
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    const struct nvl_root *place = home;
    const char *inside = lxcpath + strlen(user->home);
    int r = 0;

    if (!nvl_user_owns_path(user, lxcpath)) {
        r = nvl_user_open_place(s->root, user, lxcpath, &elsewhere, &inside);
        place = &elsewhere;
    }
    if (r == 0)
        r = nvl_root_list(place, inside, &names);
    /* root need not hear of every user without containers */
    if (r == 0 || !s->is_root)
        nvl_strv_push(&s->found->looked, lxcpath);
    if (r < 0)
        return list_failed(r, s->root->name, lxcpath, !s->is_root, err);
    for (size_t i = 0; i < names.count; i++) {
        if (!is_good_name(names.items[i]))
            continue;
        nvl_autofree char *full = nvl_xasprintf("%s/%s/config", lxcpath, names.items[i]);
        if (!counts(s, user, place, full + (inside - lxcpath), full))
            continue;
        struct nvl_container *c =
            add(&s->found->items, &s->found->count, NVL_CONTAINER_LXC, names.items[i], lxcpath);
        c->user = nvl_xstrdup(user->name);
        c->config_path = TAKE_PTR(full);
    }
    return 0;
}

static int find_user(const struct search *s, const struct nvl_user *user, struct nvl_error *err)
{
    nvl_auto(nvl_root_close) struct nvl_root place = NVL_ROOT_NONE;
    nvl_autofree char *conf = nvl_xasprintf("%s" USER_LXC_CONF, user->home);
    nvl_autofree char *fallback = nvl_xasprintf("%s" USER_LXC_DIR, user->home);
    const char *inside;

    int r = nvl_user_open_place(s->root, user, conf, &place, &inside);
    if (r < 0)
        return list_failed(r, s->root->name, user->home, !s->is_root, err);
    nvl_autofree char *lxcpath = read_lxcpath(&place, inside, fallback);
    if (lxcpath == NULL && !s->is_root)
        return nvl_error_set(err, -EINVAL, "%s: lxc.lxcpath is not an absolute path", conf);
    return lxcpath != NULL ? find_users_own(s, user, &place, lxcpath, err) : 0;
}

/* Where users of the system are at home: folders that are root's, in which no user can have a container. */
static bool is_system_folder(const char *home)
{
    static const char *const folders[] = {"/bin", "/sbin", "/usr/bin",  "/usr/sbin",   "/usr/games",
                                          "/dev", "/proc", "/var/mail", "/nonexistent"};

    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        if (strcmp(home, folders[i]) == 0)
            return true;
    return false;
}

static int find_users(const struct search *s, struct nvl_error *err)
{
    nvl_auto(nvl_users_clear) struct nvl_users users = {0};

    int r = nvl_users_read(s->root, &users, err);
    for (size_t i = 0; i < users.count && r == 0; i++)
        if (s->is_root ? !is_system_folder(users.items[i].home) : users.items[i].uid == s->uid)
            r = find_user(s, &users.items[i], err);
    return r;
}

static int compare(const void *a, const void *b)
{
    const struct nvl_container *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind == NVL_CONTAINER_PVE ? -1 : 1;
    if (x->kind == NVL_CONTAINER_PVE &&
        strlen(x->name) != strlen(y->name)) /* numbers without leading zeros */
        return strlen(x->name) < strlen(y->name) ? -1 : 1;
    int order = strcmp(x->user != NULL ? x->user : "", y->user != NULL ? y->user : "");
    return order != 0 ? order : strcmp(x->name, y->name);
}

static int compare_names(const void *a, const void *b, void *items)
{
    const struct nvl_container *containers = items;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = strcmp(containers[x].name, containers[y].name);

    return order != 0 ? order : (int)(x > y) - (int)(x < y);
}

/* What all of them share, and the order of their names. */
static void complete(const struct nvl_root *root, struct nvl_containers *containers)
{
    containers->majors = nvl_xcalloc(1, sizeof *containers->majors);
    nvl_majors_read(root, containers->majors, NULL);
    containers->by_name = nvl_xcalloc(containers->count, sizeof *containers->by_name);
    for (size_t i = 0; i < containers->count; i++) {
        if (containers->items[i].node == NULL)
            containers->items[i].majors = containers->majors;
        containers->by_name[i] = i;
    }
    qsort_r(containers->by_name, containers->count, sizeof *containers->by_name, compare_names,
            containers->items);
}

int nvl_containers_find(const struct nvl_root *root, bool cluster, struct nvl_containers *containers,
                        struct nvl_error *err)
{
    struct search s = {.root = root, .is_root = geteuid() == 0, .uid = geteuid(), .found = containers};

    *containers = (struct nvl_containers){0};
    int r = find_pve(&s, cluster, err);
    if (r == 0)
        r = find_roots(&s, err);
    if (r == 0)
        r = find_users(&s, err);
    nvl_strv_clear(&s.cts);
    if (r < 0) {
        nvl_containers_clear(containers);
        return r;
    }
    if (containers->count > 1)
        qsort(containers->items, containers->count, sizeof *containers->items, compare);
    complete(root, containers);
    return 0;
}
