/* A running container's init and cgroup. */
#include "container/running.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "container/tool.h"

/* A container's name cannot be taken for an option. */
pid_t nvl_container_init(const struct nvl_container *c)
{
    const char *const argv[] = {"lxc-info", "-P", c->lxcpath, "-n", c->name, "-pH", NULL};
    char text[32];
    uint64_t pid;

    if (nvl_tool_run(argv, text, sizeof text) != 0)
        return 0;
    text[strcspn(text, "\n")] = '\0';
    return nvl_parse_uint(text, 10, INT32_MAX, &pid) == 0 ? (pid_t)pid : 0;
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
    address.sun_path[0] = '\0'; /* '@' stands for it */
    nvl_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) <
            0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    *uid = peer.uid;
    return 0;
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
