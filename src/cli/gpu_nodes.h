/* The device nodes that are one GPU's own, as `gpus` and `host` both show them. */
#pragma once

#include <jansson.h>

#include "host/gpu_nodes.h"

/* {"path", "major", "minor", "state"} */
json_t *nvl_json_node(const struct nvl_node *node);
