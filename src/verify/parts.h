/* The parts of verify: each is defined in the file of its subject; verify.c has their order. */
#pragma once

#include <stdbool.h>

struct nvl_verify;

struct nvl_verify_part {
    void (*verify)(struct nvl_verify *v);
};
extern const struct nvl_verify_part nvl_part_nodes;     /* libc, nodes, nodes-user */
extern const struct nvl_verify_part nvl_part_libraries; /* libnvidia-ml, libcuda, nvidia-smi */
extern const struct nvl_verify_part
    nvl_part_gpu; /* nvml, cuda-init, cuda-devices, cuda-memory, cuda-kernel */
extern const struct nvl_verify_part nvl_part_media; /* nvenc, nvdec, opencl, vulkan */

extern const struct nvl_verify_part nvl_part_programs; /* Plex, Jellyfin, ffmpeg, … */
extern const struct nvl_verify_part nvl_part_python;   /* PyTorch, Immich, … */

/* Tried if it is found in the container; with `asked_for` its absence is a failure. */
struct nvl_workload {
    const char *name, *other; /* the names that --workload takes; `other` may be NULL */
    void (*verify)(struct nvl_verify *v, bool asked_for);
};
extern const struct nvl_workload nvl_workload_ollama, nvl_workload_cdi;
