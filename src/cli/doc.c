/* nvlxc-doc: generates man pages (in scdoc's format) and shell completions from the tables of commands and
 * options, so that they agree with --help. The build runs it and takes its stdout.
 *
 * usage: nvlxc-doc page COMMAND [PROSE]      the man page of one command
 *        nvlxc-doc man|bash|zsh TEMPLATE     the template, with its @LINES@ filled in */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/globals.h"
#include "grant/grant.h"

#define TEXT_MAX (1u << 20)

/* Escapes a text and puts it on one line. Some of scdoc's markup characters are special only at the start of
 * a line. */
static void add_text(struct nvl_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr("\\*_+`", text[i]) != NULL || (i == 0 && strchr("#-[]|!<;", text[i]) != NULL))
            nvl_buf_add(out, "\\", 1);
        nvl_buf_add(out, text[i] == '\n' ? " " : text + i, 1);
    }
}

static void add_string(struct nvl_buf *out, const char *text)
{
    add_text(out, text, strlen(text));
}

static void add_page_options(struct nvl_buf *out, const struct nvl_option *options)
{
    for (const struct nvl_option *o = options; o != NULL && o->name != NULL; o++) {
        nvl_buf_addf(out, "*%s*", o->name);
        if (o->value != NULL) {
            nvl_buf_addf(out, " ");
            add_string(out, o->value);
        }
        nvl_buf_addf(out, "\n\t");
        add_string(out, o->help);
        nvl_buf_addf(out, ".\n\n");
    }
}

static bool is_aligned(const char *paragraph, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++)
        if (paragraph[i] == ' ' && (paragraph[i + 1] == ' ' || i == 0 || paragraph[i - 1] == '\n'))
            return true;
    return false;
}

/* Reflows each paragraph; lines that are aligned with blanks stay as they are. */
static void add_details(struct nvl_buf *out, const char *details)
{
    for (const char *at = details; *at != '\0';) {
        const char *end = strstr(at, "\n\n");
        size_t len = end != NULL ? (size_t)(end - at) : strlen(at);
        if (is_aligned(at, len)) {
            nvl_buf_addf(out, "```\n");
            nvl_buf_add(out, at, len);
            nvl_buf_addf(out, "\n```\n\n");
        } else {
            add_text(out, at, len);
            nvl_buf_addf(out, "\n\n");
        }
        at += len + (end != NULL ? 2 : 0);
    }
}

/* `prose` is a text to insert, "" for none. */
static void add_command_page(const struct nvl_command *c, const char *prose, struct nvl_buf *out)
{
    nvl_buf_addf(out, "nvlxc-%s(8) \"nvlxc " NVL_VERSION "\"\n\n# NAME\n\nnvlxc-%s - ", c->name, c->name);
    add_string(out, c->summary);
    nvl_buf_addf(out, "\n\n# SYNOPSIS\n\n*nvlxc %s*", c->name);
    nvl_buf_addf(out, "%s%s", c->options != NULL ? " [OPTION]..." : "", c->arguments[0] != '\0' ? " " : "");
    add_string(out, c->arguments);
    if (c->details != NULL) {
        nvl_buf_addf(out, "\n\n# DESCRIPTION\n\n");
        add_details(out, c->details);
    } else {
        nvl_buf_addf(out, "\n\n");
    }
    nvl_buf_addf(out, "# OPTIONS\n\n");
    add_page_options(out, c->options);
    nvl_buf_addf(out, "The options of every command are in *nvlxc*(8).\n\n");
    if (prose[0] != '\0')
        nvl_buf_addf(out, "%s\n", prose);
    nvl_buf_addf(out,
                 "# EXIT STATUS\n\n0 success, 1 failure or a problem was found, 2 wrong command line, 3 the "
                 "host lacks what the command needs.\n\n# SEE ALSO\n\n*nvlxc*(8)\n");
}

/* Expands a placeholder line of a template: "@COMMANDS@" and "@OPTIONS@" of nvlxc(8). False for any other
 * line. */
