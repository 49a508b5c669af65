/* Finds a running container's init and cgroup. */
#include "container/state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/root.h"
#include "base/run.h"
#include "container/instances.h"

/* Containers of root and of Proxmox have 0. */
static uid_t owner_of(const struct nvl_container *c)
{
    return c->owner != NULL ? c->owner->uid : 0;
}

int nvl_container_answerer(const struct nvl_container *c, uid_t *uid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t size = sizeof peer;
    nvl_autofree char *name = nvl_container_command_socket(c);
    size_t len = strlen(name);

    if (len > sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, name, len);
    address.sun_path[0] = '\0'; /* shown as '@' */
    nvl_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) <
            0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    *uid = peer.uid;
    return 0;
}

/* A link of the kernel's, which a root handle does not follow. */
static int open_user_namespace(pid_t pid)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/ns/user", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* The user who made the process's user namespace; 1 if it is the caller's own. */
static int find_maker(pid_t pid, uid_t *uid)
{
    nvl_autofd int theirs = open_user_namespace(pid), own = open_user_namespace(getpid());
    struct stat one, other;

    if (theirs < 0 || own < 0)
        return theirs < 0 ? theirs : own;
    if (fstat(theirs, &one) < 0 || fstat(own, &other) < 0)
        return -errno;
    if (one.st_dev == other.st_dev && one.st_ino == other.st_ino)
        return 1;
    return ioctl(theirs, NS_GET_OWNER_UID, uid) < 0 ? -errno : 0;
}

/* A container's name cannot pass for an option. */
static pid_t ask_for_init(const struct nvl_container *c)
{
    const char *const argv[] = {"lxc-info", "-P", c->lxcpath, "-n", c->lxc_name, "-pH", NULL};
    char text[32];
    uint64_t pid;

    if (nvl_tool_run(argv, NVL_TOOL_SECONDS, text, sizeof text) != 0)
        return 0;
    text[strcspn(text, "\n")] = '\0';
    return nvl_parse_uint(text, 10, INT32_MAX, &pid) == 0 ? (pid_t)pid : 0;
}

static int check_maker(pid_t init, uid_t owner, struct nvl_error *err)
{
    uid_t maker = 0;
    int r = find_maker(init, &maker);

    if (r < 0)
        return nvl_error_errno(err, r, "cannot tell whose process %d is", (int)init);
    if (r == 1 && owner != 0)
        return nvl_error_set(
            err, -EPERM, "process %d is not the init of that container: it shares its users with the host",
            (int)init);
    if (r == 0 && maker != owner)
        return nvl_error_set(err, -EPERM,
                             "process %d is not the init of that container: user %u set up its users, but "
                             "the container belongs to user %u",
                             (int)init, maker, owner);
    return 0;
}

/* Only root answers for a daemon. */
static pid_t init_of_instance(const struct nvl_root *root, const struct nvl_container *c,
                              struct nvl_error *err)
{
    pid_t init = nvl_instance_init(root, c->instance, err);
    int r = init > 0 ? check_maker(init, 0, err) : init;

    return r < 0 ? r : init;
}

pid_t nvl_container_init(const struct nvl_root *root, const struct nvl_container *c, struct nvl_error *err)
{
    if (c->kind == NVL_CONTAINER_DAEMON)
        return init_of_instance(root, c, err);
    uid_t owner = owner_of(c), answerer = 0;
    bool is_answered = nvl_container_answerer(c, &answerer) == 0;
    if (is_answered && answerer != owner)
        return nvl_error_set(err, -EPERM, "user %u answers for container %s, which belongs to user %u",
                             answerer, c->name, owner);
    pid_t init = is_answered ? ask_for_init(c) : 0;
    if (init <= 1)
        return nvl_error_set(err, -ESRCH,
                             "container %s is running, but its init was not found (lxc-info -P %s -n %s -p)",
                             c->name, c->lxcpath, c->name);
    int r = check_maker(init, owner, err);
    return r < 0 ? r : init;
}

char *nvl_process_cgroup(const struct nvl_root *root, pid_t pid)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/cgroup", (int)pid), *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    if (nvl_root_read(root, path, 64u << 10, &text, &len) < 0)
        return NULL;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (line_len > 3 && memcmp(line, "0::/", 4) == 0 && memmem(line, line_len, "/..", 3) == NULL)
            return nvl_xstrndup(line + 3, line_len - 3);
    return NULL;
}

/* "lxc.payload.web", and "web" of "lxc/web" and "lxc.payload/web"; NULL for none. A user's slice before it
 * tells whose it is. */
static const char *payload_name(const struct nvl_strv *parts, uid_t *uid)
{
    static const char dotted[] = "lxc.payload.", slice[] = "user-";

    *uid = 0;
    for (size_t i = 0; i < parts->count; i++) {
        const char *part = parts->items[i];
        uint64_t number;
        nvl_autofree char *digits =
            nvl_has_prefix(part, slice) && nvl_has_suffix(part, ".slice")
                ? nvl_xstrndup(part + strlen(slice), strlen(part) - strlen(slice) - strlen(".slice"))
                : NULL;
        if (digits != NULL && nvl_parse_uint(digits, 10, UINT32_MAX - 1, &number) == 0)
            *uid = (uid_t)number;
        if (nvl_has_prefix(part, dotted))
            return part + strlen(dotted);
        if ((strcmp(part, "lxc") == 0 || strcmp(part, "lxc.payload") == 0) && i + 1 < parts->count)
            return parts->items[i + 1];
    }
    return NULL;
}

static struct nvl_container *find_owned(const struct nvl_containers *all, const char *lxc_name, uid_t uid)
{
    struct nvl_container *c;
    size_t folder = 0;

    while ((c = nvl_containers_next_lxc_named(all, lxc_name, &folder)) != NULL) {
        if (owner_of(c) == uid)
            return c;
        free(c);
    }
    return NULL;
}

struct nvl_container *nvl_container_of_cgroup(const struct nvl_containers *all, const char *cgroup)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv parts = {0};
    uid_t uid;

    nvl_strv_split(&parts, cgroup, "/");
    const char *name = payload_name(&parts, &uid);
    struct nvl_container *c = name != NULL ? find_owned(all, name, uid) : NULL;
    const char *dash = name != NULL ? strrchr(name, '-') : NULL;
    if (c != NULL || dash == NULL || dash[1] == '\0' || dash[1 + strspn(dash + 1, "0123456789")] != '\0')
        return c;
    /* liblxc adds "-1" if an older cgroup of that name still exists */
    nvl_autofree char *shorter = nvl_xstrndup(name, (size_t)(dash - name));
    return find_owned(all, shorter, uid);
}

char *nvl_container_of_process(const struct nvl_root *root, const struct nvl_containers *all, pid_t pid)
{
    nvl_autofree char *cgroup = nvl_process_cgroup(root, pid);
    nvl_autofree struct nvl_container *c = cgroup != NULL ? nvl_container_of_cgroup(all, cgroup) : NULL;

    return c != NULL ? nvl_container_full_name(all, c) : NULL;
}
