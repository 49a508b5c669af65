/* Character device majors from /proc/devices. NVIDIA's are dynamic except for 195, and change with each
 * boot. */
#include "host/majors.h"

#include <errno.h>

#include "base/root.h"

#define DEVICES_FILE     "/proc/devices"
#define DEVICES_FILE_MAX (256u << 10)
#define MAJOR_MAX        4095 /* MKDEV keeps 12 bits for it */

static const struct {
    const char *name;
    size_t at;
} names[] = {
    {"nvidia", offsetof(struct nvl_majors, nvidia)},
    {"nvidia-frontend", offsetof(struct nvl_majors, nvidia)},
    {"nvidia-uvm", offsetof(struct nvl_majors, uvm)},
    {"nvidia-caps", offsetof(struct nvl_majors, caps)},
    {"nvidia-caps-imex-channels", offsetof(struct nvl_majors, caps_imex)},
    {"nvidia-nvswitch", offsetof(struct nvl_majors, nvswitch)},
    {"nvidia-nvlink", offsetof(struct nvl_majors, nvlink)},
};

static bool is(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(text, word, len) == 0;
}

/* "195 nvidia", the number right-aligned. */
static void parse_line(const char *line, size_t len, struct nvl_majors *majors)
{
    size_t i = 0;
    int number = 0;

    while (i < len && line[i] == ' ')
        i++;
    size_t digits = i;
    for (; i < len && line[i] >= '0' && line[i] <= '9' && number <= MAJOR_MAX; i++)
        number = number * 10 + (line[i] - '0');
    if (i == digits || i >= len || line[i] != ' ' || number > MAJOR_MAX)
        return;
    i++;
    for (size_t n = 0; n < NVL_LENGTH(names); n++)
        if (is(line + i, len - i, names[n].name))
            *(int *)(void *)((char *)majors + names[n].at) = number;
    if (number <= NVL_MAJOR_DYNAMIC_MAX)
        majors->others[number] = number != majors->nvidia && number != majors->uvm && number != majors->caps;
}

void nvl_majors_parse(const char *text, size_t len, struct nvl_majors *majors)
{
    const char *line;
    size_t line_len, pos = 0;
    bool is_character = false;

    *majors = NVL_MAJORS_UNKNOWN;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        if (is(line, line_len, "Character devices:"))
            is_character = true;
        else if (is(line, line_len, "Block devices:"))
            is_character = false;
        else if (is_character)
            parse_line(line, line_len, majors);
    }
}

int nvl_majors_read(const struct nvl_root *root, struct nvl_majors *majors, struct nvl_error *err)
{
    nvl_autofree char *text = NULL;
    size_t len = 0;
    int r = nvl_root_read(root, DEVICES_FILE, DEVICES_FILE_MAX, &text, &len);

    nvl_majors_parse(text != NULL ? text : "", len, majors);
    if (r < 0 && r != -ENOENT)
        return nvl_error_errno(err, r, "cannot read %s" DEVICES_FILE, root->name);
    return 0;
}
