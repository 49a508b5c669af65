/* Which programs, of a container or of the whole machine, have a device open. */
#pragma once

#include <sys/types.h>

#include "base/text.h"

struct nvl_device;
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
void nvl_programs_clear(struct nvl_programs *programs);
