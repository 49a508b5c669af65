/* Character device majors that are registered now. Source: /proc/devices; whole names are compared, since
 * nvidia-caps is a prefix of nvidia-caps-imex-channels. A major that is not registered is -1. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct nvl_error;
struct nvl_root;

#define NVL_MAJOR_DYNAMIC_MAX 511

struct nvl_majors {
    int nvidia;    /* "nvidia-frontend" (to 535) or "nvidia" (from 545): GPUs, ctl and modeset; 195 */
    int uvm;       /* "nvidia-uvm", dynamic */
    int caps;      /* "nvidia-caps", dynamic */
    int caps_imex; /* "nvidia-caps-imex-channels", dynamic */
    int nvswitch;  /* "nvidia-nvswitch", dynamic */
    int nvlink;    /* "nvidia-nvlink", dynamic */
    bool others[NVL_MAJOR_DYNAMIC_MAX + 1]; /* majors of drivers whose nodes grants do not bring */
};

#define NVL_MAJORS_UNKNOWN ((struct nvl_majors){-1, -1, -1, -1, -1, -1, {false}})

void nvl_majors_parse(const char *text, size_t len, struct nvl_majors *majors);
int nvl_majors_read(const struct nvl_root *root, struct nvl_majors *majors, struct nvl_error *err);
