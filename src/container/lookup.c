/* Finds containers: in Proxmox's cluster file system, root's lxcpath, and the users' own. Users put anything
 * into their folders, so names are checked and, for other users' entries, only regular config files count. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/root.h"
#include "base/visit.h"
#include "container/container.h"
#include "container/instances.h"
#include "container/users.h"
#include "host/system.h"

#define PVE_DIR       "/etc/pve/lxc"
#define PVE_NODES     "/etc/pve/nodes"
#define LXC_CONF      "/etc/lxc/lxc.conf"
#define USER_LXC_DIR  "/.local/share/lxc"
#define USER_LXC_CONF "/.config/lxc/lxc.conf"

struct search {
    const struct nvl_root *root;
    bool is_root; /* the caller */
    uid_t uid;
    struct nvl_containers *found;
};

/* An absent folder is empty; an unreadable one is an error only if it is the caller's. */
static int list_failed(int r, const struct search *s, const char *folder, bool is_own, struct nvl_error *err)
{
    struct nvl_error why;

    if (r == -ENOENT)
        return 0;
    nvl_error_errno(&why, r, "cannot read the folder %s%s, to look for containers", s->root->name, folder);
    if (is_own && err != NULL)
        *err = why;
    else if (nvl_is_trouble(r) || r == -EACCES)
        nvl_strv_push(&s->found->unread, why.message);
    return is_own ? r : 0;
}

/* "220.conf"; if two nodes have the CTID, the first counts. */
static void take_ct(void *found, const char *file)
{
    uint32_t ctid;

    if (!nvl_has_suffix(file, ".conf"))
        return;
    nvl_autofree char *stem = nvl_xstrndup(file, strlen(file) - strlen(".conf"));
    if (nvl_parse_ctid(stem, &ctid) && !nvl_containers_have_ct(found, stem))
        nvl_containers_add_ct(found, ctid);
}

