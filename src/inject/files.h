/* The files that nvlxc keeps in a container's root file system. One table lists them all (inject/places.c):
 * the hook writes them, detach removes them. Existing files that are not nvlxc's stay. Missing folders are
 * made for the mount point and for the ICD and vendor files; comments in the linker's configuration file note
 * them, so that detach removes those and no others. The root file system is hostile: all access goes through
 * its root handle, follows no link at the last component, and writes nothing through a mount below it. */
#pragma once

struct nvl_root;
struct nvl_strv;

/* What to write: the linker's configuration names 32-bit libraries only if they are granted. */
struct nvl_entries_wanted {
    unsigned capabilities;         /* of grant/grant.h */
    const struct nvl_root *bundle; /* a link is made only if its target is in the bundle */
};

/* Makes missing entries, repairs different ones and removes unwanted ones, for the driver at `home`; the
 * second time it writes nothing. `notes` gets a line for each entry that could not be made, with the reason.
 * Returns the home as a descriptor to mount on, or why mounting is impossible. */
int nvl_entries_write(const struct nvl_root *rootfs, const char *home,
                      const struct nvl_entries_wanted *wanted, struct nvl_strv *notes);
/* Removes nvlxc's entries. `removed` (without the folders that were made for an entry) and `notes` may be
 * NULL. */
void nvl_entries_remove(const struct nvl_root *rootfs, struct nvl_strv *removed, struct nvl_strv *notes);
/* What an earlier version left on a mount below the root, where another container may use it now: it stays.
 */
void nvl_entries_elsewhere(const struct nvl_root *rootfs, struct nvl_strv *paths);
/* The paths of existing entries, for messages: what nvl_entries_remove would remove. */
void nvl_entries_list(const struct nvl_root *rootfs, struct nvl_strv *paths);
/* The paths that these capabilities add, for messages about a root file system that cannot be read. Beside
 * the container's libraries this assumes the folder of Debian and its relatives. */
void nvl_entries_all(unsigned capabilities, struct nvl_strv *paths);
/* For those who create the files in another way, in an unknown root file system: the paths of the files and,
 * one for each, their sources relative to the bundle. A file beside the container's libraries appears at each
 * place where those may be. Leaves out what the bundle lacks. */
void nvl_entries_links(unsigned capabilities, const struct nvl_root *bundle, struct nvl_strv *paths,
                       struct nvl_strv *files);
