/* The table of compat.h as it is on a host: the one compiled into the program (data/kernels.json), or that of
 * a newer release if its file is there, and the rows that the host's administrator adds. */
#pragma once

#include "host/compat.h"

struct nvl_root;

#define NVL_TABLE_SHIPPED "/usr/share/nvlxc/kernels.json" /* counts if its date is the newer one */
#define NVL_TABLE_LOCAL   "/etc/nvlxc/kernels.json" /* adds rows, and replaces those about the same driver */

/* The only way to the table. A file that cannot be read or is malformed is an error, which names file and
 * row. Without a root (NULL) the program's own table. */
int nvl_support_read(const struct nvl_root *root, struct nvl_support *support, struct nvl_error *err);
/* Adds the rows of a file's text: a row about the same driver is replaced, and a PCI id belongs to the
 * generation that was added last. -EINVAL; clear the table then, too. */
int nvl_support_add(struct nvl_support *support, const char *file, const char *text, size_t len,
                    struct nvl_error *err);
