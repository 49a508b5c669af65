/* A root handle: one directory descriptor from which everything of a host, or of a container's root file
 * system, is reached. Paths are resolved by openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: absolute
 * links and
 * `..` stay inside, whoever wrote them. With "/" it is the machine; with `--root DIR` a captured host.
 *
 * Paths are given absolute ("/etc/ld.so.cache") and mean "below this root". Functions give negative errnos.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"

struct nvl_root {
    int fd;          /* O_PATH | O_DIRECTORY */
    char *name;      /* as the user named it, without a trailing slash; "" for "/" */
    bool is_machine; /* opened as "/": no path leads out of it, so it is not confined where that costs */
};
#define NVL_ROOT_NONE ((struct nvl_root){.fd = -1})

int nvl_root_open(struct nvl_root *root, const char *dir, struct nvl_error *err);
/* Takes over the descriptor; `name` is copied and used in messages only. */
void nvl_root_from_fd(struct nvl_root *root, int fd, const char *name);
void nvl_root_close(struct nvl_root *root);
/* A handle on a directory that is open and stays the caller's: not to be closed. Its name is "". */
struct nvl_root nvl_root_borrow(int fd);
bool nvl_root_is_machine(const struct nvl_root *root); /* opened as "/" */

/* A descriptor (O_CLOEXEC is added), following links inside the root; with O_NOFOLLOW in flags the last
 * component must not be a link (-ELOOP). With O_CREAT the mode is 0644. Never blocks on a FIFO when
 * O_NONBLOCK is given. */
int nvl_root_openat(const struct nvl_root *root, const char *path, int flags);
/* Opens the directory that holds the last component of `path`, as O_PATH; *name is that component (points
 * into path). The way to create, replace or remove something. */
int nvl_root_open_parent(const struct nvl_root *root, const char *path, const char **name);

/* Makes the folder and those above it that are missing, mode 0755 whatever the umask; 0 where it is there. */
int nvl_root_make_folder(const struct nvl_root *root, const char *path);
/* The same for the folders above the last component of `path`. */
int nvl_root_make_parents(const struct nvl_root *root, const char *path);

/* A whole regular file, at most max bytes (-EFBIG beyond; -EINVAL where it is not a regular file; never
 * blocks). *data is NUL-terminated and the caller's. */
int nvl_root_read(const struct nvl_root *root, const char *path, size_t max, char **data, size_t *len);
/* The first line of a file of sysfs, without its newline, at most size - 1 bytes of it: one read, as sysfs
 * gives it. */
int nvl_root_read_attribute(const struct nvl_root *root, const char *path, char *line, size_t size);
/* A link's text, as it stands there; the caller frees. */
int nvl_root_readlink(const struct nvl_root *root, const char *path, char **target);
/* flags: 0 or AT_SYMLINK_NOFOLLOW. */
int nvl_root_stat(const struct nvl_root *root, const char *path, int flags, struct stat *st);
bool nvl_root_exists(const struct nvl_root *root, const char *path);
/* The names in a directory without "." and "..", sorted. */
int nvl_root_list(const struct nvl_root *root, const char *path, struct nvl_strv *names);
/* Calls `take` with each of them as they come, unsorted, without keeping any: for folders of thousands. */
int nvl_root_each(const struct nvl_root *root, const char *path, void (*take)(void *data, const char *name),
                  void *data);
/* Where `path` really lies below the root, links resolved ("/usr/lib/x"); the caller frees. With `st` (may be
 * NULL): what it is. */
int nvl_root_resolve(const struct nvl_root *root, const char *path, char **real);
int nvl_root_resolve_stat(const struct nvl_root *root, const char *path, char **real, struct stat *st);
/* Whether this file or folder was met before, by whatever name (/lib is /usr/lib): `met` remembers it, as
 * text. */
bool nvl_is_met_again(struct nvl_strv *met, const struct stat *st);
/* For messages: the path with the root's name before it; the caller frees. */
char *nvl_root_show(const struct nvl_root *root, const char *path);
