/* The driver's files by capability: what a bundle consists of, and which Debian package brings what is
 * missing. One table; names are NVIDIA's (README of the driver, libnvidia-container's lists as facts). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum nvl_file_kind {
    NVL_FILE_LIBRARY, /* name is the soname, without the driver's version if it has that: "libcuda.so.1",
                         "libnvidia-glcore.so"; with a folder below lib64 for files that the linker does not
                         search */
    NVL_FILE_PROGRAM, /* name is the file's name in bin/ */
    NVL_FILE_DATA,    /* ICDs, nvoptix.bin: `name` is the path in the bundle */
    NVL_FILE_LINK,    /* a link in lib64 to the library `with` */
};

struct nvl_catalog_file {
    enum nvl_file_kind kind;
    const char *name;
    unsigned capability; /* one bit */
    bool expected;       /* users miss something without it: its absence is reported; else only newer or older
                            drivers have it */
    const char *package; /* "libnvidia-encode1"; NULL if none is known */
    const char
        *with; /* for a file that does not contain its version: the entry that vouches for it; else NULL */
};

extern const struct nvl_catalog_file nvl_catalog[];
extern const size_t nvl_catalog_length;
