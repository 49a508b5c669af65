/* The tags of a Proxmox CT: `attach --tag` adds those of its GPUs, so that the web page shows them, and
 * `detach` takes them away. Source: pve-container's key `tags`, pve-tag-list of PVE::JSONSchema: tags between
 * `;`, `,` and blanks. */
#pragma once

#include "grant/resolve.h"
#include "plan/plan.h"

/* "gpu-0" for each GPU; "gpu" for a grant that means others on other hosts, too. */
void nvl_grant_tags(const struct nvl_grant *grant, const struct nvl_resolved *resolved,
                    struct nvl_strv *tags);
/* Puts the tags into the plan for a CT's config, and with `had_tags` takes others of these forms, which an
 * earlier grant put there. All others stay, byte for byte. */
int nvl_plan_tag(struct nvl_plan *plan, const struct nvl_config *config, const struct nvl_strv *tags,
                 bool had_tags, struct nvl_error *err);
