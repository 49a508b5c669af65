/* A single container: found by name, its config, whether it runs. */
#include "container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/locks.h"
#include "base/root.h"
#include "base/words.h"
#include "base/visit.h"
#include "container/foreign.h"
#include "container/instance.h"
#include "container/users.h"

/* What precedes the slash of a full name; the caller frees. */
static char *owner_name(const struct nvl_container *c)
{
    if (c->kind == NVL_CONTAINER_DAEMON)
        return nvl_instance_owner(c->instance);
    return nvl_xstrdup(c->kind == NVL_CONTAINER_PVE ? "pve" : c->user != NULL ? c->user : "root");
}

/* Of a daemon's default project, the project may be named, too. */
static bool has_owner(const struct nvl_container *c, const char *owner)
{
    nvl_autofree char *its = owner_name(c);

    if (strcmp(its, owner) == 0)
        return true;
    return c->kind == NVL_CONTAINER_DAEMON && nvl_has_prefix(owner, its) &&
           strcmp(owner + strlen(its), "/default") == 0;
}

static char *full_name(const struct nvl_container *c)
{
    nvl_autofree char *owner = owner_name(c);

    return nvl_xasprintf("%s/%s", owner, c->name);
}

static size_t count_named(const struct nvl_containers *containers, const char *name)
{
    size_t folder = 0, i, n = 0;

    while (nvl_containers_next_named(containers, name, &folder, &i))
        n += i < containers->count;
    return n;
}

char *nvl_container_full_name(const struct nvl_containers *containers, const struct nvl_container *c)
{
    bool is_unique = count_named(containers, c->name) <= 1;

    return is_unique ? nvl_xstrdup(c->name) : full_name(c);
}

static int ambiguous(const struct nvl_containers *containers, const char *name, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    size_t folder = 0, i;

    while (names.count < 10 && nvl_containers_next_named(containers, name, &folder, &i)) {
        nvl_autofree struct nvl_container *c = nvl_container_at(containers, i);
        nvl_autofree char *full = full_name(c);
        if (i < containers->count)
            nvl_strv_push(&names, full);
    }
    nvl_autofree char *list = nvl_strv_join(&names, ", ");
    nvl_error_set(err, -EEXIST, "several containers have the name %s: %s", name, list);
    nvl_autofree char *example = nvl_shell_word(names.items[0]);
    nvl_error_hint(err, "give the name with its owner, for example %s", example);
    return -EEXIST;
}

static int on_other_node(const struct nvl_container *c, struct nvl_error *err)
{
    nvl_autofree char *full = full_name(c);

    nvl_error_set(err, -EREMOTE, "%s %s is on the node %s, not on this one",
                  c->kind == NVL_CONTAINER_PVE ? "CT" : "container",
                  c->kind == NVL_CONTAINER_PVE ? c->name : full, c->node);
    nvl_error_hint(err, "log in to %s and run the command there", c->node);
    return -EREMOTE;
}

static int unknown(const struct nvl_containers *containers, const char *name, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    const size_t most = 20;

    for (size_t i = 0; i < containers->count && i < most; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(containers, i);
        nvl_autofree char *full = nvl_container_full_name(containers, c);
        nvl_strv_push(&names, full);
    }
    if (containers->count > most)
        nvl_strv_pushf(&names, "and %zu more", containers->count - most);
    nvl_autofree char *there = nvl_strv_join(&names, ", ");
    nvl_autofree char *looked = nvl_strv_join(&containers->looked, ", ");
    if (containers->count > 0)
        nvl_error_set(err, -ENOENT, "no container %.128s; there are: %s", name, there);
    else
        nvl_error_set(err, -ENOENT, "no container %.128s, nor any other; searched %s", name, looked);
    nvl_autofree char *unread = nvl_strv_join(&containers->unread, "\n");
    if (geteuid() != 0)
        nvl_error_hint(err, "only root can see Proxmox's and root's containers: run it with sudo");
    else if (unread[0] != '\0')
        nvl_error_hint(err, "it may be one of those that nvlxc could not see: %.900s", unread);
    return -ENOENT;
}

/* The index of the first of that name and that owner (NULL: any), including other nodes only if this one has
 * none; n_entries for none. */
