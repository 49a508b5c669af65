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

/* What a container gets besides GPUs and the driver: sockets of NVIDIA's daemons, nodes of its other
 * modules. */
enum nvl_with {
    NVL_WITH_MPS = 1u << 0,           /* the pipe folder of the Multi-Process Service */
    NVL_WITH_PERSISTENCED = 1u << 1,  /* the socket of nvidia-persistenced */
    NVL_WITH_FABRICMANAGER = 1u << 2, /* the socket of the fabric manager */
    NVL_WITH_GDRCOPY = 1u << 3,       /* the node of gdrdrv */
    NVL_WITH_IMEX = 1u << 4,          /* the node of one IMEX channel */
};
#define NVL_IMEX_CHANNEL_MAX 2047 /* the driver's NVreg_ImexChannelCount is 2048 */

struct nvl_delivery {
    bool required;  /* the container does not start without what the grant names */
    bool exclusive; /* no other container has these GPUs */
    bool tag;       /* Proxmox's tags of the CT name its GPUs (plan/tags.h); starts do not care */
    bool cdi; /* container engines in the container get a specification of the grant (inject/cdi_file.h) */
    enum nvl_nodes_mode nodes;
    enum nvl_libraries_mode libraries;
    unsigned with;         /* from enum nvl_with */
    unsigned imex_channel; /* with IMEX */
};

/* "mps,imex=0", in any order; adds to the delivery. False for any other word. */
bool nvl_with_parse(const char *words, struct nvl_delivery *delivery);
/* The same in one order; "" for none. The caller frees. */
char *nvl_with_format(const struct nvl_delivery *delivery);
/* The host's path of one of them, the same in the container; what to do if it is missing there. */
struct nvl_with_place {
    char path[64];
    bool is_folder, is_node;
    const char *name, *remedy;
};
/* False if the delivery does not have it. */
bool nvl_with_place(const struct nvl_delivery *delivery, enum nvl_with with, struct nvl_with_place *place);
/* Whether it is the path of one of them, whatever the delivery: then `place` is that. */
bool nvl_with_find(const char *path, struct nvl_with_place *place);

/* "hook", "dev", "static"; "bundle", "host", "none". Parsing gives false for any other word. */
const char *nvl_nodes_mode_name(enum nvl_nodes_mode mode);
const char *nvl_libraries_mode_name(enum nvl_libraries_mode mode);
bool nvl_nodes_mode_parse(const char *word, enum nvl_nodes_mode *mode);
bool nvl_libraries_mode_parse(const char *word, enum nvl_libraries_mode *mode);

/* "--required --exclusive --tag --cdi --nodes=dev --libraries=none --with=mps", in this order; "" for the
 * defaults. The caller frees. */
char *nvl_delivery_arguments(const struct nvl_delivery *delivery);
/* Parses one of these arguments; false for any other. */
bool nvl_delivery_take_argument(struct nvl_delivery *delivery, const char *argument);
