/* Man pages in scdoc's format. */
#include "cli/doc.h"
#include "cli/globals.h"

/* Text as it stands, in one line: scdoc's own signs lose their meaning, some of which have one at the
 * beginning alone. */
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

static void add_options(struct nvl_buf *out, const struct nvl_option *options)
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

/* Paragraph by paragraph; what is aligned by blanks keeps its lines. */
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

void nvl_doc_command_page(const struct nvl_command *c, const char *prose, struct nvl_buf *out)
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
    add_options(out, c->options);
    nvl_buf_addf(out, "The options of every command are in *nvlxc*(8).\n\n");
    if (prose[0] != '\0')
        nvl_buf_addf(out, "%s\n", prose);
    nvl_buf_addf(
        out, "# EXIT STATUS\n\n0 done and all well, 1 it failed or something was found, 2 the command line "
             "is wrong, 3 the host lacks what the command needs.\n\n# SEE ALSO\n\n*nvlxc*(8)\n");
}

bool nvl_doc_man_part(const char *line, struct nvl_buf *out)
{
    if (strcmp(line, "@OPTIONS@") == 0) {
        add_options(out, nvl_global_options);
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
