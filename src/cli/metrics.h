/* The text that Prometheus reads: families of samples, each with a name, a sentence on what it counts, and
 * labels. Source: Prometheus' documentation, 'Exposition formats', text format 0.0.4. All are gauges. */
#pragma once

#include "base/text.h"

struct nvl_label {
    const char *name, *value; /* a value that is NULL or "" leaves the label out, which means the same */
};

/* Samples follow; none is allowed. */
void nvl_metrics_family(struct nvl_buf *out, const char *name, const char *help);
/* No two of a family may have the same labels. Values are UTF-8. */
void nvl_metrics_sample(struct nvl_buf *out, const char *name, const struct nvl_label *labels,
                        size_t n_labels, int64_t value);
