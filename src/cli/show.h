/* One container's grant and what it resolves to at this moment: gathered by cmd/show.c, printed by
 * show_print.c. */
#pragma once

#include "cli/command.h"
#include "container/target.h"
#include "container/device_rules.h"
#include "container/library_path.h"
#include "grant/resolve.h"

struct nvl_shown {
    struct nvl_target target;
    bool running;
    bool granted; /* else only the lines by hand count */
    struct nvl_grant grant;
    struct nvl_host host;
    struct nvl_resolved resolved; /* nodes are checked */
    bool bundle_present;          /* of host.driver.version */
    enum nvl_device_filter filter;
    struct nvl_strv rules;         /* nvlxc's, as the config has them */
    struct nvl_strv rules_missing; /* nodes that the device filter will not let through */
    struct nvl_strv entries; /* nodes that nvlxc's mount entries and dev[n] name; for these ways alone: */
    struct nvl_strv entries_missing;        /* nodes of the grant that no line names */
    struct nvl_strv entries_other;          /* named, and not of the grant: the GPU has another number now */
    char *host_release, *container_release; /* where they differ, with the host's libraries; else NULL */
    struct nvl_strv by_hand, strays;
    /* filled in by nvl_shown_look_inside */
    bool has_rootfs; /* its root file system could be looked at */
    struct nvl_library_path library_path;
    struct nvl_strv closed; /* graphics nodes that nobody in the container may open */
};

/* Whether every name resolves and every node can be used. */
bool nvl_shown_is_well(const struct nvl_shown *s);
/* show_image.c: what the container makes of it. */
void nvl_shown_look_inside(const struct nvl_context *ctx, struct nvl_shown *s);
void nvl_shown_say_inside(const struct nvl_context *ctx, const struct nvl_shown *s);
json_t *nvl_shown_json_library_path(const struct nvl_shown *s);
void nvl_shown_print(const struct nvl_context *ctx, const struct nvl_shown *s);
void nvl_shown_print_json(const struct nvl_shown *s);
