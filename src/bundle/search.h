/* The search for the driver's installed files, for callers that make it often: what it found is kept in
 * NVL_SEARCH_FILE ("key: value" lines), with the state of all that it looked at. While nothing of that has
 * changed, `driver sync` and `host` recall it instead of searching again, which would list the library
 * folders. */
#pragma once

#include "host/userspace.h"

struct nvl_manifest;

/* What is known of the bundle of a version: it was brought up to date from this search. */
struct nvl_searched {
    char version[NVL_VERSION_MAX];
    size_t n_files;          /* in the bundle, without links */
    uint64_t bytes;          /* of those */
    struct nvl_strv missing; /* as nvl_sync_result has it */
};

struct nvl_search {
    struct nvl_userspace us; /* where recalled its versions alone */
    bool is_recalled;
    struct nvl_searched *versions; /* recalled, or synced since */
    size_t n_versions;
    struct nvl_strv asked; /* every path that was looked at; none where recalled */
    int64_t begun;         /* nanoseconds since 1970 */
};

enum nvl_search_how { NVL_SEARCH_ANEW, NVL_SEARCH_OR_RECALL };

int nvl_search_read(const struct nvl_root *root, enum nvl_search_how how, struct nvl_search *search,
                    struct nvl_error *err);
/* Makes a recalled one a search of its own. */
int nvl_search_again(const struct nvl_root *root, struct nvl_search *search, struct nvl_error *err);
void nvl_search_clear(struct nvl_search *search);

/* NULL where nothing is known of it. */
const struct nvl_searched *nvl_search_of(const struct nvl_search *search, const char *version);
/* The bundle of that manifest has been brought up to date: it counts among what was looked at. */
void nvl_search_note(struct nvl_search *search, const struct nvl_manifest *m, const struct nvl_strv *missing);

/* Keeps it for the next one. Nothing is written for a recalled one, nor where something that it looked at has
 * changed so lately that a change after it could look the same: then the next search keeps it. */
int nvl_search_keep(const struct nvl_root *root, struct nvl_search *search, struct nvl_error *err);
