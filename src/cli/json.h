/* JSON as the commands print it: builders for every value that several commands share. */
#pragma once

#include <jansson.h>

#include "base/text.h"

struct nvl_findings;
struct nvl_grant;
struct nvl_node;

/* Prints JSON on stdout (takes over the reference), two-space indentation, keys in the given order. Returns
 * NVL_EXIT_OK. */
int nvl_print_json(json_t *value);
/* Exits with an error if `value`, a result of json_pack, is NULL, rather than print half a result. Returns
 * `value`. */
json_t *nvl_json_made(json_t *value);

/* A string with '?' for everything that is not UTF-8: for text from outside the program. */
json_t *nvl_json_text(const char *s);
/* The same, or null for NULL and "". */
json_t *nvl_json_string(const char *s);
json_t *nvl_json_strings(const struct nvl_strv *v);
/* An integer, or null if it is negative. */
json_t *nvl_json_unsigned(long long n);

/* The devices of a grant: ["GPU-…"], ["all"], ["none"]. */
json_t *nvl_json_devices(const struct nvl_grant *grant);
/* ["compute", "utility"]; lists all seven by name. */
json_t *nvl_json_capabilities(unsigned capabilities);
/* {"path", "major", "minor", "state"} */
json_t *nvl_json_node(const struct nvl_node *node);
/* [{"check", "stops_start", "title", "evidence", "cause", "fix"}]: what stands in the way of a container's
 * start. */
json_t *nvl_json_obstacles(const struct nvl_findings *obstacles);
/* [{"line", "instead"}]: lines that --replace takes, and what takes their place. */
json_t *nvl_json_replaced(const struct nvl_strv *lines, const struct nvl_strv *instead);
