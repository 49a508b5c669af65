/* What `create` does, as shell commands in an order, each of which a person could type: fetch, create,
 * attach, start, install inside, verify. Each can be run again where it was killed in the middle. */
#pragma once

#include "create/request.h"

#define NVL_CREATE_MARK "nvlxc create" /* in the container, until all is done */

struct nvl_create_step {
    const char *id;
    char *title;       /* "fetch the system template debian-13-standard" */
    char *detail;      /* the line that is run in the container; NULL */
    char *check;       /* status 0: it is done already, by somebody else; NULL: none */
    char *command;     /* for sh; NULL: writes `file` */
    char *file, *text; /* NULL */
    char *undo;        /* for sh; NULL: goes with the container */
    unsigned seconds;  /* at most */
    bool is_shown;     /* its output is for the user, not for the log alone */
};

struct nvl_create_plan {
    char *container; /* as nvlxc's commands take it: "220", "ollama" */
    char *template;
    char *config_path;    /* where its config will be */
    char *config;         /* what it will be */
    char *url;            /* with ADDRESS for its address; NULL */
    char *address;        /* without the length; NULL: by DHCP */
    struct nvl_strv then; /* what is left to people */
    struct nvl_create_step *steps;
    size_t count;
    bool is_lxc;
};

/* `archive`: a system template's volume (Proxmox) or a root file system's tar file (LXC); NULL: the usual
 * one. Fails where the host lacks what it takes, with a hint what to install. */
int nvl_create_plan_make(const struct nvl_root *root, const struct nvl_create_request *request,
                         const struct nvl_composing *c, const char *archive, struct nvl_create_plan *plan,
                         struct nvl_error *err);
void nvl_create_plan_clear(struct nvl_create_plan *plan);
