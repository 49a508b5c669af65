/* nvlxc-doc: man pages and completions, printed on stdout at build time.
 *
 * usage: nvlxc-doc page COMMAND [PROSE]      the man page of one command
 *        nvlxc-doc man|bash|zsh TEMPLATE     the template, with its @LINES@ filled in */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/doc.h"

#define TEXT_MAX (1u << 20)

static int fail(const char *what, const char *on)
{
    fprintf(stderr, "nvlxc-doc: %s%s\n", what, on);
    return EXIT_FAILURE;
}

static char *read_text(const char *path)
{
    nvl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = NULL;
    size_t len;

    return fd >= 0 && nvl_fd_read(fd, TEXT_MAX, &text, &len) == 0 ? text : NULL;
}

static bool is_filled_in(const char *kind, const char *line, struct nvl_buf *out)
{
    return strcmp(kind, "man") == 0 ? nvl_doc_man_part(line, out) : nvl_doc_completion_part(kind, line, out);
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

static const struct nvl_command *find(const char *name)
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
    nvl_autofree char *text = path != NULL ? read_text(path) : nvl_xstrdup("");

    if (argc < 3 || argc > 4)
        return fail("page COMMAND [PROSE], or man, bash or zsh and a TEMPLATE", "");
    if (text == NULL)
        return fail("cannot read ", path);
    if (is_page) {
        const struct nvl_command *command = find(argv[2]);
        if (command == NULL)
            return fail("there is no command ", argv[2]);
        nvl_doc_command_page(command, text, &out);
    } else {
        fill_in(argv[1], text, &out);
    }
    fputs(out.data, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : fail("cannot write", "");
}