static size_t find_named(const struct nvl_containers *containers, const char *owner, const char *name)
{
    size_t folder = 0, i, elsewhere = containers->n_entries;

    while (nvl_containers_next_named(containers, name, &folder, &i)) {
        nvl_autofree struct nvl_container *c = nvl_container_at(containers, i);
        if (owner != NULL && !has_owner(c, owner))
            continue;
        if (i < containers->count)
            return i;
        elsewhere = i;
    }
    return elsewhere;
}

static int find_by_name(const struct nvl_containers *containers, const char *name,
                        struct nvl_container **found, struct nvl_error *err)
{
    const char *slash = strrchr(name, '/');
    nvl_autofree char *owner = slash != NULL ? nvl_xstrndup(name, (size_t)(slash - name)) : NULL;

    *found = NULL;
    if (count_named(containers, name) > 1)
        return ambiguous(containers, name, err);
    size_t i = find_named(containers, owner, slash != NULL ? slash + 1 : name), folder = 0;
    if (i == containers->n_entries) { /* the hook's lines in the log name a container as liblxc does */
        *found = nvl_containers_next_lxc_named(containers, name, &folder);
        return *found != NULL ? 0 : unknown(containers, name, err);
    }
    nvl_autofree struct nvl_container *c = nvl_container_at(containers, i);
    if (i >= containers->count)
        return on_other_node(c, err);
    *found = TAKE_PTR(c);
    return 0;
}

static int open_users_config(const struct nvl_root *root, const struct nvl_container *c, int flags)
{
    nvl_auto(nvl_root_close) struct nvl_root place = NVL_ROOT_NONE;
    const char *inside;
    struct stat st;

    int r = nvl_user_open_place(root, c->owner, c->config_path, &place, &inside);
    if (r < 0)
        return r;
    nvl_autofd int fd = nvl_root_openat(&place, inside, flags | O_NOFOLLOW);
    if (fd < 0)
        return fd;
    if (!nvl_user_owns_path(c->owner, c->config_path) && (fstat(fd, &st) < 0 || st.st_uid != c->owner->uid))
        return -EXDEV;
    return TAKE_FD(fd);
}

/* Whoever has a lease on a file is told that somebody wants to read it, and has 45 s to let go. */
static int is_leased(const struct nvl_root *root, const struct nvl_container *c, const char *path,
                     struct nvl_error *err)
{
    nvl_autofd int fd = nvl_root_openat(root, c->config_path, O_PATH | O_NOFOLLOW);
    nvl_autofree char *holder = nvl_lock_holder_text(fd);

    nvl_error_set(err, -EAGAIN, "%s cannot be read now: %s holds a lease on it", path, holder);
    nvl_error_hint(err, "run it again in a minute; until then the file is the other program's");
    return -EAGAIN;
}

static int cannot_read(const struct nvl_container *c, int code, const char *path, struct nvl_error *err)
{
    if (code == -ENOENT)
        nvl_error_set(err, code, "%s is gone: somebody removed it after it was listed", path);
    else if (code == -ESTALE)
        nvl_error_set(err, code, "%s leads nowhere: its folder has the name, but no file is found", path);
    else if (code == -EISDIR)
        nvl_error_set(err, code, "%s is a folder; a container's config is a file", path);
    else if (code == -EINVAL)
        nvl_error_set(err, code, "%s is not a regular file", path);
    else if (code == -ELOOP)
        nvl_error_set(err, code, "%s is a link; a user's config must be a file itself", path);
    else if (code == -EXDEV)
        nvl_error_set(err, code, "%s is outside of %s's home and not %s's own file", path, c->user, c->user);
    else if (code == -EFBIG)
        nvl_error_set(err, code, "%s is larger than %u MiB, more than a config can be", path,
                      NVL_CONFIG_MAX >> 20);
    else if (code == -ETIMEDOUT)
        nvl_error_set(err, code, "cannot read %s: the home of %s does not answer", path, c->user);
    else
        nvl_error_errno(err, code, "cannot read the config %s", path);
    if (code == -EACCES && geteuid() != 0) {
        if (err != NULL)
            err->exit = NVL_EXIT_HOST;
        nvl_error_hint(err, "run it as root");
    }
    return code;
}

