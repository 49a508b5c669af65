/* What a process of nvlxc takes from another one, which may be the container's: records, and the outcome in
 * them. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/records.h"
#include "inject/outcome.h"

/* Through a descriptor, as they travel. */
static void receive(const struct nvl_buf *records, struct nvl_buf *received)
{
    nvl_autofd int fd = memfd_create("records", MFD_CLOEXEC);
    nvl_autofree char *bytes = NULL;
    size_t len;

    CHECK(nvl_records_send(fd, records) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    CHECK(nvl_fd_read(fd, 2 * NVL_RECORDS_MAX, &bytes, &len) == 0 && nvl_records_check(bytes, len) == 0);
    nvl_buf_add(received, bytes, len);
}

static void take_all(const char *data, size_t len, struct nvl_outcome *outcome)
{
    struct nvl_record record;

    for (size_t pos = 0; nvl_records_next(data, len, &pos, &record);) {
        CHECK(record.data >= data && record.data + record.len <= data + len && pos <= len);
        nvl_outcome_take(outcome, &record);
    }
}

void fuzz_one(const char *data, size_t len)
{
    nvl_auto(nvl_outcome_clear) struct nvl_outcome outcome = {0}, again = {0};
    nvl_auto(nvl_buf_clear) struct nvl_buf records = {0}, received = {0};

    if (nvl_records_check(data, len) < 0)
        return;
    take_all(data, len, &outcome);
    nvl_outcome_record(&outcome, &records);
    receive(&records, &received);
    take_all(received.data, received.len, &again);
    CHECK(again.done.count == outcome.done.count && again.problems.count == outcome.problems.count);
    CHECK(again.notes.count == outcome.notes.count);
}
