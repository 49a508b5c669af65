/* Which programs, of a container or of the whole machine, have a device open. */
#pragma once

#include <sys/types.h>

#include "base/text.h"

struct nvl_device;
struct nvl_gpu;
struct nvl_host;
struct nvl_root;

struct nvl_program {
    pid_t pid;     /* as the host knows it */
    char name[32]; /* as the program gives it; printable */
    struct nvl_strv devices;
};

struct nvl_programs {
    struct nvl_program *items;
    size_t count;
};

/* Those in init's pid namespace and in nested ones (containers in the container). */
void nvl_programs_find(const struct nvl_root *root, pid_t init, const struct nvl_device *devices,
                       size_t n_devices, struct nvl_programs *programs);
/* Those of the whole machine that have a node of the loaded driver open. Only root sees what others have
 * open. */
void nvl_programs_of_driver(const struct nvl_host *host, struct nvl_programs *programs);
/* Those of the whole machine that have a node of this GPU open: its own, those of its MIG devices and of
 * /dev/dri. `host` is read with NVL_GPUS_DRI or deeper. */
void nvl_programs_of_gpu(const struct nvl_host *host, const struct nvl_gpu *gpu,
                         struct nvl_programs *programs);
/* Those that have one of the device files open. */
void nvl_programs_of_files(const struct nvl_root *root, const struct nvl_strv *paths,
                           struct nvl_programs *programs);
void nvl_programs_clear(struct nvl_programs *programs);