static bool add_man_part(const char *line, struct nvl_buf *out)
{
    if (strcmp(line, "@OPTIONS@") == 0) {
        add_page_options(out, nvl_global_options);
        return true;
    }
    if (strcmp(line, "@COMMANDS@") != 0)
        return false;
    for (size_t i = 0; nvl_commands[i] != NULL; i++) {
        const struct nvl_command *c = nvl_commands[i];
        nvl_buf_addf(out, "*%s*%s", c->name, c->arguments[0] != '\0' ? " " : "");
        add_string(out, c->arguments);
        nvl_buf_addf(out, "\n\t");
        add_string(out, c->summary);
        nvl_buf_addf(out, ": see *nvlxc-%s*(8).\n\n", c->name);
    }
    return true;
}

/* Every capability and `all`. */
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

/* Escapes for single quotes, and for the characters that separate fields in _arguments and _describe. */
static void add_zsh_text(struct nvl_buf *out, const char *text)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf fields = {0};

    for (; *text != '\0'; text++)
        nvl_buf_addf(&fields, "%s%c", strchr("[]:\\", *text) != NULL ? "\\" : "", *text);
    nvl_buf_add_quoted(out, fields.data != NULL ? fields.data : "");
}

/* The values for which completions/_nvlxc.in has a function. */
static bool is_completed(const char *word)
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
        nvl_buf_addf(out, "%s%s", is_completed(plain) ? "_nvlxc_" : " ", is_completed(plain) ? plain : "");
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

/* The same for a completion ("bash", "zsh"): "@TABLES@". The shells' own files in completions/ say how they
 * use the tables. */
static bool add_completion_part(const char *shell, const char *line, struct nvl_buf *out)
{
    if (strcmp(line, "@TABLES@") != 0)
        return false;
    if (strcmp(shell, "bash") == 0)
        add_bash(out);
    else
        add_zsh(out);
    return true;
}

static int fail_doc(const char *what, const char *on)
{
    fprintf(stderr, "nvlxc-doc: %s%s\n", what, on);
    return EXIT_FAILURE;
}

static char *read_template(const char *path)
{
    nvl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = NULL;
    size_t len;

    return fd >= 0 && nvl_fd_read(fd, TEXT_MAX, &text, &len) == 0 ? text : NULL;
}

static bool is_filled_in(const char *kind, const char *line, struct nvl_buf *out)
{
    return strcmp(kind, "man") == 0 ? add_man_part(line, out) : add_completion_part(kind, line, out);
}

static void fill_in(const char *kind, const char *template, struct nvl_buf *out)
{
    size_t len = strlen(template), pos = 0, line_len;
    const char *text;

    while (nvl_next_line(template, len, &pos, &text, &line_len)) {
        nvl_autofree char *line = nvl_xstrndup(text, line_len);
        if (!is_filled_in(kind, line, out))
            nvl_buf_addf(out, "%s\n", line);
    }
}

static const struct nvl_command *find_documented(const char *name)
{
    for (size_t i = 0; nvl_commands[i] != NULL; i++)
        if (strcmp(nvl_commands[i]->name, name) == 0)
            return nvl_commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};
    bool is_page = argc >= 3 && strcmp(argv[1], "page") == 0;
    const char *path = is_page ? argv[3] : argc == 3 ? argv[2] : NULL; /* argv ends with NULL */
    nvl_autofree char *text = path != NULL ? read_template(path) : nvl_xstrdup("");

    if (argc < 3 || argc > 4)
        return fail_doc("usage: page COMMAND [PROSE], or man, bash or zsh with a TEMPLATE", "");
    if (text == NULL)
        return fail_doc("cannot read ", path);
    if (is_page) {
        const struct nvl_command *command = find_documented(argv[2]);
        if (command == NULL)
            return fail_doc("unknown command ", argv[2]);
        add_command_page(command, text, &out);
    } else {
        fill_in(argv[1], text, &out);
    }
    fputs(out.data, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : fail_doc("cannot write", "");
}
