/* The one option parser. */
#include "cli/options.h"

#include <errno.h>

#include "base/words.h"

/* Of the whole word alone: "-h". */
static const struct nvl_option *find_letter(const struct nvl_option_set *sets, size_t n_sets,
                                            const char *word)
{
    for (size_t s = 0; s < n_sets; s++)
        for (const struct nvl_option *o = sets[s].options; o != NULL && o->name != NULL; o++)
            if (o->letter != 0 && o->letter == word[1] && word[2] == '\0')
                return o;
    return NULL;
}

const struct nvl_option *nvl_option_find(const struct nvl_option_set *sets, size_t n_sets, const char *word,
                                         struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *name = nvl_xstrndup(word, strcspn(word, "="));
    const struct nvl_option *found = find_letter(sets, n_sets, word);

    for (size_t s = 0; s < n_sets; s++)
        for (const struct nvl_option *o = sets[s].options; o != NULL && o->name != NULL; o++)
            nvl_strv_push(&names, o->name);
    long which = found == NULL && nvl_has_prefix(name, "--") ? nvl_word_find(name, &names) : -1;
    for (size_t s = 0; which >= 0 && s < n_sets && found == NULL; s++)
        for (const struct nvl_option *o = sets[s].options; o != NULL && o->name != NULL; o++)
            if (strcmp(o->name, names.items[which]) == 0)
                found = o;
    if (found == NULL) {
        nvl_error_usage(err, "unknown option %s", name);
        nvl_word_suggest(name, &names, err);
    }
    return found;
}

/* The variable of an option of one of the sets. */
static void *variable_of(const struct nvl_option_set *sets, size_t n_sets, const struct nvl_option *option)
{
    for (size_t s = 0; s < n_sets; s++)
        for (const struct nvl_option *o = sets[s].options; o != NULL && o->name != NULL; o++)
            if (o == option)
                return (char *)sets[s].values + o->offset;
    return NULL;
}

static int store_value(const struct nvl_option *o, void *to, const char *value, struct nvl_error *err)
{
    switch (o->kind) {
    case NVL_OPTION_FLAG:
        *(bool *)to = true;
        break;
    case NVL_OPTION_STRING:
        if (*(const char **)to != NULL)
            return nvl_error_usage(err, "%s is given more than once", o->name);
        *(const char **)to = value;
        break;
    case NVL_OPTION_LIST:
        nvl_strv_push(to, value);
        break;
    }
    return 0;
}

int nvl_options_parse(const struct nvl_option_set *sets, size_t n_sets, int argc, char **argv,
                      struct nvl_strv *arguments, struct nvl_error *err)
{
    bool ended = false;

    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];

        if (ended || word[0] != '-' || word[1] == '\0') {
            nvl_strv_push(arguments, word);
            continue;
        }
        if (strcmp(word, "--") == 0) {
            ended = true;
            continue;
        }
        const char *value = strchr(word, '=');
        const struct nvl_option *option = nvl_option_find(sets, n_sets, word, err);
        if (option == NULL)
            return -EINVAL;
        value = value != NULL ? value + 1 : NULL;
        if (option->value == NULL && value != NULL)
            return nvl_error_usage(err, "option %s takes no value", option->name);
        if (option->value != NULL && value == NULL) {
            if (i + 1 == argc)
                return nvl_error_usage(err, "option %s needs a value: %s", option->name, option->value);
            value = argv[++i];
        }
        int r = store_value(option, variable_of(sets, n_sets, option), value, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void nvl_options_clear(const struct nvl_option_set *sets, size_t n_sets)
{
    for (size_t s = 0; s < n_sets; s++)
        for (const struct nvl_option *o = sets[s].options; o != NULL && o->name != NULL; o++)
            if (o->kind == NVL_OPTION_LIST)
                nvl_strv_clear((struct nvl_strv *)((char *)sets[s].values + o->offset));
}

bool nvl_next_value(const char **values, char **word, char **what)
{
    const char *line = *values;
    size_t len = line != NULL ? strcspn(line, "\n") : 0, word_len = line != NULL ? strcspn(line, "\t\n") : 0;

    if (len == 0)
        return false;
    *word = nvl_xstrndup(line, word_len);
    *what = word_len < len ? nvl_xstrndup(line + word_len + 1, len - word_len - 1) : nvl_xstrdup("");
    *values = line + len + (line[len] == '\n');
    return true;
}

/* "hook, dev or static"; NULL if the host decides about some of them. The caller frees. */
static char *list_values(const struct nvl_option *option)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf list = {0};
    const char *values = option->values;
    char *word, *what;

    if (values == NULL || strchr(values, '@') != NULL)
        return NULL;
    while (nvl_next_value(&values, &word, &what)) {
        nvl_buf_addf(&list, "%s%s", list.len == 0 ? "" : *values != '\0' ? ", " : " or ", word);
        free(word);
        free(what);
    }
    return nvl_buf_take(&list);
}

char *nvl_option_text(const struct nvl_option *option)
{
    nvl_autofree char *list = list_values(option);
    const char *holds = option->default_value;

    return nvl_xasprintf("%s%s%s%s%s%s", option->help, list != NULL ? ": " : "", list != NULL ? list : "",
                         holds != NULL ? " [default: " : "", holds != NULL ? holds : "",
                         holds != NULL ? "]" : "");
}

