/* The CDI specification of a container's grant, for the engines that run in it: /etc/cdi/nvlxc.json there. A
 * start makes it anew, since GPUs change their numbers: pre-start has `nvlxc cdi` write it on the host, to
 * /run/nvlxc/cdi/NAME.json, and the mount hook copies it, so that the hook needs to know nothing of the
 * format. */
#pragma once

#include <stdbool.h>

struct nvl_root;
struct nvl_strv;

/* The host's file for the container of that name; NULL if the name is none. The caller frees. */
char *nvl_cdi_file_path(const char *container);
/* Reads it, to be given to nvl_cdi_file_put; the caller frees. */
int nvl_cdi_file_read(const struct nvl_root *host, const char *container, char **text);
/* Writes it into the container, with the driver at `home` (NULL: it has none), if it has another one. 1 if it
 * had it already. -EEXIST: something else is there. */
int nvl_cdi_file_put(const struct nvl_root *rootfs, const char *home, const char *text);
/* Whether the container has one that nvlxc made, for whichever grant. */
bool nvl_cdi_file_is_own(const struct nvl_root *rootfs);
int nvl_cdi_file_remove(const struct nvl_root *rootfs);
/* Forgets the host's file. */
void nvl_cdi_file_forget(const struct nvl_root *host, const char *container);
