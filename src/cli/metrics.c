/* Prometheus' text format. */
#include "cli/metrics.h"

#include <inttypes.h>
#include <string.h>

void nvl_metrics_family(struct nvl_buf *out, const char *name, const char *help)
{
    nvl_buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void add_value(struct nvl_buf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\n')
            nvl_buf_add(out, "\\n", 2);
        else if (*value == '"' || *value == '\\')
            nvl_buf_addf(out, "\\%c", *value);
        else
            nvl_buf_add(out, value, 1);
    }
}

void nvl_metrics_sample(struct nvl_buf *out, const char *name, const struct nvl_label *labels,
                        size_t n_labels, int64_t value)
{
    const char *before = "{";

    nvl_buf_addf(out, "%s", name);
    for (size_t i = 0; i < n_labels; i++) {
        if (labels[i].value == NULL || labels[i].value[0] == '\0')
            continue;
        nvl_buf_addf(out, "%s%s=\"", before, labels[i].name);
        add_value(out, labels[i].value);
        nvl_buf_add(out, "\"", 1);
        before = ",";
    }
    nvl_buf_addf(out, "%s %" PRId64 "\n", before[0] == ',' ? "}" : "", value);
}