void nvl_help_row(const char *word, const char *text, size_t at, size_t columns, struct nvl_buf *out)
{
    const char *line;
    size_t len;

    nvl_buf_addf(out, "  %-*s", (int)at - 3, word);
    if (strlen(word) > at - 3)
        nvl_buf_addf(out, "\n%*s", (int)at - 1, "");
    for (bool is_first = true; nvl_next_wrapped(&text, columns - at, &line, &len); is_first = false)
        nvl_buf_addf(out, "%*s%.*s\n", is_first ? 1 : (int)at, "", (int)len, line);
}

/* A default stays on one line: its blanks are taken for letters while the text is wrapped. */
#define NO_BREAK '\037'

static void replace_from(char *text, char from, char to)
{
    for (; text != NULL && *text != '\0'; text++)
        *text = *text == from ? to : *text;
}

void nvl_options_help(const struct nvl_option *options, size_t columns, struct nvl_buf *out)
{
    for (const struct nvl_option *o = options; o != NULL && o->name != NULL; o++) {
        nvl_autofree char *letter = o->letter != 0 ? nvl_xasprintf("-%c, ", o->letter) : nvl_xstrdup("");
        nvl_autofree char *word = nvl_xasprintf("%s%s%s%s", letter, o->name, o->value != NULL ? " " : "",
                                                o->value != NULL ? o->value : "");
        nvl_autofree char *text = nvl_option_text(o);
        replace_from(strstr(text, "[default: "), ' ', NO_BREAK);
        nvl_help_row(word, text, NVL_HELP_COLUMN, columns, out);
    }
    replace_from(out->data, NO_BREAK, ' ');
}

char *nvl_example_line(const struct nvl_example *example)
{
    return nvl_xasprintf("nvlxc%s%s", example->command[0] != '\0' ? " " : "", example->command);
}

void nvl_examples_help(const struct nvl_example *examples, size_t columns, struct nvl_buf *out)
{
    size_t at = NVL_HELP_COLUMN;

    /* as wide as the lines are, while half of the width is left for what they do */
    for (const struct nvl_example *e = examples; e->command != NULL; e++) {
        nvl_autofree char *line = nvl_example_line(e);
        size_t needed = strlen(line) + 4;
        at = needed > at && needed <= columns / 2 ? needed : at;
    }
    for (const struct nvl_example *e = examples; e->command != NULL; e++) {
        nvl_autofree char *line = nvl_example_line(e);
        nvl_help_row(line, e->what, at, columns, out);
    }
}

enum nvl_paragraph nvl_paragraph_kind(const char *paragraph)
{
    size_t word_len = strcspn(paragraph, " ");

    if (paragraph[0] == ' ')
        return NVL_PARAGRAPH_LITERAL;
    return paragraph[word_len] == ' ' && paragraph[word_len + 1] == ' ' ? NVL_PARAGRAPH_ITEMS
                                                                        : NVL_PARAGRAPH_TEXT;
}

bool nvl_next_paragraph(const char **details, char **paragraph)
{
    const char *end = strstr(*details, "\n\n");
    size_t len = end != NULL ? (size_t)(end - *details) : strlen(*details);

    if (len == 0)
        return false;
    *paragraph = nvl_xstrndup(*details, len);
    *details += len + (end != NULL ? 2 : 0);
    return true;
}

bool nvl_next_item(const char **paragraph, char **word, char **text)
{
    const char *line = *paragraph;
    size_t word_len = strcspn(line, " ");
    struct nvl_buf words = {0};

    if (line[0] == '\0')
        return false;
    *word = nvl_xstrndup(line, word_len);
    line += word_len;
    do { /* lines that begin with a blank go on */
        size_t blanks = strspn(line, " "), len = strcspn(line, "\n");
        nvl_buf_addf(&words, "%s%.*s", words.len > 0 ? " " : "", (int)(len - blanks), line + blanks);
        line += len + (line[len] == '\n');
    } while (line[0] == ' ');
    *text = nvl_buf_take(&words);
    *paragraph = line;
    return true;
}

static void fill_text(char *text, size_t columns, struct nvl_buf *out)
{
    const char *rest = text, *line;
    size_t line_len;

    replace_from(text, '\n', ' ');
    while (nvl_next_wrapped(&rest, columns, &line, &line_len))
        nvl_buf_addf(out, "%.*s\n", (int)line_len, line);
}

static void fill_items(const char *items, size_t columns, struct nvl_buf *out)
{
    const char *at = items;
    size_t column = 0;
    char *word, *text;

    for (int pass = 0; pass < 2; pass++, at = items)
        while (nvl_next_item(&at, &word, &text)) {
            column = strlen(word) + 4 > column ? strlen(word) + 4 : column;
            if (pass == 1)
                nvl_help_row(word, text, column, columns, out);
            free(word);
            free(text);
        }
}

void nvl_help_details(const char *details, size_t columns, struct nvl_buf *out)
{
    char *paragraph;

    for (bool is_first = true; nvl_next_paragraph(&details, &paragraph); is_first = false) {
        nvl_buf_addf(out, "%s", is_first ? "" : "\n");
        switch (nvl_paragraph_kind(paragraph)) {
        case NVL_PARAGRAPH_TEXT:
            fill_text(paragraph, columns, out);
            break;
        case NVL_PARAGRAPH_ITEMS:
            fill_items(paragraph, columns, out);
            break;
        case NVL_PARAGRAPH_LITERAL:
            nvl_buf_addf(out, "%s\n", paragraph);
            break;
        }
        free(paragraph);
    }
}
