/* Whether the user that runs the probe can open device nodes. */
#include "probe/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The driver's own libraries open them for reading and writing; capability nodes only for reading. */
static int open_node(const char *path, int flags)
{
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

void probe_nodes(int count, char **paths)
{
    for (int i = 0; i < count; i++) {
        const char *path = paths[i];
        int is_read_only = path[0] == 'r' && path[1] == ':';

        path += is_read_only ? 2 : 0;
        try(path);
        say("node", open_node(path, is_read_only ? O_RDONLY : O_RDWR), "%s", path);
    }
}
