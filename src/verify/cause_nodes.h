/* Why a device node cannot be used. */
#pragma once

#include "verify/step.h"

struct nvl_inside_node;

/* `error`: the errno of opening it, 0 if it was opened. */
void nvl_cause_of_node(const struct nvl_verify *v, const struct nvl_inside_node *node, int error,
                       struct nvl_step *step);
