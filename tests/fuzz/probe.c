/* The probe's output, which is the container's. */
#include "fuzz.h"

#include "inside/probe_output.h"

void fuzz_one(const char *data, size_t len)
{
    nvl_auto(nvl_probe_lines_clear) struct nvl_probe_lines lines = {0};

    nvl_probe_parse(data, len, &lines);
    CHECK(lines.count <= NVL_PROBE_LINES_MAX);
    for (size_t i = 0; i < lines.count; i++) {
        fuzz_line(lines.items[i].what);
        fuzz_line(lines.items[i].text);
        CHECK(nvl_probe_find(&lines, lines.items[i].what) <= &lines.items[i]);
    }
    nvl_probe_last_try(&lines);
    nvl_autofree char *text = nvl_printable(data, len, 100);
    CHECK(strlen(text) <= 100 + 3);
    fuzz_line(text);
}
