/* What a node says of itself to the others: /etc/pve/nodes/NODE/nvlxc.json, a few KiB. Proxmox keeps there
 * what belongs to a node; it goes with the node's folder, every member can read it, and only root can.
 * Whoever can write it is root on some node of the cluster, or made the capture that is read: everything is
 * checked. */
#pragma once

#include <stdbool.h>

#include "base/text.h"
#include "cluster/members.h"
#include "host/driver_version.h"
#include "host/gpu.h"

#define NVL_NODE_FILE        "nvlxc.json"
#define NVL_NODE_FILE_MAX    (256u << 10) /* bytes */
#define NVL_NODE_FILE_FORMAT 1            /* what changes the meaning of a key is another one */
#define NVL_NODE_GPUS_MAX    256
#define NVL_NODE_MIGS_MAX    64 /* of one GPU */

struct nvl_node_file {
    char node[NVL_NODE_NAME_MAX];
    char when[24]; /* "2026-11-30T20:18:33Z": since when it has been so */
    struct nvl_driver_version driver;
    struct nvl_gpus gpus; /* no virtual functions; nodes of /dev/dri and of MIG devices are not known */
};

enum nvl_node_file_state {
    NVL_NODE_FILE_GOOD,
    NVL_NODE_FILE_ABSENT,
    NVL_NODE_FILE_OLDER, /* a format of an older or newer nvlxc, whose meaning is not guessed at */
    NVL_NODE_FILE_NEWER,
    NVL_NODE_FILE_DAMAGED,
    NVL_NODE_FILE_UNREADABLE,
};
/* "good", "absent": for JSON. */
const char *nvl_node_file_state_name(enum nvl_node_file_state state);

/* The text; the caller frees. */
char *nvl_node_file_format(const struct nvl_node_file *file);
/* Reads the text that a file of `node` has. *why is what is wrong with it, in words that begin a sentence's
 * second half ("has the format 2, …"); NULL for GOOD. `file` is the caller's to clear in any case. */
enum nvl_node_file_state nvl_node_file_parse(const char *text, size_t len, const char *node,
                                             struct nvl_node_file *file, char **why);
/* The same of the file itself. */
enum nvl_node_file_state nvl_node_file_read(const struct nvl_root *root, const char *node,
                                            struct nvl_node_file *file, char **why);
/* Whether both say the same, whenever they say it. */
bool nvl_node_file_is_same(const struct nvl_node_file *a, const struct nvl_node_file *b);
void nvl_node_file_clear(struct nvl_node_file *file);
