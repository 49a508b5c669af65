/* A unified diff of two texts by lines, three lines of context, as diff -u prints it. */
#pragma once

#include "container/container.h"
#include "plan/plan.h"

/* Appends nothing if the texts are equal. Marks "\ No newline at end of file". */
void nvl_diff(struct nvl_buf *out, const char *old_name, const char *old_text, size_t old_len,
              const char *new_name, const char *new_text, size_t new_len);

/* The plan's changes to the container's config, as a unified diff ("" for none); the caller frees. */
char *nvl_plan_diff(const struct nvl_container *container, const struct nvl_config *config,
                    const struct nvl_plan *plan);
