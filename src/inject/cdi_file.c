/* Copies CDI specifications into containers. */
#include "inject/cdi_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "base/root.h"
#include "inject/home.h"

#define TEXT_MAX (1u << 20)

/* One component of a path: LXC takes no other names. */
char *nvl_cdi_file_path(const char *container)
{
    bool is_name = container[0] != '\0' && container[0] != '.' && strchr(container, '/') == NULL;

    return is_name ? nvl_xasprintf(NVL_CDI_COPIES_DIR "/%s.json", container) : NULL;
}

int nvl_cdi_file_read(const struct nvl_root *host, const char *container, char **text)
{
    nvl_autofree char *path = nvl_cdi_file_path(container);
    size_t len;

    return path != NULL ? nvl_root_read(host, path, TEXT_MAX, text, &len) : -ENOENT;
}

/* No link at the last component is followed: it is replaced. What lies on a mount is not looked at. */
static int read_present(const struct nvl_root *rootfs, char **text)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    nvl_autofd int fd = nvl_root_openat(&own, NVL_CDI_FILE, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    size_t len;

    return fd < 0 ? fd : nvl_fd_read(fd, TEXT_MAX, text, &len);
}

/* pre-start made the text when the container's mounts were not there yet. The caller frees. */
static char *with_home(const char *text, const char *home)
{
    static const char key[] = "\"hostPath\": \"";
    struct nvl_buf out = {0};
    const char *at;

    while ((at = strstr(text, key)) != NULL) {
        at += sizeof key - 1;
        nvl_buf_add(&out, text, (size_t)(at - text));
        for (size_t i = 0; i < NVL_HOMES; i++)
            if (nvl_has_prefix(at, nvl_homes[i])) {
                nvl_buf_add(&out, home, strlen(home));
                at += strlen(nvl_homes[i]);
                break;
            }
        text = at;
    }
    nvl_buf_add(&out, text, strlen(text));
    return nvl_buf_take(&out);
}

int nvl_cdi_file_put(const struct nvl_root *rootfs, const char *home, const char *text)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    nvl_autofree char *present = NULL, *wanted = with_home(text, home != NULL ? home : nvl_homes[0]);
    const char *name;

    if (read_present(rootfs, &present) == 0 && strcmp(present, wanted) == 0)
        return 1;
    int r = nvl_root_make_parents(&own, NVL_CDI_FILE);
    if (r < 0)
        return r;
    nvl_autofd int folder = nvl_root_open_parent(&own, NVL_CDI_FILE, &name);
    return folder < 0 ? folder : nvl_file_replace(folder, name, wanted, strlen(wanted), NULL, NULL);
}

/* By what `nvlxc cdi` gives containers: a mount of the driver where they have it. */
bool nvl_cdi_file_is_own(const struct nvl_root *rootfs)
{
    nvl_autofree char *text = NULL;

    return read_present(rootfs, &text) == 0 && strstr(text, "\"nvidia.com/gpu\"") != NULL &&
           strstr(text, "\"containerPath\": \"" NVL_MOUNT_POINT "\"") != NULL;
}

/* Leaves the folder unless it is empty: the container may have made it. */
int nvl_cdi_file_remove(const struct nvl_root *rootfs)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    const char *name;
    nvl_autofd int folder = nvl_root_open_parent(&own, NVL_CDI_FILE, &name);

    if (folder < 0)
        return folder;
    if (unlinkat(folder, name, 0) < 0)
        return -errno;
    /* by its path: a folder that is a link to the root would have its ".." outside */
    nvl_autofd int above = nvl_root_open_parent(&own, NVL_CDI_FOLDER, &name);
    if (above >= 0)
        unlinkat(above, name, AT_REMOVEDIR);
    return 0;
}

void nvl_cdi_file_forget(const struct nvl_root *host, const char *container)
{
    nvl_autofree char *path = nvl_cdi_file_path(container);

    if (path != NULL)
        nvl_root_unlink(host, path);
}
