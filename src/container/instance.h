/* An instance of Incus or LXD that is a container: what its daemon said of it, as far as it matters here. A
 * daemon makes the container's LXC config anew at each start, of the instance's keys and devices and those of
 * its profiles; then it adds the text of raw.lxc, which is the one part that nvlxc writes. Sources:
 * internal/server/instance/drivers/driver_lxc.go and internal/server/device of Incus 6.0,
 * lxd/instance/drivers/driver_lxc.go of LXD 5.0; doc/reference/instance_options.md and devices_gpu.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "container/daemon.h"
#include "host/gpu.h"

/* What one of the daemon's own keys or devices becomes in the LXC config. */
struct nvl_instance_part {
    char *source;  /* for messages: "the device gpu0 of the profile ml" */
    char *removal; /* the command that takes it away; NULL for what cannot be taken away */
    char *lines;   /* in LXC's dialect */
    bool is_late;  /* follows raw.lxc, as devices do */
};

struct nvl_instance {
    const struct nvl_daemon *daemon;
    char *project, *name;
    char *node;        /* the member of its cluster that has it, if that is not this one; else NULL */
    char *raw;         /* the value of raw.lxc that is in force; "" for none */
    bool is_local;     /* the instance's own value; false: from a profile, or none */
    char *profile_raw; /* what it would be without one, "" for none; only of nvl_instance_read, else NULL */
    char *text;        /* how raw.lxc is named in messages, "raw.lxc of incus/web" */
    char *edit;        /* and in fixes, "raw.lxc of incus/web (incus config edit web)" */
    struct nvl_instance_part *parts;
    size_t n_parts;
};

void nvl_instance_free(struct nvl_instance *instance);
/* Whether what they become, raw.lxc apart, is the same. */
bool nvl_instance_is_same(const struct nvl_instance *a, const struct nvl_instance *b);
/* What liblxc calls it; the caller frees. */
char *nvl_instance_lxc_name(const struct nvl_instance *instance);
/* What precedes the slash of its full name: "incus"; "incus/lab" for one of the project lab. The caller
 * frees.
 */
char *nvl_instance_owner(const struct nvl_instance *instance);
/* A command of the daemon's client about it, "incus restart --project lab web": `verb` may consist of several
 * words, `rest` follows the name (NULL for nothing). The caller frees. */
char *nvl_instance_command(const struct nvl_instance *instance, const char *verb, const char *rest);

/* What the answers about instances refer to: read when the first of them does. */
struct nvl_instance_context {
    const struct nvl_root *root;
    const struct nvl_daemon *daemon;
    json_t *profiles; /* by project */
    char *member;     /* this member of the cluster */
    struct nvl_gpus gpus;
    bool has_gpus;
};
void nvl_instance_context_clear(struct nvl_instance_context *context);

/* NULL if it is no container, or none that the daemon could have made. The caller frees. */
struct nvl_instance *nvl_instance_make(struct nvl_instance_context *context, const json_t *answer);
/* Asks for the profiles of a project. Whoever is about to write an instance does so before its version is
 * asked for: what other programs change in between has to be tried again. */
int nvl_instance_read_profiles(struct nvl_instance_context *context, const char *project,
                               struct nvl_error *err);
/* Finds out what raw.lxc its profiles give (profile_raw); they were read. `answer` is the one that it was
 * made of. */
void nvl_instance_set_profile_raw(struct nvl_instance_context *context, const json_t *answer,
                                  struct nvl_instance *instance);
/* A word of a path of the API, with all but letters, digits and "-._" escaped; the caller frees. */
char *nvl_api_word(const char *text);
