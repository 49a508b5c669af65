/* Copies the driver's files into a folder: shared with the source if the file system can (reflink), hashed on
 * the way. Not public: for this room. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nvl_bundle_file;
struct nvl_error;
struct nvl_root;
struct nvl_strv;

/* Called while files are copied; done and total are bytes. */
typedef void nvl_progress_fn(void *data, const char *file, uint64_t done, uint64_t total);

struct nvl_copier {
    const struct nvl_root *root; /* of the sources */
    int dirfd;                   /* the copies' folder */
    uint64_t done, total;        /* bytes of all files of this sync */
    nvl_progress_fn *progress;   /* may be NULL */
    void *progress_data;
    bool is_space_checked;
};

/* Makes the copy of one file at its path in the bundle, with mode and the source's time; fills in its
 * checksum and soname, and its size and mtime during the copy. Does not begin a copy that the free space
 * cannot hold: -ENOSPC without an error text. */
int nvl_copy_file(struct nvl_copier *copier, struct nvl_bundle_file *file, struct nvl_error *err);
/* Syncs all copies, at the end: waiting for each of them would take twice as long. */
int nvl_copies_sync(const struct nvl_copier *copier, const struct nvl_strv *paths);

/* The checksum of a bundle's files: XXH3, 128 bits (xxHash, https://xxhash.com), as XXH128 in hexadecimal,
 * which `xxhsum -H2` also prints. It finds damage: only root could forge a file of a bundle, and root could
 * forge the manifest, too. */
#define NVL_CHECKSUM_LENGTH 32
/* Of the descriptor's content from its position to the end. */
int nvl_checksum_of(int fd, char text[NVL_CHECKSUM_LENGTH + 1]);
