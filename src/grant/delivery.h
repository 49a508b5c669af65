/* How a grant is carried out, as words: the options of `attach`, and the arguments of the start hook's line
 * in a config, which are the same. What is usual is left out. */
#pragma once

#include "grant/grant.h"

/* "hook", "dev", "static"; "bundle", "host", "none". Parsing gives false for any other word. */
const char *nvl_nodes_mode_name(enum nvl_nodes_mode mode);
const char *nvl_libraries_mode_name(enum nvl_libraries_mode mode);
bool nvl_nodes_mode_parse(const char *word, enum nvl_nodes_mode *mode);
bool nvl_libraries_mode_parse(const char *word, enum nvl_libraries_mode *mode);

/* "--required --exclusive --nodes=dev --libraries=none", in this order; "" where all is as usual. The caller
 * frees. */
char *nvl_grant_arguments(const struct nvl_grant *grant);
/* One of these arguments into the grant; false where it is none. */
bool nvl_grant_take_argument(struct nvl_grant *grant, const char *argument);
