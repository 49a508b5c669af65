/* What bash and zsh complete: the words of the tables. The shells' own files, completions/ in the source, say
 * how. */
#include "cli/doc.h"
#include "cli/globals.h"
#include "grant/grant.h"

/* Every capability, and `all`. */
static char *capabilities(const char *separator)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    for (unsigned bit = 1; bit <= NVL_CAP_ALL; bit <<= 1) {
        nvl_autofree char *word = nvl_capabilities_format(bit);
        nvl_strv_push(&words, word);
    }
    nvl_strv_push(&words, "all");
    return nvl_strv_join(&words, separator);
}

static void add_bash_options(struct nvl_buf *out, const char *command, const struct nvl_option *options)
{
    nvl_buf_addf(out, "_nvlxc_options[%s]='", command);
    for (const struct nvl_option *o = options; o != NULL && o->name != NULL; o++)
        nvl_buf_addf(out, "%s%s", o == options ? "" : " ", o->name);
    nvl_buf_addf(out, "'\n");
    for (const struct nvl_option *o = options; o != NULL && o->name != NULL; o++)
        if (o->value != NULL)
            nvl_buf_addf(out, "_nvlxc_values[%s,%s]='%s'\n", command, o->name, o->value);
}

static void add_bash(struct nvl_buf *out)
{
    nvl_autofree char *words = capabilities(" ");

    nvl_buf_addf(out, "_nvlxc_capabilities='%s'\n", words);
    add_bash_options(out, "nvlxc", nvl_global_options);
    for (size_t i = 0; nvl_commands[i] != NULL; i++) {
        nvl_buf_addf(out, "_nvlxc_arguments[%s]='%s'\n", nvl_commands[i]->name, nvl_commands[i]->arguments);
        add_bash_options(out, nvl_commands[i]->name, nvl_commands[i]->options);
    }
}

/* For single quotes, and for the signs that _arguments and _describe part their fields by. */
static void add_zsh_text(struct nvl_buf *out, const char *text)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf fields = {0};

    for (; *text != '\0'; text++)
        nvl_buf_addf(&fields, "%s%c", strchr("[]:\\", *text) != NULL ? "\\" : "", *text);
    nvl_buf_add_quoted(out, fields.data != NULL ? fields.data : "");
}

/* What completions/_nvlxc.in has a function for. */
static bool is_known(const char *word)
{
    static const char *const known[] = {"CT", "SEL", "LIST", "VERSION", "DIR", "FILE"};

    for (size_t i = 0; i < NVL_LENGTH(known); i++)
        if (strcmp(word, known[i]) == 0)
            return true;
    return false;
}

/* One word of `arguments` or an option's value: "CT", "[VERSION]...", "list|sync|prune". */
static void add_zsh_action(struct nvl_buf *out, const char *word)
{
    nvl_autofree char *plain = nvl_xstrdup(word);
    size_t len = 0;

    for (const char *c = word; *c != '\0'; c++)
        if (strchr("[].", *c) == NULL)
            plain[len++] = *c;
    plain[len] = '\0';
    bool is_literal = plain[0] >= 'a' && plain[0] <= 'z';
    nvl_buf_addf(out, ":%s:", is_literal ? "word" : plain);
    if (!is_literal) {
        nvl_buf_addf(out, "%s%s", is_known(plain) ? "_nvlxc_" : " ", is_known(plain) ? plain : "");
        return;
    }
    nvl_buf_addf(out, "(");
    for (const char *c = plain; *c != '\0'; c++)
        nvl_buf_add(out, *c == '|' ? " " : c, 1);
    nvl_buf_addf(out, ")");
}

static void add_zsh_options(struct nvl_buf *out, const struct nvl_option *options)
{
    for (const struct nvl_option *o = options; o != NULL && o->name != NULL; o++) {
        nvl_buf_addf(out, "    '%s%s%s[", o->kind == NVL_OPTION_LIST ? "*" : "", o->name,
                     o->value != NULL ? "=" : "");
        add_zsh_text(out, o->help);
        nvl_buf_addf(out, "]");
        if (o->value != NULL)
            add_zsh_action(out, o->value);
        nvl_buf_addf(out, "'\n");
    }
}

static void add_zsh_arguments(struct nvl_buf *out, const char *arguments)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, arguments, " ");
    for (size_t i = 0; i < words.count; i++) {
        nvl_buf_addf(out, "    '%s", nvl_has_suffix(words.items[i], "...") ? "*" : "");
        if (!nvl_has_suffix(words.items[i], "..."))
            nvl_buf_addf(out, "%zu", i + 1);
        add_zsh_action(out, words.items[i]);
        nvl_buf_addf(out, "'\n");
    }
}

static void add_zsh(struct nvl_buf *out)
{
    nvl_autofree char *words = capabilities(" ");

    nvl_buf_addf(out, "_nvlxc_capabilities=(%s)\n_nvlxc_global=(\n", words);
    add_zsh_options(out, nvl_global_options);
    nvl_buf_addf(out, ")\n_nvlxc_commands=(\n");
    for (size_t i = 0; nvl_commands[i] != NULL; i++) {
        nvl_buf_addf(out, "    '%s:", nvl_commands[i]->name);
        add_zsh_text(out, nvl_commands[i]->summary);
        nvl_buf_addf(out, "'\n");
    }
    nvl_buf_addf(out, ")\n");
    for (size_t i = 0; nvl_commands[i] != NULL; i++) {
        nvl_buf_addf(out, "_nvlxc_of_%s=(\n", nvl_commands[i]->name);
        add_zsh_options(out, nvl_commands[i]->options);
        add_zsh_arguments(out, nvl_commands[i]->arguments);
        nvl_buf_addf(out, ")\n");
    }
}

bool nvl_doc_completion_part(const char *shell, const char *line, struct nvl_buf *out)
{
    if (strcmp(line, "@TABLES@") != 0)
        return false;
    if (strcmp(shell, "bash") == 0)
        add_bash(out);
    else
        add_zsh(out);
    return true;
}
