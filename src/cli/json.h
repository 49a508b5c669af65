/* JSON as the commands print it: builders for every value that several commands share. A key means the same
 * and has one type in all of them; docs/json has the keys, and each command's schema. */
#pragma once

#include <jansson.h>

#include "base/text.h"
#include "host/json.h"

struct nvl_error;
struct nvl_findings;
struct nvl_gpus;
struct nvl_grant;
struct nvl_news;
struct nvl_node;

/* The number of the format. A key may join it; what changes or takes away one is another format. */
#define NVL_JSON_FORMAT 1

/* Prints an object on stdout (takes over the reference), two-space indentation, keys in the given order,
 * before them "format". Returns NVL_EXIT_OK. */
int nvl_print_json(json_t *object);
/* Prints {"format", "error": {"message", "status", "fix"}} on stderr, in one line. */
void nvl_print_json_error(const struct nvl_error *err);
/* Exits with an error if `value`, a result of json_pack, is NULL, rather than print half a result. Returns
 * `value`. */
json_t *nvl_json_made(json_t *value);

json_t *nvl_json_strings(const struct nvl_strv *v);
/* ["compute", "utility"]; lists all seven by name. */
json_t *nvl_json_capabilities(unsigned capabilities);
/* {"devices", "capabilities", "required", "exclusive", "cdi", "nodes_by", "libraries_by", "with"}; null for
 * NULL. */
json_t *nvl_json_grant(const struct nvl_grant *grant);
/* {"path", "major", "minor", "state"} */
json_t *nvl_json_node(const struct nvl_node *node);
json_t *nvl_json_nodes(const struct nvl_node *nodes, size_t count);
/* Of all but virtual functions. */
json_t *nvl_json_gpus(const struct nvl_gpus *gpus);
/* [{"text", "command"}]: the lines of a fix; [] for NULL. */
json_t *nvl_json_fix(const char *fix);
/* [{"id", "severity", "container", "stops_start", "title", "evidence", "cause", "fix"}] */
json_t *nvl_json_findings(const struct nvl_findings *findings);
/* {"new", "gone"}: findings; {"id", "container", "title"} of each that has gone. */
json_t *nvl_json_news(const struct nvl_news *news);
/* [{"line", "instead"}]: lines that --replace takes, and what takes their place. */
json_t *nvl_json_replaced(const struct nvl_strv *lines, const struct nvl_strv *instead);
