/* Data on its way from one process of nvlxc to another, through a pipe. A header (the format, its version,
 * how many bytes follow), then for each record its tag, its length and its bytes. Numbers have the machine's
 * own format: both processes are on it. */
#pragma once

#include "base/text.h"

#define NVL_RECORDS_MAX (1u << 20) /* bytes in total */

struct nvl_record {
    uint32_t tag;
    uint32_t len;
    const char *data; /* points into the received bytes */
};

/* Writing: `records` grows, then is sent as a whole. */
void nvl_records_add(struct nvl_buf *records, uint32_t tag, const void *data, size_t len);
/* Adds a record for each text. */
void nvl_records_add_list(struct nvl_buf *records, uint32_t tag, const struct nvl_strv *list);
int nvl_records_send(int fd, const struct nvl_buf *records);

/* Reading: -EPROTO if it is cut short, not records, or of another version. */
int nvl_records_check(const char *data, size_t len);
/* Iterates over them, from *pos 0; false at the end, also if a length leads beyond it. */
bool nvl_records_next(const char *data, size_t len, size_t *pos, struct nvl_record *record);
/* Adds a record's bytes as a text. */
void nvl_record_push(const struct nvl_record *record, struct nvl_strv *list);
