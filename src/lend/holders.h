/* Who keeps a GPU in use: the programs that have its nodes open, each with its container or its service. */
#pragma once

#include "container/container.h"
#include "host/host.h"

struct nvl_holder {
    pid_t pid;
    char name[32];   /* printable */
    char *container; /* its unambiguous name; NULL for a program of the host */
    char *unit;      /* of the host: its systemd unit, "nvidia-persistenced.service"; NULL if it has none */
    char *open;      /* "/dev/nvidia0 /dev/dri/card1" */
    bool is_persistenced;
};

struct nvl_holders {
    struct nvl_holder *items;
    size_t count;
};

/* Of the GPU's nodes. Only root sees what others have open. */
void nvl_holders_find(const struct nvl_host *host, const struct nvl_gpu *gpu,
                      const struct nvl_containers *containers, struct nvl_holders *holders);
/* Of these device files: of /dev/vfio. */
void nvl_holders_of_files(const struct nvl_root *root, const struct nvl_strv *paths,
                          const struct nvl_containers *containers, struct nvl_holders *holders);
void nvl_holders_clear(struct nvl_holders *holders);

/* "container web: ollama (pid 4711) has /dev/nvidia0 open"; the caller frees. */
char *nvl_holder_text(const struct nvl_holder *holder);
/* Ends the containers' programs among them: asks them, and kills after ten seconds those that are still
 * there. Each is signalled only while it has the GPU open, so that no other process of the same number is
 * hit. */
void nvl_holders_end(const struct nvl_host *host, const struct nvl_gpu *gpu,
                     const struct nvl_containers *containers);
/* Waits for nobody but nvidia-persistenced to have it open; gives those that still have after so many
 * seconds.
 */
void nvl_holders_wait(const struct nvl_host *host, const struct nvl_gpu *gpu,
                      const struct nvl_containers *containers, unsigned seconds, bool with_persistenced,
                      struct nvl_holders *holders);
