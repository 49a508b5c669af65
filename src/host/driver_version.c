/* The loaded kernel module's version and flavor, and versions in general: what they look like, which is
 * newer. */
#include "host/driver_version.h"

#include <errno.h>

#include "base/root.h"

#define VERSION_FILE     "/proc/driver/nvidia/version"
#define VERSION_FILE_MAX 8192

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool nvl_is_version(const char *s, size_t len)
{
    size_t groups = 1;

    for (size_t i = 0; i < len; i++) {
        if (is_digit(s[i]))
            continue;
        bool between = s[i] == '.' && i > 0 && is_digit(s[i - 1]) && i + 1 < len && is_digit(s[i + 1]);
        if (!between)
            return false;
        groups++;
    }
    return len < NVL_VERSION_MAX && (groups == 2 || groups == 3);
}

/* Takes the number that begins *s and the dot after it; its digits without leading zeros. */
static size_t take_group(const char **s, const char **digits)
{
    while (**s == '0')
        (*s)++;
    *digits = *s;
    while (is_digit(**s))
        (*s)++;
    size_t len = (size_t)(*s - *digits);
    if (**s == '.')
        (*s)++;
    return len;
}

int nvl_version_compare(const char *a, const char *b)
{
    while (is_digit(*a) && is_digit(*b)) {
        const char *digits_a, *digits_b;
        size_t len_a = take_group(&a, &digits_a), len_b = take_group(&b, &digits_b);

        if (len_a != len_b)
            return len_a < len_b ? -1 : 1;
        int order = memcmp(digits_a, digits_b, len_a);
        if (order != 0)
            return order;
    }
    return (int)is_digit(*a) - (int)is_digit(*b);
}

/* The first word of the text that is a version. */
static void find_version(const char *text, size_t len, char version[NVL_VERSION_MAX])
{
    size_t i = 0;

    while (i < len) {
        size_t start = i;
        while (i < len && text[i] != ' ' && text[i] != '\t' && text[i] != '\n')
            i++;
        if (nvl_is_version(text + start, i - start)) {
            nvl_copy(version, NVL_VERSION_MAX, text + start, i - start);
            return;
        }
        i++;
    }
}

void nvl_driver_version_parse(const char *text, size_t len, struct nvl_driver_version *v)
{
    static const char word[] = "Module", open[] = "Open Kernel Module";
    const char *line;
    size_t line_len, pos = 0;

    *v = (struct nvl_driver_version){.loaded = true};
    /* The line "NVRM version: …" comes first; the next one names the compiler, with that one's version. */
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        const char *module = memmem(line, line_len, word, sizeof word - 1);
        if (module == NULL)
            continue;
        const char *rest = module + sizeof word - 1;
        find_version(rest, line_len - (size_t)(rest - line), v->version);
        v->flavour = memmem(line, line_len, open, sizeof open - 1) != NULL ? NVL_FLAVOUR_OPEN
                                                                           : NVL_FLAVOUR_PROPRIETARY;
        return;
    }
}

const char *nvl_name_version(const char *name)
{
    const char *so = strstr(name, ".so.");

    if (so == NULL || strspn(so + 4, "0123456789") < 3 || strlen(so + 4) >= NVL_VERSION_MAX)
        return NULL;
    return nvl_is_version(so + 4, strlen(so + 4)) ? so + 4 : NULL;
}

int nvl_driver_version_read_text(const struct nvl_root *root, struct nvl_driver_version *v, char **text,
                                 struct nvl_error *err)
{
    size_t len;

    *text = NULL;
    *v = (struct nvl_driver_version){0};
    int r = nvl_root_read(root, VERSION_FILE, VERSION_FILE_MAX, text, &len);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot read %s" VERSION_FILE, root->name);
    nvl_driver_version_parse(*text, len, v);
    return 0;
}

int nvl_driver_version_read(const struct nvl_root *root, struct nvl_driver_version *v, struct nvl_error *err)
{
    nvl_autofree char *text = NULL;

    return nvl_driver_version_read_text(root, v, &text, err);
}

const char *nvl_flavour_name(enum nvl_flavour flavour)
{
    switch (flavour) {
    case NVL_FLAVOUR_OPEN:
        return "open";
    case NVL_FLAVOUR_PROPRIETARY:
        return "proprietary";
    case NVL_FLAVOUR_UNKNOWN:
        break;
    }
    return NULL;
}
