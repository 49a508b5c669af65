/* The files that nvlxc keeps in a container's root file system. One table says them all: the hook writes
 * them, detach takes them away. Only existing folders are used, except the mount point's own; what is there
 * already and not ours stays. The root file system is hostile: everything goes through its root handle, and
 * no link is followed at the last component. */
#pragma once

#include "base/root.h"

/* What to write: 32-bit libraries are named in the linker's configuration only where they are granted. */
struct nvl_entries_wanted {
    unsigned capabilities;         /* of grant/grant.h */
    const struct nvl_root *bundle; /* a link is made only where its target is in the bundle */
};

/* Makes what is missing and mends what differs; the second time nothing is written. `notes` gets a line for
 * each entry that could not be made, with why. */
void nvl_entries_write(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                       struct nvl_strv *notes);
/* Takes away what is ours. `removed` and `notes` may be NULL. */
void nvl_entries_remove(const struct nvl_root *rootfs, struct nvl_strv *removed, struct nvl_strv *notes);
/* The paths of those that are there, for messages. */
void nvl_entries_list(const struct nvl_root *rootfs, struct nvl_strv *paths);
/* The paths of all entries, for messages about a root file system that cannot be looked at. */
void nvl_entries_all(struct nvl_strv *paths);
