/* Reads the ranges of subordinate ids. */
#include "container/subids.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/root.h"

#define FILE_MAX      (16u << 20)
#define DAEMONS_LEAST 65536 /* ids: Incus and LXD take no smaller range */

/* "subid: sss" in nsswitch.conf: newuidmap then asks that source and reads no file. */
bool nvl_subids_are_files(const struct nvl_root *root)
{
    nvl_autofree char *text = NULL;
    const char *line, *value;
    size_t len, line_len, value_len, pos = 0;

    if (nvl_root_read(root, "/etc/nsswitch.conf", FILE_MAX, &text, &len) < 0)
        return true;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (nvl_line_value(line, line_len, "subid", &value, &value_len))
            return value_len >= 5 && memcmp(value, "files", 5) == 0;
    return true;
}

/* "alice:100000:65536", or "1000:…". */
static bool parse_range(const char *line, size_t len, const char *owner, unsigned uid, uint64_t range[2])
{
    nvl_autofree char *copy = nvl_xstrndup(line, len);
    nvl_auto(nvl_strv_clear) struct nvl_strv fields = {0};
    char digits[16];

    snprintf(digits, sizeof digits, "%u", uid);
    nvl_strv_split(&fields, copy, ":");
    return fields.count == 3 &&
           (strcmp(fields.items[0], owner) == 0 || strcmp(fields.items[0], digits) == 0) &&
           nvl_parse_uint(fields.items[1], 10, UINT32_MAX, &range[0]) == 0 &&
           nvl_parse_uint(fields.items[2], 10, UINT32_MAX, &range[1]) == 0 && range[1] > 0;
}

int nvl_subids_have(const struct nvl_root *root, const char *file, const char *owner, unsigned uid,
                    uint64_t first, uint64_t count)
{
    nvl_autofree char *text = NULL;
    size_t len, line_len, pos = 0;
    uint64_t range[2], end = first + count;
    const char *line;

    if (!nvl_subids_are_files(root))
        return -ENOTSUP;
    int r = nvl_root_read(root, file, FILE_MAX, &text, &len);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    /* skip the beginning that a line covers, and start over: lines may come in any order */
    for (bool found = true; found && first < end;) {
        found = false;
        for (pos = 0; nvl_next_line(text, len, &pos, &line, &line_len);)
            if (parse_range(line, line_len, owner, uid, range) && range[0] <= first &&
                first < range[0] + range[1]) {
                first = range[0] + range[1];
                found = true;
            }
    }
    return first >= end;
}

static bool has_line_of_root(const struct nvl_root *root, const char *file)
{
    static const char name[] = "root:";
    nvl_autofree char *text = NULL;
    size_t len, line_len, pos = 0;
    const char *line;

    if (nvl_root_read(root, file, FILE_MAX, &text, &len) < 0)
        return false;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (line_len >= strlen(name) && memcmp(line, name, strlen(name)) == 0)
            return true;
    return false;
}

char *nvl_subids_give(const struct nvl_root *root, const char *file, const char *owner, uint64_t first,
                      uint64_t count)
{
    bool is_second = strcmp(owner, "root") == 0 && count >= DAEMONS_LEAST && has_line_of_root(root, file);

    return nvl_xasprintf("echo %s:%" PRIu64 ":%" PRIu64 " >> %s", is_second ? "0" : owner, first, count,
                         file);
}
