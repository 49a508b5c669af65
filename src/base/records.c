/* Records in memory and through a pipe. */
#include "base/records.h"

#include <errno.h>

#include "base/file.h"

struct header {
    char magic[8];
    uint32_t version;
    uint32_t len; /* of what follows */
};
#define MAGIC   "nvlxcrec"
#define VERSION 1

/* The header of a record: its bytes follow. */
struct head {
    uint32_t tag, len;
};

void nvl_records_add(struct nvl_buf *records, uint32_t tag, const void *data, size_t len)
{
    const struct head head = {.tag = tag, .len = (uint32_t)len};

    nvl_buf_add(records, &head, sizeof head);
    nvl_buf_add(records, data, len);
}

void nvl_records_add_list(struct nvl_buf *records, uint32_t tag, const struct nvl_strv *list)
{
    for (size_t i = 0; i < list->count; i++)
        nvl_records_add(records, tag, list->items[i], strlen(list->items[i]));
}

int nvl_records_send(int fd, const struct nvl_buf *records)
{
    struct header header = {.version = VERSION, .len = (uint32_t)records->len};
    nvl_auto(nvl_buf_clear) struct nvl_buf all = {0};

    if (records->len > NVL_RECORDS_MAX - sizeof header)
        return -EFBIG;
    memcpy(header.magic, MAGIC, sizeof header.magic);
    nvl_buf_add(&all, &header, sizeof header);
    nvl_buf_add(&all, records->data, records->len);
    return nvl_fd_write(fd, all.data, all.len);
}

int nvl_records_check(const char *data, size_t len)
{
    struct header header;

    if (len < sizeof header)
        return -EPROTO;
    memcpy(&header, data, sizeof header);
    if (memcmp(header.magic, MAGIC, sizeof header.magic) != 0 || header.version != VERSION ||
        header.len != len - sizeof header)
        return -EPROTO;
    return 0;
}

bool nvl_records_next(const char *data, size_t len, size_t *pos, struct nvl_record *record)
{
    struct head head;
    size_t at = *pos == 0 ? sizeof(struct header) : *pos;

    if (at > len || len - at < sizeof head)
        return false;
    memcpy(&head, data + at, sizeof head);
    at += sizeof head;
    if (head.len > len - at)
        return false;
    *record = (struct nvl_record){.tag = head.tag, .len = head.len, .data = data + at};
    *pos = at + head.len;
    return true;
}

void nvl_record_push(const struct nvl_record *record, struct nvl_strv *list)
{
    nvl_autofree char *text = nvl_xstrndup(record->data, record->len);

    nvl_strv_push(list, text);
}
