/* A device node as JSON. */
#include "cli/gpu_nodes.h"

#include "cli/command.h"

json_t *nvl_json_node(const struct nvl_node *node)
{
    return json_pack("{s:s,s:o,s:i,s:s}", "path", node->path, "major", nvl_json_unsigned(node->major),
                     "minor", node->minor, "state", nvl_node_state_name(node->state));
}
