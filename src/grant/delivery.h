/* How a grant is delivered: the options of `attach`, and the same words as arguments of the start hook's line
 * in a config. Only this room parses and writes them. Defaults are left out. */
#pragma once

#include <stdbool.h>

/* How the device nodes come into the container. */
enum nvl_nodes_mode {
    NVL_NODES_HOOK,   /* the start hook binds them, as they are at that moment */
    NVL_NODES_DEV,    /* Proxmox's own devN entries */
    NVL_NODES_STATIC, /* mount entries in the config */
};

/* How the driver's files come into it. */
enum nvl_libraries_mode {
    NVL_LIBRARIES_BUNDLE, /* the start hook mounts the bundle of the loaded version */
    NVL_LIBRARIES_HOST,   /* mount entries of the host's own library folders */
    NVL_LIBRARIES_NONE,   /* not at all: the container has its own */
};

struct nvl_delivery {
    bool required;  /* the container does not start without what the grant names */
    bool exclusive; /* no other container has these GPUs */
    bool cdi; /* container engines in the container get a specification of the grant (inject/cdi_file.h) */
    enum nvl_nodes_mode nodes;
    enum nvl_libraries_mode libraries;
};

/* "hook", "dev", "static"; "bundle", "host", "none". Parsing gives false for any other word. */
const char *nvl_nodes_mode_name(enum nvl_nodes_mode mode);
const char *nvl_libraries_mode_name(enum nvl_libraries_mode mode);
bool nvl_nodes_mode_parse(const char *word, enum nvl_nodes_mode *mode);
bool nvl_libraries_mode_parse(const char *word, enum nvl_libraries_mode *mode);

/* "--required --exclusive --cdi --nodes=dev --libraries=none", in this order; "" for the defaults. The caller
 * frees. */
char *nvl_delivery_arguments(const struct nvl_delivery *delivery);
/* Parses one of these arguments; false for any other. */
bool nvl_delivery_take_argument(struct nvl_delivery *delivery, const char *argument);
