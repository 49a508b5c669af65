/* A root handle: a directory descriptor through which everything of a host, or of a container's root file
 * system, is reached. openat2(2) resolves paths with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: absolute links
 * and `..` stay inside, whoever wrote them. With "/" it is the machine; with `--root DIR` a captured host.
 *
 * Paths are absolute ("/etc/ld.so.cache") and mean "below this root". Functions return negative errnos.
 *
 * A question has three answers: there, not there, and "cannot say" (EIO, EMFILE, ...). Whoever reads
 * something optional takes any error for "not there" and goes on; the root handle remembers the first "cannot
 * say", and whoever writes or concludes asks nvl_root_trouble before. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"

struct nvl_root {
    int fd;          /* O_PATH | O_DIRECTORY */
    char *name;      /* as the user gave it, without a trailing slash; "" for "/" */
    bool is_machine; /* opened as "/": no path leads out of it, so costly confinement is unnecessary */
    bool one_mount;  /* nvl_root_own */
    struct nvl_trouble *trouble; /* NULL: not remembered */
    bool is_visited;             /* closing it ends a visit (base/visit.h) */
};
#define NVL_ROOT_NONE ((struct nvl_root){.fd = -1})

int nvl_root_open(struct nvl_root *root, const char *dir, struct nvl_error *err);
/* Takes over the descriptor; copies `name`, and uses it only in messages. */
void nvl_root_from_fd(struct nvl_root *root, int fd, const char *name);
void nvl_root_close(struct nvl_root *root);
/* A handle on an open directory that stays the caller's: do not close it. Its name is "". */
struct nvl_root nvl_root_borrow(int fd);
/* The same directory without the mounts below it: what lies on one gives -EXDEV. A container's folder that is
 * a mount may be another's too, or the host's. Borrowed, as above. */
struct nvl_root nvl_root_own(const struct nvl_root *root);
bool nvl_root_is_machine(const struct nvl_root *root); /* opened as "/" */

/* From now on the handle remembers trouble, until it is closed. `may_all`: the caller may read everything, so
 * that a denied permission is trouble, too. */
void nvl_root_watch(struct nvl_root *root, bool may_all);
/* Whether that error is no answer to whether something is there. */
bool nvl_is_trouble(int code);
/* For a reader of an open file: remembers `code` if it is trouble. Returns it. */
int nvl_root_note(const struct nvl_root *root, const char *path, int code);
/* 0, or the error that names the first file that could not be read. */
int nvl_root_trouble(const struct nvl_root *root, struct nvl_error *err);

/* Opens a descriptor (adding O_CLOEXEC), following links inside the root; with O_NOFOLLOW in flags the last
 * component must not be a link (-ELOOP). With O_CREAT the mode is 0644. With O_NONBLOCK it never blocks on a
 * FIFO, and gives -EAGAIN for a file on which somebody holds a lease. */
int nvl_root_openat(const struct nvl_root *root, const char *path, int flags);
/* The same for a name that a listing gave. On Proxmox's cluster file system a file that somebody replaces is
 * absent for some milliseconds: -ENOENT only if it stays away for 200 ms. */
int nvl_root_open_listed(const struct nvl_root *root, const char *path, int flags);
/* Opens the directory of the last component of `path`, as O_PATH; *name is that component (points into path).
 * Use it to create, replace or remove something. */
int nvl_root_open_parent(const struct nvl_root *root, const char *path, const char **name);

/* Opens a lock of root's, and makes it with the folders above it. Nobody else may open it: whoever can, can
 * hold it. */
int nvl_root_open_lock(const struct nvl_root *root, const char *path);
/* Removes a file or a link; 0 also if it is not there. */
int nvl_root_unlink(const struct nvl_root *root, const char *path);

/* Makes the folder and missing ones above it, mode 0755 whatever the umask; 0 if it exists. */
int nvl_root_make_folder(const struct nvl_root *root, const char *path);
/* The same for the folders above the last component of `path`. */
int nvl_root_make_parents(const struct nvl_root *root, const char *path);

/* Reads a whole regular file, at most max bytes (-EFBIG beyond; -EINVAL if it is not a regular file; never
 * blocks). *data is NUL-terminated and the caller's. */
int nvl_root_read(const struct nvl_root *root, const char *path, size_t max, char **data, size_t *len);
/* Reads the first line of a file of sysfs, without its newline, at most size - 1 bytes: in one read, as sysfs
 * requires. */
int nvl_root_read_attribute(const struct nvl_root *root, const char *path, char *line, size_t size);
/* A link's text, unresolved; the caller frees. */
int nvl_root_readlink(const struct nvl_root *root, const char *path, char **target);
/* flags: 0 or AT_SYMLINK_NOFOLLOW. */
int nvl_root_stat(const struct nvl_root *root, const char *path, int flags, struct stat *st);
bool nvl_root_exists(const struct nvl_root *root, const char *path);
/* The names in a directory, except "." and "..", sorted. */
int nvl_root_list(const struct nvl_root *root, const char *path, struct nvl_strv *names);
/* Calls `take` with each name as it arrives, unsorted, without storing any: for folders of thousands. */
int nvl_root_each(const struct nvl_root *root, const char *path, void (*take)(void *data, const char *name),
                  void *data);
/* The real path below the root, with links resolved ("/usr/lib/x"); the caller frees. `st` (may be NULL) gets
 * what it is. */
int nvl_root_resolve(const struct nvl_root *root, const char *path, char **real);
int nvl_root_resolve_stat(const struct nvl_root *root, const char *path, char **real, struct stat *st);
/* Whether this file or folder was seen before, under any name (/lib is /usr/lib): `met` remembers it, as
 * text. */
bool nvl_is_met_again(struct nvl_strv *met, const struct stat *st);
/* For messages: the path with the root's name in front; the caller frees. */
char *nvl_root_show(const struct nvl_root *root, const char *path);
