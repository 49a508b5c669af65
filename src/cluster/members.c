/* Reads the members of the cluster. Both files are data of others: names are checked, and their number is
 * bounded. */
#include "cluster/members.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <unistd.h>

#include "base/root.h"
#include "host/pve_node.h"
#include "host/system.h"

#define MEMBERS_FILE  "/etc/pve/.members"
#define COROSYNC_FILE "/etc/pve/corosync.conf"
#define FILE_MAX      (1u << 20) /* pmxcfs has no larger files */
#define DEPTH_MAX     8

bool nvl_is_node_name(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len >= NVL_NODE_NAME_MAX || name[0] == '-' || name[len - 1] == '-')
        return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && *name != '-')
            return false;
    return true;
}

bool nvl_is_member(const struct nvl_members *members, const char *node)
{
    for (size_t i = 0; i < members->count; i++)
        if (strcmp(members->items[i].name, node) == 0)
            return true;
    return false;
}

static void add_member(struct nvl_members *members, const char *name, bool is_online)
{
    if (!nvl_is_node_name(name) || members->count == NVL_MEMBERS_MAX || nvl_is_member(members, name))
        return;
    struct nvl_member *member = NVL_APPEND(members->items, members->count);
    nvl_copy(member->name, sizeof member->name, name, strlen(name));
    member->is_online = is_online;
}

static int compare_members(const void *a, const void *b)
{
    return strcmp(((const struct nvl_member *)a)->name, ((const struct nvl_member *)b)->name);
}

static void sort_members(struct nvl_members *members)
{
    if (members->count > 1)
        qsort(members->items, members->count, sizeof *members->items, compare_members);
}

/* A cluster's name is for people: only what it should be made of. */
static void take_cluster_name(struct nvl_members *members, const char *name)
{
    if (name != NULL && members->cluster == NULL && nvl_is_node_name(name))
        members->cluster = nvl_xstrdup(name);
}

/* {"nodename": "pve1", "cluster": {"name": …}, "nodelist": {"pve1": {"id": 1, "online": 1, "ip": …}, …}} */
int nvl_members_parse(const char *text, size_t len, struct nvl_members *members)
{
    json_t *all = json_loadb(text, len, 0, NULL), *node;
    const char *name, *here = json_string_value(json_object_get(all, "nodename"));
    json_t *list = json_object_get(all, "nodelist");
    int r = json_is_object(all) ? 0 : -EINVAL;

    if (here != NULL && nvl_is_node_name(here) && members->here == NULL)
        members->here = nvl_xstrdup(here);
    take_cluster_name(members, json_string_value(json_object_get(json_object_get(all, "cluster"), "name")));
    json_object_foreach(list, name, node)
    {
        json_t *online = json_object_get(node, "online");
        add_member(members, name, online == NULL || json_integer_value(online) != 0);
    }
    members->is_online_known = members->count > 0;
    sort_members(members);
    json_decref(all);
    return r;
}

/* "key: value" of a section, whose path is "nodelist/node". */
static void take_corosync_line(struct nvl_members *members, const char *path, const char *line)
{
    size_t key_len = strcspn(line, ":");
    const char *value = line + key_len + (line[key_len] == ':');

    value += strspn(value, " \t");
    if (strcmp(path, "nodelist/node") == 0 && key_len == strlen("name") && nvl_has_prefix(line, "name"))
        add_member(members, value, true);
    else if (strcmp(path, "totem") == 0 && nvl_has_prefix(line, "cluster_name:"))
        take_cluster_name(members, value);
}

/* Sections are "NAME {", their lines, and "}"; a line that begins with # says nothing. */
void nvl_members_parse_corosync(const char *text, size_t len, struct nvl_members *members)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv path = {0};
    size_t pos = 0, line_len;
    const char *line;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        while (line_len > 0 && strchr(" \t\r", line[line_len - 1]) != NULL)
            line_len--;
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        const char *words = copy + strspn(copy, " \t");
        nvl_autofree char *at = nvl_strv_join(&path, "/");
        if (*words == '#')
            continue;
        if (nvl_has_suffix(words, "{") && path.count < DEPTH_MAX) {
            nvl_autofree char *name = nvl_xstrndup(words, strcspn(words, " \t{"));
            nvl_strv_push(&path, name);
        } else if (strcmp(words, "}") == 0 && path.count > 0) {
            free(path.items[--path.count]);
        } else {
            take_corosync_line(members, at, words);
        }
    }
    sort_members(members);
}

/* -ENOENT without an error, since the other file may say it. */
static int read_file_of_members(const struct nvl_root *root, const char *path, char **text, size_t *len,
                                struct nvl_error *err)
{
    int r = nvl_root_read(root, path, FILE_MAX, text, len);

    if (r == -ENOENT || r == -ENOTDIR)
        return -ENOENT;
    if (r < 0)
        nvl_error_errno(err, r, "cannot read %s, which says who is in the cluster", path);
    if (r == -EACCES && geteuid() != 0) {
        nvl_error_exit(err, NVL_EXIT_HOST);
        nvl_error_hint(err, "run it as root");
    }
    return r;
}

static int read_members_file(const struct nvl_root *root, struct nvl_members *members, struct nvl_error *err)
{
    nvl_autofree char *text = NULL;
    size_t len;

    int r = read_file_of_members(root, MEMBERS_FILE, &text, &len, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = nvl_members_parse(text, len, members);
    return r < 0 ? nvl_error_host(err, r, MEMBERS_FILE " does not say who is in the cluster: it is damaged")
                 : 0;
}

static int read_corosync_file(const struct nvl_root *root, struct nvl_members *members, struct nvl_error *err)
{
    nvl_autofree char *text = NULL;
    size_t len;

    int r = read_file_of_members(root, COROSYNC_FILE, &text, &len, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    nvl_members_parse_corosync(text, len, members);
    if (members->count == 0)
        return nvl_error_host(err, -EINVAL, COROSYNC_FILE " names no node of the cluster");
    return 0;
}

int nvl_members_read(const struct nvl_root *root, struct nvl_members *members, struct nvl_error *err)
{
    *members = (struct nvl_members){0};
    int r = nvl_cluster_check(root, err);
    if (r == 0)
        r = read_members_file(root, members, err);
    if (r == 0 && members->count == 0)
        r = read_corosync_file(root, members, err);
    if (r == 0 && members->here == NULL)
        members->here = nvl_this_node(root);
    return r;
}

int nvl_members_need(const struct nvl_root *root, struct nvl_members *members, struct nvl_error *err)
{
    int r = nvl_members_read(root, members, err);

    if (r < 0 || members->count > 0)
        return r;
    nvl_error_host(err, -ENODEV,
                   "this host is in no Proxmox cluster, so there are no other nodes to look at");
    nvl_error_hint(err, "run the command without --cluster");
    return -ENODEV;
}

void nvl_members_removed(const struct nvl_root *root, const struct nvl_members *members,
                         struct nvl_strv *removed)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(root, NVL_NODES_DIR, &names);
    for (size_t i = 0; i < names.count && removed->count < NVL_MEMBERS_MAX; i++)
        if (nvl_is_node_name(names.items[i]) && !nvl_is_member(members, names.items[i]))
            nvl_strv_push(removed, names.items[i]);
}

void nvl_members_clear(struct nvl_members *members)
{
    free(members->items);
    free(members->cluster);
    free(members->here);
    *members = (struct nvl_members){0};
}
