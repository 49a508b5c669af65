/* Which programs of a container have a device open. */
#pragma once

#include <sys/types.h>

#include "base/text.h"

struct nvl_device;
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
void nvl_programs_clear(struct nvl_programs *programs);
