/* The driver's home: the folder of a container's root file system on which the bundle is mounted. It is
 * /usr/local/nvidia, or another place where that cannot be one: on a mount that is not the container's own,
 * behind a broken link, in the way of something else. Nothing else in nvlxc knows where the driver is. */
#pragma once

struct nvl_root;

#define NVL_HOMES 2
/* In the order in which they are tried. The last component of each is "nvidia". */
extern const char *const nvl_homes[NVL_HOMES];

/* Where the driver is in this root file system, or was at its last start: as the linker's configuration notes
 * it, else the one that exists, else the one that a start would choose. One of nvl_homes. */
const char *nvl_home(const struct nvl_root *rootfs);
/* "/lib64/libcuda.so.1" for a path below a home; NULL for any other. */
const char *nvl_path_below_home(const char *path);
/* Whether the home can be mounted on, or be made: 0, or -EXDEV, -ENOTDIR, -ENOENT (a broken link), -EROFS,
 * -EACCES, -ENOSPC. */
int nvl_home_judge(const struct nvl_root *rootfs, const char *home);
/* The same for people, to follow the path: "lies on a mount of its own". */
const char *nvl_home_obstacle(int error);
/* The first that can be it; NULL if none can. `errors`: what is in the way of each that was tried. */
const char *nvl_home_choose(const struct nvl_root *rootfs, int errors[NVL_HOMES]);
