/* NVIDIA's installer as a file, NVIDIA-Linux-*.run: what its header says. nvlxc reads the file, and runs it
 * only as a step of host setup. Source: the makeself script that comes with NVIDIA's drivers. */
#pragma once

#include <stdbool.h>

struct nvl_error;

struct nvl_installer_file {
    char *path;         /* absolute, without links */
    char *version;      /* "580.105.08" */
    char *architecture; /* "x86_64", "aarch64", as NVIDIA names it */
    bool is_vgpu_host;  /* the host driver for virtual GPUs, which has no CUDA */
};

/* A path of the machine itself, relative to the working folder. -EINVAL for another file, with what it is. */
int nvl_installer_file_read(const char *path, struct nvl_installer_file *file, struct nvl_error *err);
void nvl_installer_file_clear(struct nvl_installer_file *file);
