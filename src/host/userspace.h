/* The driver's user-space files that are installed on the host: which versions, and in which folders. By the
 * linker cache, a list of known folders, and the one that the user named: for the layouts of Debian's
 * alternatives, NVIDIA's .run installer, and a prefix of its own (/usr/local/nvidia, /run/nvidia/driver, …).
 */
#pragma once

#include "base/text.h"
#include "host/driver_version.h"
#include "host/ldcache.h"

/* One folder that contains libraries of the driver of one version and class. */
struct nvl_library_dir {
    char *path;                    /* resolved: below the root, without links */
    enum nvl_elf_class elf;        /* 64 or 32 */
    char version[NVL_VERSION_MAX]; /* from the names libcuda.so.V / libnvidia-ml.so.V / libnvidia-*.so.V in it
                                    */
    struct nvl_strv names;         /* everything in it, sorted */
    bool is_from;                  /* it is the folder that the user named, or in it */
};

struct nvl_userspace {
    char *from;                   /* the folder that the user named (host/driver_folder.h); NULL for none */
    struct nvl_library_dir *dirs; /* by order of preference; a folder with two versions occurs twice */
    size_t n_dirs;
    struct nvl_strv versions; /* those of 64-bit libcuda or libnvidia-ml, newest first, each once */
    struct nvl_strv remnants; /* versions that are not among them, since no kernel module can load that needs
                                 them: what an earlier installation left beside today's */
};

int nvl_userspace_read(const struct nvl_root *root, struct nvl_userspace *us, struct nvl_error *err);
void nvl_userspace_clear(struct nvl_userspace *us);

/* Reads as if the user had named `from` ("" for no folder); NULL is nvl_userspace_read. */
int nvl_userspace_read_from(const struct nvl_root *root, const char *from, struct nvl_userspace *us,
                            struct nvl_error *err);
/* Whether the folder that the user named, or one in it, has libraries of this version; of any with NULL. */
bool nvl_userspace_is_from(const struct nvl_userspace *us, const char *version);

/* 64 or 32 by the file's first bytes, and ELF's number of its architecture in *machine (may be NULL); OTHER
 * if it cannot be read, or is an empty file of a captured host. */
enum nvl_elf_class nvl_library_class(const struct nvl_root *root, const char *path, unsigned *machine);