/* Gone, or a link that leads nowhere. */
static bool is_in_its_folder(const struct nvl_root *root, const struct nvl_container *c)
{
    const char *name = strrchr(c->config_path, '/') + 1;
    nvl_autofree char *folder = nvl_xstrndup(c->config_path, (size_t)(name - c->config_path) - 1);
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    return nvl_root_list(root, folder, &names) == 0 && nvl_strv_contains(&names, name);
}

static int open_config(const struct nvl_root *root, const struct nvl_container *c)
{
    const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;

    if (c->owner != NULL)
        return open_users_config(root, c, flags);
    int fd = c->kind == NVL_CONTAINER_PVE ? nvl_root_open_listed(root, c->config_path, flags)
                                          : nvl_root_openat(root, c->config_path, flags);
    return fd == -ENOENT && is_in_its_folder(root, c) ? -ESTALE : fd;
}

static int read_config_text(const struct nvl_root *root, const struct nvl_container *c, char **text,
                            size_t *len)
{
    if (c->instance != NULL) {
        *text = nvl_xstrdup(c->instance->raw);
        *len = strlen(*text);
        return 0;
    }
    int r = c->owner != NULL ? nvl_user_visit(root, c->owner) : 0;
    if (r < 0)
        return r;
    nvl_autofd int fd = open_config(root, c);
    r = fd < 0 ? fd : nvl_fd_read(fd, NVL_CONFIG_MAX, text, len);
    if (c->owner != NULL)
        nvl_visit_end();
    return r;
}

int nvl_container_read_config(const struct nvl_root *root, const struct nvl_container *c,
                              struct nvl_config *config, struct nvl_error *err)
{
    nvl_autofree char *path =
        c->instance != NULL ? nvl_xstrdup(c->config_path) : nvl_root_show(root, c->config_path);
    char *text = NULL;
    size_t len = 0;

    *config = (struct nvl_config){0};
    int r = read_config_text(root, c, &text, &len);
    if (r == -EAGAIN)
        return is_leased(root, c, path, err);
    if (r < 0 && c->owner == NULL)
        nvl_root_note(root, c->config_path, r);
    if (r < 0)
        return cannot_read(c, r, path, err);
    enum nvl_dialect dialect = c->kind == NVL_CONTAINER_PVE ? NVL_DIALECT_PVE : NVL_DIALECT_LXC;
    r = nvl_config_parse(config, dialect, text, len, err);
    if (r < 0)
        return nvl_error_prefix(err, "%s", path);
    config->instance = c->instance;
    if (c->majors != NULL)
        config->majors = *c->majors;
    if (c->owner == NULL) /* a user cannot make nodes, and may name a file whose reading never ends */
        nvl_config_read_hooks(root, config);
    return 0;
}

/* ---- by hostname ---- */

/* The CTs of this node that have it; `names` gets what all containers could be meant by. */
static void find_hostname(const struct nvl_root *root, const struct nvl_containers *containers,
                          const char *hostname, struct nvl_strv *ctids, struct nvl_strv *names)
{
    for (size_t i = 0; i < containers->count; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(containers, i);
        nvl_auto(nvl_config_clear) struct nvl_config config = {0};
        nvl_strv_push(names, c->name);
        if (c->kind != NVL_CONTAINER_PVE || nvl_container_read_config(root, c, &config, NULL) < 0)
            continue;
        const char *its = nvl_config_get(&config, "hostname");
        if (its != NULL)
            nvl_strv_push_once(names, its);
        if (its != NULL && strcmp(its, hostname) == 0)
            nvl_strv_push(ctids, c->name);
    }
}

static int several_meant(const char *name, const struct nvl_strv *ctids, const char *users,
                         struct nvl_error *err)
{
    nvl_autofree char *list = nvl_strv_join(ctids, ", ");

    nvl_error_set(err, -EEXIST, "%.128s is the hostname of CT %s%s%s", name, list,
                  users != NULL ? ", and names " : "", users != NULL ? users : "");
    nvl_error_hint(err, "give the CTID, for example %s%s%s", ctids->items[0], users != NULL ? ", or " : "",
                   users != NULL ? users : "");
    return -EEXIST;
}

