/* What a bundle contains: its files, each with its origin, and its links. Stored as manifest.json in the
 * bundle; a sync uses the same lists for what it has chosen. Not public: for this room. */
#pragma once

#include "bundle/copy.h"
#include "host/driver_version.h"
#include <stdbool.h>

struct nvl_bundle_file {
    char *path;                             /* in the bundle: "lib64/libcuda.so.550.163.01" */
    char *source;                           /* on the host, links resolved, below the root */
    uint64_t size;                          /* of the source, in bytes */
    int64_t mtime;                          /* of the source, in nanoseconds since 1970 */
    char checksum[NVL_CHECKSUM_LENGTH + 1]; /* "" before it is copied */
    char *soname;                           /* of a library; NULL for none */
};

struct nvl_bundle_link {
    char *path;   /* "lib64/libcuda.so.1" */
    char *target; /* relative: "libcuda.so.550.163.01" */
};

struct nvl_manifest {
    char version[NVL_VERSION_MAX];
    struct nvl_bundle_file *files; /* by path */
    size_t n_files;
    struct nvl_bundle_link *links; /* by path */
    size_t n_links;
};

/* -ENOENT if there is none; -EINVAL for one that is damaged or not of that version: a path that leads out of
 * the bundle counts as damage. */
int nvl_manifest_read(const struct nvl_root *root, const char *version, struct nvl_manifest *m);
/* The same for text in memory. */
int nvl_manifest_parse(const char *text, size_t len, const char *version, struct nvl_manifest *m);
/* The text of manifest.json; the caller frees. */
char *nvl_manifest_format(const struct nvl_manifest *m);
void nvl_manifest_clear(struct nvl_manifest *m);

struct nvl_bundle_file *nvl_manifest_find(const struct nvl_manifest *m, const char *path);
/* Whether both name the same file of the host, unchanged. */
bool nvl_bundle_file_same(const struct nvl_bundle_file *a, const struct nvl_bundle_file *b);
/* Adds an empty one, or returns the existing one; earlier pointers become invalid. */
struct nvl_bundle_file *nvl_manifest_add(struct nvl_manifest *m, const char *path);
void nvl_manifest_add_link(struct nvl_manifest *m, const char *path, const char *target);
void nvl_manifest_sort(struct nvl_manifest *m);
uint64_t nvl_manifest_bytes(const struct nvl_manifest *m);

/* The links that the libraries need: each soname, and libcuda.so. */
void nvl_manifest_link_sonames(struct nvl_manifest *m);
/* The text of `sonames`: "lib64 libcuda.so.1\n" for each library that the linker finds in lib64 or lib32
 * itself. The caller frees. */
char *nvl_manifest_sonames(const struct nvl_manifest *m);

struct nvl_bundle;
struct nvl_root;
struct nvl_strv;

/* Appends one line for each file and link of the bundle that does not match the manifest: missing, of another
 * size, leading elsewhere, and with `deep` (which reads all of it) of other content. A manifest that cannot
 * be read is also one line. `unseen` gets the paths of damaged files that a sync would consider good, since
 * it does not read them: they must be removed before it. */
void nvl_bundle_verify(const struct nvl_root *root, const struct nvl_bundle *bundle, bool deep,
                       struct nvl_strv *faults, struct nvl_strv *unseen);
