/* The driver's files by capability: what a bundle consists of, which branches of the driver have it, and
 * which Debian package brings what is missing. One table; names are NVIDIA's (README of the driver,
 * libnvidia-container's lists as facts). It ages: bundle/unlisted.c takes what newer drivers have beside. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum nvl_file_kind {
    NVL_FILE_LIBRARY,  /* name is the soname, without the driver's version if it has that: "libcuda.so.1",
                          "libnvidia-glcore.so"; with a folder below lib64 for files that the linker does not
                          search */
    NVL_FILE_PLATFORM, /* a library with a version of its own that distributions build, too: only NVIDIA's own
                          build goes into a bundle, since only that runs with every C library */
    NVL_FILE_MODULE,   /* of the X server: name is its path below lib64, "xorg/modules/…" */
    NVL_FILE_PROGRAM,  /* name is the file's name in bin/ */
    NVL_FILE_DATA,     /* ICDs, nvoptix.bin: `name` is the path in the bundle. A file of the host may have the
                          architecture in its name, "nvidia_icd.x86_64.json", or the driver's version,
                          "nvidia-application-profiles-550.163.01-rc" */
    NVL_FILE_LINK,     /* a link in lib64 to the library `with` */
};

struct nvl_catalog_file {
    enum nvl_file_kind kind;
    const char *name;
    unsigned capability;  /* one bit */
    unsigned first, last; /* the branches that have it: 550; 0 for no bound */
    bool expected;        /* users miss something without it: its absence is reported for those branches */
    const char *package;  /* "libnvidia-encode1"; NULL if none is known */
    const char
        *with; /* for a file that does not contain its version: the entry that vouches for it; else NULL */
};

extern const struct nvl_catalog_file nvl_catalog[];
extern const size_t nvl_catalog_length;

/* Whether the absence of the file counts in a driver of this version, "550.163.01" or "550". */
bool nvl_catalog_expects(const struct nvl_catalog_file *entry, const char *version);
/* Whether a library of this name ("libGL.so.550.163.01") stays out on purpose though it is the driver's. */
bool nvl_catalog_leaves_out(const char *name);