int nvl_container_by_name(const struct nvl_root *root, const struct nvl_containers *containers,
                          const char *name, struct nvl_container **found, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv ctids = {0}, names = {0};
    int r = find_by_name(containers, name, found, err);
    bool is_users = r == 0 && (*found)->user != NULL;

    if ((r != -ENOENT && !is_users) || strchr(name, '/') != NULL)
        return r;
    find_hostname(root, containers, name, &ctids, &names);
    if (ctids.count == 1 && !is_users)
        return find_by_name(containers, ctids.items[0], found, err);
    if (ctids.count > 0) { /* a user could take any name, and get what root gives to a hostname */
        nvl_autofree char *users = is_users ? nvl_xasprintf("%s/%s", (*found)->user, name) : NULL;
        free(*found);
        *found = NULL;
        return several_meant(name, &ctids, users, err);
    }
    if (r < 0)
        nvl_word_suggest(name, &names, err);
    return r;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_of(const char *text, size_t len)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* The name of liblxc's command socket, as /proc/net/unix shows an abstract one: '@' for the NUL before it. If
 * it would not fit into an address, liblxc hashes lxcpath and name. */
char *nvl_container_command_socket(const struct nvl_container *c)
{
    const size_t room = sizeof((struct sockaddr_un *)NULL)->sun_path - 2; /* for the NULs before and behind */
    nvl_autofree char *container = nvl_xasprintf("%s/%s", c->lxcpath, c->lxc_name);
    nvl_autofree char *plain = nvl_xasprintf("@%s/command", container);

    if (strlen(plain) - 1 < room)
        return TAKE_PTR(plain);
    return nvl_xasprintf("@lxc/%016" PRIx64 "/command", hash_of(container, strlen(container)));
}

/* "Num RefCount Protocol Flags Type St Inode Path": what follows the seventh blank-separated field. */
static const char *socket_path(const char *line, size_t len, size_t *path_len)
{
    const char *p = line, *end = line + len;

    for (int field = 0; field < 7; field++) {
        while (p < end && *p == ' ')
            p++;
        while (p < end && *p != ' ')
            p++;
    }
    if (p < end)
        p++;
    *path_len = (size_t)(end - p);
    return p;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Line by line: the file lists every socket of the machine. */
void nvl_running_read(const struct nvl_root *root, struct nvl_running *running)
{
    char buffer[32768];
    nvl_autofree char *line = NULL;
    size_t size = 0;
    ssize_t len;

    *running = (struct nvl_running){0};
    int fd = nvl_root_openat(root, "/proc/net/unix", O_RDONLY | O_NONBLOCK | O_NOCTTY);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (file == NULL)
        return;
    setvbuf(file, buffer, _IOFBF, sizeof buffer);
    while ((len = getline(&line, &size, file)) > 0) {
        size_t path_len;
        len -= line[len - 1] == '\n';
        const char *path = socket_path(line, (size_t)len, &path_len);
        if (path_len > 8 && memcmp(path + path_len - 8, "/command", 8) == 0)
            *NVL_APPEND(running->sockets, running->count) = hash_of(path, path_len);
    }
    if (ferror(file))
        nvl_root_note(root, "/proc/net/unix", -errno);
    fclose(file);
    if (running->count > 1)
        qsort(running->sockets, running->count, sizeof *running->sockets, compare_hashes);
}

bool nvl_running_has(const struct nvl_running *running, const struct nvl_container *c)
{
    nvl_autofree char *socket = nvl_container_command_socket(c);
    uint64_t wanted = hash_of(socket, strlen(socket));

    return running->count > 0 &&
           bsearch(&wanted, running->sockets, running->count, sizeof wanted, compare_hashes) != NULL;
}

void nvl_running_clear(struct nvl_running *running)
{
    free(running->sockets);
    *running = (struct nvl_running){0};
}

bool nvl_container_is_running(const struct nvl_root *root, const struct nvl_container *c)
{
    nvl_auto(nvl_running_clear) struct nvl_running running = {0};

    nvl_running_read(root, &running);
    return nvl_running_has(&running, c);
}
