/* The request of `create` and `template`: a workload template, what the options change of it, and the host's
 * GPUs, made into a composition. */
#pragma once

#include "template/compose.h"

struct nvl_host;

#define NVL_AS_TEMPLATE (-1L) /* a number that no option gave */

struct nvl_create_request {
    const char *template;
    bool is_lxc; /* a plain LXC container; else a Proxmox CT */
    bool is_oci;
    unsigned ctid;                           /* Proxmox */
    const char *hostname, *storage, *bridge; /* NULL: the defaults */
    const char *address, *gateway;           /* "10.0.99.230/24", "10.0.99.254"; NULL: DHCP, none */
    const char *ostype, *entrypoint;         /* NULL: the template's */
    long memory, swap, cores, disk;          /* MiB, GiB */
    const struct nvl_strv *gpus;             /* as attach takes them */
    /* Makes a grant that names no device name one, where the host has several GPUs; NULL: nobody can be
     * asked. */
    int (*choose_gpu)(const void *asker, const struct nvl_host *host, struct nvl_grant *grant,
                      struct nvl_error *err);
    const void *asker;
};

/* Everything that a template needs to become text. Zero-initialize; clear in any case. */
struct nvl_composing {
    struct nvl_template template;
    struct nvl_grant grant;
    char *storage, *volume;  /* volume: NULL for LXC */
    struct nvl_strv changes; /* "memory: 16384 MiB, not 8192": what an option made of the template's values */
    struct nvl_composition composition;
};

/* Reads template, storages and GPUs, and checks every value. Wrong values are usage errors. */
int nvl_composing_make(const struct nvl_root *root, const struct nvl_create_request *request,
                       struct nvl_composing *c, struct nvl_error *err);
void nvl_composing_clear(struct nvl_composing *c);

/* The lowest number that no guest of the cluster has, from 100; 0 if there is none. */
unsigned nvl_free_ctid(const struct nvl_root *root);
