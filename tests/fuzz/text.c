/* Texts of others on their way to a terminal, to JSON, and to a shell. */
#include "fuzz.h"

#include <jansson.h>

#include "base/printable.h"

/* jansson takes UTF-8 alone, and says what it is. */
static void check_utf8(const char *text)
{
    nvl_autofree char *utf8 = nvl_xstrdup(text), *printable = nvl_xstrdup(text);
    json_t *was = json_string(text), *is = json_string(nvl_make_utf8(utf8));

    CHECK(is != NULL && (was == NULL || json_equal(was, is)));
    CHECK(strlen(utf8) == strlen(text));
    json_t *shown = json_string(nvl_make_printable(printable));
    CHECK(shown != NULL);
    fuzz_printable(printable);
    for (const char *c = printable; *c != '\0'; c++)
        CHECK(((unsigned char)*c >= ' ' && *c != 0x7f) || *c == '\n' || *c == '\t');
    json_decref(was);
    json_decref(is);
    json_decref(shown);
}

/* A shell takes the word for what it was: quotes protect everything, and outside of them stands only what is
 * plain. */
static void check_word(const char *text)
{
    nvl_autofree char *word = nvl_shell_word(text);
    struct nvl_buf out = {0};
    bool is_quoted = false;

    for (const char *c = word; *c != '\0'; c++) {
        if (*c == '\'') {
            is_quoted = !is_quoted;
        } else if (!is_quoted && *c == '\\') {
            c++;
            CHECK(*c != '\0');
            nvl_buf_add(&out, c, 1);
        } else {
            CHECK(is_quoted || strchr(" \t\n;&|<>()$`\"*?[#~!{}", *c) == NULL);
            nvl_buf_add(&out, c, 1);
        }
    }
    CHECK(!is_quoted && word[0] != '\0');
    nvl_autofree char *taken = nvl_buf_take(&out);
    fuzz_same(text, strlen(text), taken, strlen(taken));
}

/* No word is lost, and no line is too wide that could be shorter. */
static void check_wrapping(const char *text, size_t width)
{
    const char *line, *rest = text;
    size_t len, letters = 0, shown = 0;

    for (const char *c = text; *c != '\0'; c++)
        letters += *c != ' ' && *c != '\n';
    while (nvl_next_wrapped(&rest, width, &line, &len)) {
        CHECK(line >= text && line + len <= text + strlen(text));
        CHECK(len <= width || memchr(line, ' ', len) == NULL);
        for (size_t i = 0; i < len; i++)
            shown += line[i] != ' ' && line[i] != '\n';
    }
    CHECK(shown == letters);
}

static void check_octal(const char *text)
{
    nvl_autofree char *copy = nvl_xstrdup(text);

    nvl_decode_octal(copy);
    CHECK(strlen(copy) <= strlen(text));
}

static void check_number(const char *text)
{
    uint64_t n;
    char again[32];

    if (nvl_parse_uint(text, 10, UINT32_MAX, &n) < 0)
        return;
    CHECK(n <= UINT32_MAX);
    snprintf(again, sizeof again, "%llu", (unsigned long long)n);
    text += strspn(text, "0");
    CHECK(strcmp(again, *text != '\0' ? text : "0") == 0);
}

static void check_list(const char *text)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0}, again = {0};

    nvl_strv_split(&words, text, ",");
    nvl_autofree char *joined = nvl_strv_join(&words, ",");
    nvl_strv_split(&again, joined, ",");
    CHECK(words.count == again.count);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    unsigned width = 1 + fuzz_choice(&in, 100);
    nvl_autofree char *text = fuzz_text(&in);

    check_utf8(text);
    check_word(text);
    check_wrapping(text, width);
    check_octal(text);
    check_number(text);
    check_list(text);
}
