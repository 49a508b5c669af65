/* The families of checks, one file each (checks_NAME.c). Each list ends with an entry without an id. */
#pragma once

#include "doctor/findings.h"
#include "doctor/facts.h"

/* The host. */
extern const struct nvl_check nvl_checks_gpu[]; /* is there a GPU, and what holds it */
extern const struct nvl_check
    nvl_checks_driver[];                          /* kernel module, libraries, bundle, and whether they fit */
extern const struct nvl_check nvl_checks_nodes[]; /* device nodes, services, MIG */
extern const struct nvl_check nvl_checks_boot[];  /* what the next boot will bring; the hook; the cluster */
/* A container. */
extern const struct nvl_check nvl_checks_config[]; /* what its config says */
extern const struct nvl_check
    nvl_checks_start[]; /* what its grant gives now: GPUs, device filter, running nodes */
extern const struct nvl_check nvl_checks_files[]; /* what its root file system holds */