/* Adds a folder of CTs: this node's (node NULL), or another's, then kept apart unless asked for. */
static int find_cts(struct search *s, const char *folder, const char *node, bool asked, struct nvl_error *err)
{
    nvl_containers_add_folder(s->found, NVL_CONTAINER_PVE, folder, NULL, node)->is_elsewhere = !asked;
    int r = nvl_root_each(s->root, folder, take_ct, s->found);
    nvl_containers_sort(s->found);
    return r < 0 ? list_failed(r, s, folder, s->is_root && node == NULL, err) : 0;
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

    struct stat st;
    int there = nvl_root_stat(s->root, "/etc/pve", 0, &st);
    if (there == -ENOENT || there == -ENOTDIR)
        return 0;
    if (there < 0)
        return nvl_error_errno(err, there, "cannot look into %s/etc/pve, to look for containers",
                               s->root->name);
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

/* lxc.lxcpath of an lxc.conf, the first that liblxc reads as not empty, else the default; NULL if it is not a
 * usable path. */
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

static void take_roots(void *data, const char *name)
{
    const struct search *s = data;
    struct nvl_containers *found = s->found;
    struct stat st;
    nvl_autofree char *config =
        nvl_xasprintf("%s/%s/config", found->folders[found->n_folders - 1].path, name);

    /* for a CT, Proxmox generates that file at each start */
    if (is_good_name(name) && !nvl_containers_have_ct(found, name) &&
        nvl_root_stat(s->root, config, AT_SYMLINK_NOFOLLOW, &st) == 0)
        nvl_containers_add_lxc(found, name);
}

static int find_roots(struct search *s, struct nvl_error *err)
{
    nvl_autofree char *lxcpath = read_lxcpath(s->root, LXC_CONF, NVL_LXC_DIR);

    if (lxcpath == NULL) {
        nvl_error_set(err, -EINVAL, "%s" LXC_CONF ": lxc.lxcpath is not an absolute path", s->root->name);
        return s->is_root ? -EINVAL : 0;
    }
    nvl_strv_push(&s->found->looked, lxcpath);
    nvl_containers_add_folder(s->found, NVL_CONTAINER_LXC, lxcpath, NULL, NULL);
    int r = nvl_root_each(s->root, lxcpath, take_roots, s);
    return r < 0 ? list_failed(r, s, lxcpath, s->is_root, err) : 0;
}

/* The folder of one user, while it is read. */
struct users_search {
    const struct search *s;
    const struct nvl_user *user;
    const char *lxcpath;
    const struct nvl_root *place; /* where it is resolved: in the home, or on the host */
    const char *inside;           /* the part of lxcpath that is resolved there */
    bool has_some;
};

/* Whether NAME/config of a user counts: for the users themselves anything, so that errors in it get reported;
 * for root a regular file, and outside of the home one of the user's own. */
static bool counts(const struct users_search *u, const char *name)
{
    struct stat st;
    nvl_autofree char *full = nvl_xasprintf("%s/%s/config", u->lxcpath, name);

    int r = nvl_root_stat(u->place, full + (u->inside - u->lxcpath), AT_SYMLINK_NOFOLLOW, &st);
    if (r < 0) /* whoever reads the config says why not */
        return nvl_is_trouble(r);
    if (!u->s->is_root)
        return true;
    return S_ISREG(st.st_mode) && (nvl_user_owns_path(u->user, full) || st.st_uid == u->user->uid);
}

static void take_users(void *data, const char *name)
{
    struct users_search *u = data;
    struct nvl_containers *found = u->s->found;

    if (!is_good_name(name) || !counts(u, name))
        return;
    if (!u->has_some)
        nvl_containers_add_folder(found, NVL_CONTAINER_LXC, u->lxcpath, u->user, NULL);
    u->has_some = true;
    nvl_containers_add_lxc(found, name);
}

static int find_users_own(const struct search *s, const struct nvl_user *user, const struct nvl_root *home,
                          const char *lxcpath, struct nvl_error *err)
{
    nvl_auto(nvl_root_close) struct nvl_root elsewhere = NVL_ROOT_NONE;
    struct users_search u = {
        .s = s, .user = user, .lxcpath = lxcpath, .place = home, .inside = lxcpath + strlen(user->home)};
    int r = 0;

    if (!nvl_user_owns_path(user, lxcpath)) {
        r = nvl_user_open_place(s->root, user, lxcpath, &elsewhere, &u.inside);
        u.place = &elsewhere;
    }
    if (r == 0)
        r = nvl_root_each(u.place, u.inside, take_users, &u);
    /* root need not hear of every user without containers */
    if (r == 0 || !s->is_root)
        nvl_strv_push(&s->found->looked, lxcpath);
    return r < 0 ? list_failed(r, s, lxcpath, !s->is_root, err) : 0;
}

static int find_user(const struct search *s, const struct nvl_user *user, struct nvl_error *err)
{
    nvl_auto(nvl_root_close) struct nvl_root place = NVL_ROOT_NONE;
    nvl_autofree char *conf = nvl_xasprintf("%s" USER_LXC_CONF, user->home);
    nvl_autofree char *fallback = nvl_xasprintf("%s" USER_LXC_DIR, user->home);
    const char *inside;

    int r = nvl_user_open_place(s->root, user, conf, &place, &inside);
    if (r < 0)
        return list_failed(r, s, user->home, !s->is_root, err);
    nvl_autofree char *lxcpath = read_lxcpath(&place, inside, fallback);
    if (lxcpath == NULL && !s->is_root)
        return nvl_error_set(err, -EINVAL, "%s: lxc.lxcpath is not an absolute path", conf);
    return lxcpath != NULL ? find_users_own(s, user, &place, lxcpath, err) : 0;
}

/* A home that does not answer is left out, as one that cannot be read; the visit has said so. */
static int visit_home(const struct search *s, const struct nvl_user *user, struct nvl_error *err)
{
    if (nvl_user_visit(s->root, user) < 0)
        return 0;
    int r = find_user(s, user, err);
    nvl_visit_end();
    return r;
}

/* The homes of system users: folders of root's, in which no user can have a container. */
static bool is_system_folder(const char *home)
{
    static const char *const folders[] = {"/bin", "/sbin", "/usr/bin",  "/usr/sbin",   "/usr/games",
                                          "/dev", "/proc", "/var/mail", "/nonexistent"};

    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        if (strcmp(home, folders[i]) == 0)
            return true;
    return false;
}

/* Root searches the homes of users who can have containers; anyone else searches their own. */
static int find_users(const struct search *s, struct nvl_error *err)
{
    struct nvl_users *users = &s->found->users;
    nvl_auto(nvl_id_ranges_clear) struct nvl_id_ranges ranges = {0};

    int r = nvl_users_read(s->root, users, err);
    if (s->is_root)
        nvl_id_ranges_read(s->root, &ranges);
    for (size_t i = 0; i < users->count && r == 0; i++) {
        const struct nvl_user *user = &users->items[i];
        if (s->is_root ? !is_system_folder(user->home) && nvl_id_ranges_has(&ranges, user)
                       : user->uid == s->uid)
            r = visit_home(s, user, err);
    }
    return r;
}

int nvl_containers_find(const struct nvl_root *root, bool cluster, struct nvl_containers *containers,
                        struct nvl_error *err)
{
    struct search s = {.root = root, .is_root = geteuid() == 0, .uid = geteuid(), .found = containers};

    *containers = (struct nvl_containers){0};
    /* without it, the folders of Proxmox's CTs in /var/lib/lxc would count as root's containers */
    int r = nvl_cluster_check(root, err);
    if (r == 0)
        r = find_pve(&s, cluster, err);
    if (r == 0)
        r = find_roots(&s, err);
    if (r == 0)
        r = find_users(&s, err);
    if (r == 0)
        nvl_instances_find(root, cluster, containers);
    if (r < 0) {
        nvl_containers_clear(containers);
        return r;
    }
    nvl_containers_sort(containers);
    containers->majors = nvl_xcalloc(1, sizeof *containers->majors);
    nvl_majors_read(root, containers->majors, NULL);
    return 0;
}
