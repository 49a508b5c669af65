/* Which of NVIDIA's own drivers fit, to be installed by hand: as words, and as a version for a command. */
#pragma once

#include <stdbool.h>

#include "host/driver_version.h"

struct nvl_driver_need;

/* NVIDIA's own drivers that fit, to be installed by hand. */
struct nvl_by_hand {
    bool fits;     /* some fit; else `text` says what they must be newer than */
    char *branch;  /* of the first that fits; NULL */
    char *version; /* one that fits, for use in a command; NULL if only its branch is known */
    char *text; /* "580.142 or newer of branch 580, or 595.58.03 or newer": never past a GPU's last branch */
    enum nvl_flavour flavour; /* that the GPUs need; UNKNOWN if both work */
};

/* Those newer than `newer_than`, or all of them with NULL. */
void nvl_choose_by_hand(const struct nvl_driver_need *need, const char *kernel, const char *newer_than,
                        struct nvl_by_hand *choice);
void nvl_by_hand_clear(struct nvl_by_hand *choice);
