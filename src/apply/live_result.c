/* A result as bytes: a letter for the list, the text, a NUL; again and again. */
#include "apply/live_result.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

#define RESULT_MAX (1u << 20)
#define END        '.'
#define WHY        'w'
#define DEVICE     'x'

struct named_list {
    char letter;
    struct nvl_strv *list;
};

#define N_LISTS 7

static void name_lists(struct nvl_live_result *r, struct named_list lists[N_LISTS])
{
    const struct named_list all[N_LISTS] = {
        {'d', &r->report.done},       {'p', &r->report.problems}, {'n', &r->report.notes},
        {'t', &r->taken.what},        {'q', &r->taken.problems},  {'r', &r->cleaned.removed},
        {'s', &r->cleaned.remaining},
    };

    memcpy(lists, all, sizeof all);
}

static void add(struct nvl_buf *out, char letter, const char *text)
{
    nvl_buf_add(out, &letter, 1);
    nvl_buf_add(out, text, strlen(text) + 1);
}

int nvl_result_send(int fd, const struct nvl_live_result *result)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};
    struct named_list lists[N_LISTS];

    name_lists((struct nvl_live_result *)result, lists);
    for (size_t i = 0; i < N_LISTS; i++)
        for (size_t j = 0; j < lists[i].list->count; j++)
            add(&out, lists[i].letter, lists[i].list->items[j]);
    if (result->cleaned.why != NULL)
        add(&out, WHY, result->cleaned.why);
    for (size_t i = 0; i < result->taken.n_devices; i++) {
        const struct nvl_device *d = &result->taken.devices[i];
        nvl_autofree char *text = nvl_xasprintf("%u %u %s", d->major, d->minor, d->path);
        add(&out, DEVICE, text);
    }
    add(&out, END, "");
    return nvl_fd_write(fd, out.data, out.len);
}

static void take(struct nvl_live_result *result, char letter, const char *text)
{
    struct named_list lists[N_LISTS];
    struct nvl_device device;

    name_lists(result, lists);
    for (size_t i = 0; i < N_LISTS; i++)
        if (lists[i].letter == letter)
            nvl_strv_push(lists[i].list, text);
    if (letter == WHY && result->cleaned.why == NULL)
        result->cleaned.why = nvl_xstrdup(text);
    if (letter == DEVICE && sscanf(text, "%u %u %47s", &device.major, &device.minor, device.path) == 3)
        *NVL_APPEND(result->taken.devices, result->taken.n_devices) = device;
}

static int read_all(int fd, struct nvl_buf *in)
{
    char part[4096];
    ssize_t n;

    while ((n = read(fd, part, sizeof part)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (in->len + (size_t)n > RESULT_MAX)
            return -EFBIG;
        nvl_buf_add(in, part, (size_t)n);
    }
    return 0;
}

int nvl_result_receive(int fd, struct nvl_live_result *result)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf in = {0};
    size_t pos = 0;

    int r = read_all(fd, &in);
    while (r == 0 && pos + 1 < in.len) {
        const char *text = in.data + pos + 1;
        size_t len = strnlen(text, in.len - pos - 1);
        if (in.data[pos] == END)
            return 0;
        if (pos + 1 + len >= in.len)
            break;
        take(result, in.data[pos], text);
        pos += len + 2;
    }
    return r < 0 ? r : -EIO;
}

void nvl_live_result_clear(struct nvl_live_result *result)
{
    nvl_report_clear(&result->report);
    nvl_taken_clear(&result->taken);
    nvl_cleaned_clear(&result->cleaned);
    nvl_programs_clear(&result->programs);
}
