/* The files that nvlxc keeps in a container's root file system. One table says them all
 * (inject/files.c): the hook writes them, detach takes them away. What is there already and not ours
 * stays. Folders that are missing are made for the mount point and for the ICD and vendor files; which ones
 * were, the linker's configuration file says in comments, so that detach takes away those and no others. The
 * root file system is hostile: everything goes through its root handle, and no link is followed at the last
 * component. */
#pragma once

struct nvl_root;
struct nvl_strv;

/* What to write: 32-bit libraries are named in the linker's configuration only where they are granted. */
struct nvl_entries_wanted {
    unsigned capabilities;         /* of grant/grant.h */
    const struct nvl_root *bundle; /* a link is made only where its target is in the bundle */
};

/* Makes what is missing, mends what differs and takes away what is wanted no longer; the second time nothing
 * is written. `notes` gets a line for each entry that could not be made, with why. Gives the mount point as a
 * descriptor to mount on, or why it cannot be mounted on. */
int nvl_entries_write(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                      struct nvl_strv *notes);
/* Takes away what is ours. `removed` (without the folders that were made for an entry) and `notes` may be
 * NULL. */
void nvl_entries_remove(const struct nvl_root *rootfs, struct nvl_strv *removed, struct nvl_strv *notes);
/* The paths of those that are there, for messages: what nvl_entries_remove would remove. */
void nvl_entries_list(const struct nvl_root *rootfs, struct nvl_strv *paths);
/* The paths of those that these capabilities bring, for messages about a root file system that cannot be
 * looked at: beside the container's libraries, the one of Debian and its relatives. */
void nvl_entries_all(unsigned capabilities, struct nvl_strv *paths);
/* For whoever makes them in another way, in a root file system that is not known: the paths of the files and,
 * one for each, what of the bundle they are, below it; beside the container's libraries at each place where
 * those may be. What the bundle has not is left out. */
void nvl_entries_links(unsigned capabilities, const struct nvl_root *bundle, struct nvl_strv *paths,
                       struct nvl_strv *files);
