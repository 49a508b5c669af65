/* A unified diff of two texts by lines, three lines of context, as diff -u prints it. */
#pragma once

#include "container/container.h"
#include "plan/plan.h"

/* Appends nothing where the texts are equal. "\ No newline at end of file" is marked. */
void nvl_diff(struct nvl_buf *out, const char *old_name, const char *old_text, size_t old_len,
              const char *new_name, const char *new_text, size_t new_len);

/* What the plan changes in the container's config, as a unified diff ("" for nothing); the caller frees. */
char *nvl_plan_diff(const struct nvl_container *container, const struct nvl_config *config,
                    const struct nvl_plan *plan);
