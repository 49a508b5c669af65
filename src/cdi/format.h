/* A specification of the Container Device Interface: what a container engine does for each device that it is
 * asked for by name. Version 0.5.0 is the lowest whose device names may begin with a digit, like "0". */
#pragma once

#include "base/text.h"

#define NVL_CDI_KIND "nvidia.com/gpu"

/* Changes to a container. */
struct nvl_cdi_edits {
    struct nvl_strv env;   /* "NAME=value" */
    struct nvl_strv nodes; /* by path; the engine looks up their numbers at each start */
    struct nvl_strv sources,
        targets; /* read-only binds: each source, as the engine sees it, with its target */
};

struct nvl_cdi {
    struct nvl_cdi_device {
        char *name;
        struct nvl_cdi_edits edits;
    } * devices;
    size_t n_devices;
    struct nvl_cdi_edits edits; /* for every container that requests one of the devices */
};

/* Adds a device without edits: valid until the next is added. A name has letters, digits, and any of
 * "_-.:". */
struct nvl_cdi_edits *nvl_cdi_add(struct nvl_cdi *cdi, const char *name);
void nvl_cdi_bind(struct nvl_cdi_edits *edits, const char *source, const char *target);
void nvl_cdi_clear(struct nvl_cdi *cdi);

/* As JSON, with a newline at its end; the caller frees. */
char *nvl_cdi_text(const struct nvl_cdi *cdi);
/* If nvl_cdi_text made the text for a host, with the driver from the bundles' folder: the value of that
 * variable in it, which tells the capabilities; the caller frees. NULL for any other text. */
char *nvl_cdi_read_own(const char *text, size_t len, const char *variable);
