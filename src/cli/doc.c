/* nvlxc-doc: generates man pages (in scdoc's format) from the tables of commands and options, so that they
 * agree with --help. The build runs it and takes its stdout.
 *
 * usage: nvlxc-doc page COMMAND [PROSE]      the man page of one command
 *        nvlxc-doc main TEMPLATE             nvlxc(8): the template, with its @LINES@ filled in */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/globals.h"

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
        if (o->letter != 0)
            nvl_buf_addf(out, ", *-%c*", o->letter);
        if (o->value != NULL) {
            nvl_buf_addf(out, " ");
            add_string(out, o->value);
        }
        nvl_autofree char *text = nvl_option_text(o);
        nvl_buf_addf(out, "\n\t");
        add_string(out, text);
        nvl_buf_addf(out, ".\n\n");
    }
}

static void add_page_example(struct nvl_buf *out, const struct nvl_example *example)
{
    nvl_autofree char *line = nvl_example_line(example);

    nvl_buf_addf(out, "*");
    add_string(out, line);
    nvl_buf_addf(out, "*\n\t");
    add_string(out, example->what);
    nvl_buf_addf(out, "%s\n\n", nvl_has_suffix(example->what, "?") ? "" : ".");
}

static void add_items(struct nvl_buf *out, const char *items)
{
    char *word, *text;

    while (nvl_next_item(&items, &word, &text)) {
        nvl_buf_addf(out, "*%s*\n\t", word);
        add_string(out, text);
        nvl_buf_addf(out, "\n\n");
        free(word);
        free(text);
    }
}

static void add_details(struct nvl_buf *out, const char *details)
{
    char *paragraph;

    while (nvl_next_paragraph(&details, &paragraph)) {
        switch (nvl_paragraph_kind(paragraph)) {
        case NVL_PARAGRAPH_TEXT:
            add_string(out, paragraph);
            nvl_buf_addf(out, "\n\n");
            break;
        case NVL_PARAGRAPH_ITEMS:
            add_items(out, paragraph);
            break;
        case NVL_PARAGRAPH_LITERAL:
            nvl_buf_addf(out, "```\n%s\n```\n\n", paragraph);
            break;
        }
        free(paragraph);
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
    nvl_buf_addf(out, "# EXAMPLES\n\n");
    for (const struct nvl_example *e = c->examples; e->command != NULL; e++)
        add_page_example(out, e);
    nvl_buf_addf(out,
                 "# EXIT STATUS\n\n0 success, 1 failure or a problem was found, 2 wrong command line, 3 the "
                 "host lacks what the command needs.\n\n# SEE ALSO\n\n*nvlxc*(8)\n");
}

static void add_command_group(struct nvl_buf *out, enum nvl_group group)
{
    const char *title = nvl_group_titles[group];

    nvl_buf_addf(out, "## %c%s\n\n", toupper((unsigned char)title[0]), title + 1);
    for (size_t i = 0; nvl_commands[i] != NULL; i++) {
        const struct nvl_command *c = nvl_commands[i];
        if (c->group != group)
            continue;
        nvl_buf_addf(out, "*nvlxc-%s*(8)\n\t", c->name);
        add_string(out, c->summary);
        nvl_buf_addf(out, ".\n\n");
    }
}

/* Expands a placeholder line of nvlxc(8): "@COMMANDS@", "@OPTIONS@", and "@EXAMPLES@", the first one of each
 * command for people. False for any other line. */
static bool add_man_part(const char *line, struct nvl_buf *out)
{
    bool are_commands = strcmp(line, "@COMMANDS@") == 0, are_options = strcmp(line, "@OPTIONS@") == 0;
    bool are_examples = strcmp(line, "@EXAMPLES@") == 0;

    for (enum nvl_group group = 0; are_commands && group < NVL_GROUP_HIDDEN; group++)
        add_command_group(out, group);
    for (size_t i = 0; are_examples && nvl_commands[i] != NULL; i++)
        if (nvl_commands[i]->group < NVL_GROUP_PROGRAMS)
            add_page_example(out, nvl_commands[i]->examples);
    if (are_options)
        add_page_options(out, nvl_global_options);
    return are_commands || are_options || are_examples;
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

static void fill_in(const char *template, struct nvl_buf *out)
{
    size_t len = strlen(template), pos = 0, line_len;
    const char *text;

    while (nvl_next_line(template, len, &pos, &text, &line_len)) {
        nvl_autofree char *line = nvl_xstrndup(text, line_len);
        if (!add_man_part(line, out))
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
        return fail_doc("usage: page COMMAND [PROSE], or main TEMPLATE", "");
    if (text == NULL)
        return fail_doc("cannot read ", path);
    if (is_page) {
        const struct nvl_command *command = find_documented(argv[2]);
        if (command == NULL)
            return fail_doc("unknown command ", argv[2]);
        add_command_page(command, text, &out);
    } else {
        fill_in(text, &out);
    }
    fputs(out.data, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : fail_doc("cannot write", "");
}
