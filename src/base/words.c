/* Finds what a word may mean. The distance counts letters left out, added, changed, or swapped with the next:
 * optimal string alignment (Damerau, "A technique for computer detection and correction of spelling errors",
 * 1964). */
#include "base/words.h"

#include "base/error.h"

#define WORD_MAX      40
#define SUGGESTED_MAX 3

long nvl_word_find(const char *word, const struct nvl_strv *names)
{
    long found = -1;

    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], word) == 0)
            return (long)i;
        if (nvl_has_prefix(names->items[i], word))
            found = found == -1 ? (long)i : -2;
    }
    return word[0] == '\0' || found < 0 ? -1 : found;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of words that are no longer than WORD_MAX. */
static size_t measure_distance(const char *a, const char *b)
{
    size_t rows[WORD_MAX + 1][WORD_MAX + 1], a_len = strlen(a), b_len = strlen(b);

    for (size_t i = 0; i <= a_len; i++)
        for (size_t j = 0; j <= b_len; j++) {
            if (i == 0 || j == 0) {
                rows[i][j] = i + j;
                continue;
            }
            size_t change = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            rows[i][j] = least(change, least(rows[i - 1][j], rows[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1);
        }
    return rows[a_len][b_len];
}

/* A third of the letters may be wrong, and one in any case. */
static bool is_near(const char *word, const char *name)
{
    size_t len = strlen(word);

    if (len == 0 || len > WORD_MAX || strlen(name) > WORD_MAX)
        return false;
    return nvl_has_prefix(name, word) || measure_distance(word, name) <= (len < 6 ? 1 : len / 3);
}

void nvl_word_suggest(const char *word, const struct nvl_strv *names, struct nvl_error *err)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    size_t n = 0;

    for (size_t i = 0; i < names->count && n < SUGGESTED_MAX; i++)
        if (nvl_is_plain(names->items[i]) && is_near(word, names->items[i]))
            nvl_buf_addf(&text, "%s'%s'", n++ > 0 ? " or " : "", names->items[i]);
    if (n > 0)
        nvl_error_hint(err, "did you mean %s?", text.data);
}
