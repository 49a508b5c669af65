/* The diff of two texts: nothing where they are the same, and what it shows leads from one to the other. */
#include "fuzz.h"

#include "plan/diff.h"

/* The lines of the diff with that sign are lines of the text, in its order. */
static void check_side(const struct nvl_buf *diff, char sign, const char *text, size_t len)
{
    size_t pos = 0, at = 0, line_len, text_len;
    const char *line, *own;

    while (nvl_next_line(diff->data, diff->len, &pos, &line, &line_len)) {
        if (line_len == 0 || line[0] != sign ||
            (line_len >= 4 && line[1] == sign && line[2] == sign && line[3] == ' '))
            continue;
        bool found = false;
        while (!found && nvl_next_line(text, len, &at, &own, &text_len))
            found = text_len == line_len - 1 && memcmp(own, line + 1, text_len) == 0;
        CHECK(found);
    }
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};
    size_t a_len, b_len;
    nvl_autofree char *a = fuzz_bytes(&in, &a_len), *b = fuzz_bytes(&in, &b_len);

    nvl_diff(&out, "a", a, a_len, "b", b, b_len);
    CHECK((out.len == 0) == (a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0)));
    check_side(&out, '-', a, a_len);
    check_side(&out, '+', b, b_len);
}
