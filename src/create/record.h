/* What was done of a `create`: NVL_CREATE_DIR/CONTAINER.json. */
#pragma once

#include "create/plan.h"

enum nvl_done {
    NVL_DONE_NOT,
    NVL_DONE_BEGUN, /* it may be half done */
    NVL_DONE,
    NVL_DONE_BEFORE, /* there was nothing to do: it is not create's */
};

/* A step as it was planned then. */
struct nvl_recorded_step {
    char *id, *command, *undo; /* undo: NULL */
    enum nvl_done done;
};

struct nvl_create_record {
    char *container, *template, *config_path;
    bool is_lxc;
    struct nvl_recorded_step *steps;
    size_t count;
};

/* 0; -ENOENT if there is none; other errors with err set. Clear in any case. */
int nvl_create_record_read(const struct nvl_root *root, const char *container,
                           struct nvl_create_record *record, struct nvl_error *err);
/* A plan of which nothing is done. */
void nvl_create_record_begin(const struct nvl_create_plan *plan, struct nvl_create_record *record);
/* Whether its steps are the plan's. */
bool nvl_create_record_is(const struct nvl_create_record *record, const struct nvl_create_plan *plan);
int nvl_create_record_write(const struct nvl_root *root, const struct nvl_create_record *record,
                            struct nvl_error *err);
/* The last thing: without it nothing is known of the run. */
int nvl_create_record_remove(const struct nvl_root *root, const char *container, struct nvl_error *err);
void nvl_create_record_clear(struct nvl_create_record *record);
