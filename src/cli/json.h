/* JSON as the commands print it: every value that several of them have is made here. */
#pragma once

#include <jansson.h>

#include "base/text.h"

struct nvl_grant;
struct nvl_node;

/* Prints JSON on stdout (takes the reference over), two-space indentation, keys in the order given. Returns
 * NVL_EXIT_OK. */
int nvl_print_json(json_t *value);
/* Ends the program with an error where `value`, out of json_pack, is NULL: rather than half an answer. Gives
 * it back. */
json_t *nvl_json_made(json_t *value);

/* A string, in which what is not UTF-8 is '?': for all that is not the program's own. */
json_t *nvl_json_text(const char *s);
/* The same, or null for NULL and "". */
json_t *nvl_json_string(const char *s);
json_t *nvl_json_strings(const struct nvl_strv *v);
/* An integer, or null where it is negative. */
json_t *nvl_json_unsigned(long long n);

/* A grant's: ["GPU-…"], ["all"], ["none"]. */
json_t *nvl_json_devices(const struct nvl_grant *grant);
/* ["compute", "utility"]; all seven are listed. */
json_t *nvl_json_capabilities(unsigned capabilities);
/* {"path", "major", "minor", "state"} */
json_t *nvl_json_node(const struct nvl_node *node);
