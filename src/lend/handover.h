/* A hand-over of one GPU: from the containers to a virtual machine (lend.c), and back (back.c). */
#pragma once

#include "container/container.h"
#include "host/host.h"
#include "host/loan.h"
#include "lend/card.h"

struct nvl_handover_request {
    const struct nvl_root *root; /* this machine's */
    const char *gpu; /* "0", "GPU-…", "0000:01:00.0"; NULL: back: the only one that is lent; lend: the host's
                        only one */
    const char *vm;  /* lend: for which VM, "101"; NULL if nobody said */
    bool stop;       /* lend: end the containers' programs that have it open */
    bool dry_run;    /* look only */
    void (*note)(void *data, const char *what); /* told before what takes time; may be NULL */
    void *note_data;
};

struct nvl_handover_step {
    char *what;
    unsigned long millis;
};

struct nvl_handover {
    char pci[NVL_PCI_MAX];
    char *gpu;                       /* "GPU 0, NVIDIA RTX A5500 (GPU-…)" */
    bool was_done;                   /* it was there already: nothing was changed */
    struct nvl_handover_step *steps; /* what was done, in order */
    size_t n_steps;
    struct nvl_strv notes;    /* what should be known */
    struct nvl_strv problems; /* what could not be done, and did not keep the rest from being done */
};

void nvl_handover_clear(struct nvl_handover *handover);

/* ---- what both directions share ---- */

/* What a hand-over works with. */
struct nvl_handing {
    const struct nvl_handover_request *request;
    struct nvl_handover *report;
    struct nvl_host host; /* NVL_GPUS_ALL */
    struct nvl_containers containers;
    struct nvl_card card;
    struct nvl_loan loan;
    size_t *granted; /* indexes of running containers that follow at once */
    size_t n_granted;
    unsigned long long begin; /* of the present step, in milliseconds */
    int lock;
};

/* Locks, unless it only looks, and reads host and containers. */
int nvl_handing_open(struct nvl_handing *h, const struct nvl_handover_request *request,
                     struct nvl_handover *report, struct nvl_error *err);
void nvl_handing_close(struct nvl_handing *h);
/* Reads the host anew. */
int nvl_handing_look(struct nvl_handing *h, struct nvl_error *err);
void nvl_handing_note(const struct nvl_handing *h, const char *what);
/* A step is done. */
void nvl_handing_step(struct nvl_handing *h, const char *fmt, ...) NVL_PRINTF(2, 3);
/* Looks for the running containers whose grant means the GPU, and notes those that cannot follow at once. It
 * is done before anything is written: a home that never answers is left out then. */
void nvl_handing_find_granted(struct nvl_handing *h, const struct nvl_gpu *gpu);
/* Brings them to what the host can give them now. */
void nvl_handing_update_containers(struct nvl_handing *h);
/* "stop", "restart", "start" nvidia-persistenced. */
void nvl_handing_persistenced(struct nvl_handing *h, const char *verb);
/* Tells the driver to take no more programs on the GPU, or to take them again, by nvidia-smi, where that
 * exists. Whether it did. */
bool nvl_handing_drain(const struct nvl_handing *h, bool on);
