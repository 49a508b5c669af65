/* Prints lines and warnings. What comes from outside the program is made printable before a style is added:
 * the only escape sequences are those of this file. */
#include "cli/print.h"

#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fix.h"
#include "base/printable.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "grant/grant.h"
#include "host/driver_version.h"

#define COLUMNS_MIN 80
#define COLUMNS_MAX 120

/* ---- the terminal ---- */

static enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } color;

/* Standard output and standard error, asked once each. */
static struct stream_kind {
    bool is_known, is_terminal;
    size_t columns;
} kinds[2];

static const struct stream_kind *ask_stream(FILE *stream)
{
    struct stream_kind *kind = &kinds[stream == stderr];
    struct winsize size;

    if (kind->is_known)
        return kind;
    kind->is_known = true;
    kind->is_terminal = ioctl(fileno(stream), TIOCGWINSZ, &size) == 0;
    kind->columns = !kind->is_terminal || size.ws_col < COLUMNS_MIN ? COLUMNS_MIN
                    : size.ws_col < COLUMNS_MAX                     ? size.ws_col
                                                                    : COLUMNS_MAX;
    return kind;
}

bool nvl_is_on_terminal(void)
{
    return ask_stream(stdout)->is_terminal;
}

size_t nvl_columns(void)
{
    return ask_stream(stdout)->columns;
}

int nvl_color_choose(const char *when, bool is_plain, struct nvl_error *err)
{
    static const char *const words[] = {
        [COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"};
    size_t chosen = 0;

    while (when != NULL && chosen < NVL_LENGTH(words) && strcmp(words[chosen], when) != 0)
        chosen++;
    if (chosen == NVL_LENGTH(words))
        return nvl_error_usage(err, "--color takes auto, always or never, not '%s'", when);
    color = is_plain ? COLOR_NEVER : chosen;
    return 0;
}

static bool is_term(const char *name)
{
    const char *term = getenv("TERM");

    return strcmp(term != NULL ? term : "dumb", name) == 0;
}

static bool has_color(FILE *stream)
{
    const char *no = getenv("NO_COLOR");

    return color == COLOR_ALWAYS || (color == COLOR_AUTO && (no == NULL || no[0] == '\0') &&
                                     !is_term("dumb") && ask_stream(stream)->is_terminal);
}

const char *nvl_style_sequence(enum nvl_style style, FILE *to)
{
    static const char *const sequences[] = {
        [NVL_PLAIN] = "\033[0m",  [NVL_TITLE] = "\033[1m", [NVL_COMMAND] = "\033[1m",
        [NVL_FAINT] = "\033[2m",  [NVL_GOOD] = "\033[32m", [NVL_CAREFUL] = "\033[33m",
        [NVL_WRONG] = "\033[31m",
    };

    return has_color(to) ? sequences[style] : "";
}

static bool is_utf8_wanted(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < NVL_LENGTH(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value != NULL && value[0] != '\0')
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
    }
    return false;
}

const char *nvl_mark(enum nvl_style style)
{
    static const char *const marks[] = {
        [NVL_GOOD] = "✓ ", [NVL_WRONG] = "✗ ", [NVL_CAREFUL] = "! ", [NVL_FAINT] = "– "};

    /* the console's own font has none of them */
    if (style >= NVL_LENGTH(marks) || marks[style] == NULL || !nvl_is_on_terminal() || is_term("dumb") ||
        is_term("linux") || !is_utf8_wanted())
        return "";
    return marks[style];
}

/* ---- lines of parts ---- */

#define ROOM_MIN       16
#define INDENT_IF_LONG 4 /* where what precedes a text takes half the line */

#define NO_BREAK '\037' /* a blank at which no line ends; printable text has none */

/* Text of several styles: a style and a byte for each byte. */
struct styled {
    struct nvl_buf text, styles, breaks; /* breaks: the text with NO_BREAK for some blanks */
};

static void styled_clear(struct styled *s)
{
    nvl_buf_clear(&s->text);
    nvl_buf_clear(&s->styles);
    nvl_buf_clear(&s->breaks);
}

static void set_style(struct styled *s, size_t from, size_t len, enum nvl_style style)
{
    memset(s->styles.data + from, (int)style, len);
    for (size_t i = from; style == NVL_COMMAND && i < from + len; i++)
        if (s->breaks.data[i] == ' ')
            s->breaks.data[i] = NO_BREAK;
}

/* The length of the command that `at` announces, whose text is *command: what backticks or parentheses
 * enclose, and what follows ": ". 0 for none. */
static size_t announced_command(const char *at, const char **command)
{
    const char *end = at[0] == '`' ? "`" : at[0] == '(' ? ")" : nvl_has_prefix(at, ": ") ? ";)\n" : NULL;

    if (end == NULL)
        return 0;
    *command = at + (at[0] == ':' ? 2 : 1);
    size_t len = strcspn(*command, end);
    return nvl_names_program(*command, len) ? len : 0;
}

/* "nvidia-smi is not installed: apt install nvidia-smi" begins with no command. */
static bool has_another(const char *command, size_t len)
{
    const char *other;

    for (size_t i = 0; i < len; i++)
        if (command[i] == ':' && announced_command(command + i, &other) > 0)
            return true;
    return false;
}

static void find_commands(struct styled *s, size_t from)
{
    const char *start = s->text.data, *command;

    for (const char *at = start + from; *at != '\0'; at++) {
        size_t len = announced_command(at, &command);
        if (len == 0 || has_another(command, len))
            continue;
        set_style(s, (size_t)(command - start), len, NVL_COMMAND);
        at = command + len - (command[len] != '`');
    }
}

static void add_span(struct styled *s, const struct nvl_span *span)
{
    nvl_autofree char *text = nvl_make_printable(nvl_xstrdup(span->text));
    size_t from = s->text.len, len = strlen(text);

    if (len == 0)
        return;
    nvl_buf_add(&s->text, text, len + 1); /* its NUL for whoever searches it */
    s->text.len--;
    nvl_buf_add(&s->breaks, text, len + 1);
    s->breaks.len--;
    nvl_buf_add(&s->styles, text, len);
    set_style(s, from, len, text[strspn(text, " ")] != '\0' ? span->style : NVL_PLAIN);
    if (span->style != NVL_COMMAND)
        find_commands(s, from);
}

static void add_styled(struct nvl_buf *out, const char *text, const char *styles, size_t len, FILE *to)
{
    for (size_t i = 0, n; i < len; i += n) {
        for (n = 1; i + n < len && styles[i + n] == styles[i];)
            n++;
        bool is_plain = styles[i] == NVL_PLAIN;
        nvl_buf_addf(out, "%s%.*s%s", is_plain ? "" : nvl_style_sequence((enum nvl_style)styles[i], to),
                     (int)n, text + i, is_plain ? "" : nvl_style_sequence(NVL_PLAIN, to));
    }
}

/* Behind a name that fills the line words go on all the same. */
static size_t room_behind(size_t columns, size_t used)
{
    return columns > used + ROOM_MIN ? columns - used : ROOM_MIN;
}

/* The columns of a text: continuation bytes of UTF-8 take none. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* At once: standard error has no buffer, and others may write there, too. */
static void print_wrapped(const struct styled *s, struct nvl_span first, size_t indent, size_t columns,
                          FILE *to)
{
    size_t used = width_of(first.text), len;
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};
    const char *rest = s->breaks.data != NULL ? s->breaks.data : "", *line;
    nvl_auto(styled_clear) struct styled before = {0};

    add_span(&before, &first);
    indent = indent < columns / 2 ? indent : INDENT_IF_LONG;
    if (before.text.len > 0)
        add_styled(&out, before.text.data, before.styles.data, before.text.len, to);
    for (bool is_first = true;
         nvl_next_wrapped(&rest, room_behind(columns, is_first ? used : indent), &line, &len);
         is_first = false) {
        size_t at = (size_t)(line - s->breaks.data);
        nvl_buf_addf(&out, "%*s", is_first ? 0 : (int)indent, "");
        add_styled(&out, s->text.data + at, s->styles.data + at, len, to);
        nvl_buf_addf(&out, "\n");
    }
    if (s->text.len == 0)
        nvl_buf_addf(&out, "\n");
    fwrite(out.data, 1, out.len, to);
}

void nvl_say_spans(const struct nvl_context *ctx, struct nvl_span first, const struct nvl_span *spans,
                   bool is_fact)
{
    nvl_auto(styled_clear) struct styled s = {0};

    if (ctx->quiet || ctx->json)
        return;
    nvl_progress_end();
    for (; spans->text != NULL; spans++)
        add_span(&s, spans);
    print_wrapped(&s, first, width_of(first.text), is_fact && !nvl_is_on_terminal() ? INT_MAX : nvl_columns(),
                  stdout);
}

void nvl_say_wrapped(const struct nvl_context *ctx, const char *first, const char *text)
{
    nvl_say_spans(ctx, (struct nvl_span){NVL_PLAIN, first},
                  (const struct nvl_span[]){{NVL_PLAIN, text}, {NVL_PLAIN, NULL}}, false);
}

void nvl_say_fact(const struct nvl_context *ctx, const char *first, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *text = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    nvl_say_spans(ctx, (struct nvl_span){NVL_PLAIN, first},
                  (const struct nvl_span[]){{NVL_PLAIN, text}, {NVL_PLAIN, NULL}}, true);
}

/* ---- lines as they are ---- */

static void put_line(enum nvl_style style, const char *text)
{
    const char *begin = style != NVL_PLAIN ? nvl_style_sequence(style, stdout) : "";

    nvl_progress_end();
    printf("%s%s%s\n", begin, text, begin[0] != '\0' ? nvl_style_sequence(NVL_PLAIN, stdout) : "");
}

void nvl_say(const struct nvl_context *ctx, const char *fmt, ...)
{
    va_list ap;

    if (ctx->quiet || ctx->json)
        return;
    va_start(ap, fmt);
    nvl_autofree char *text = nvl_make_printable(nvl_xvasprintf(fmt, ap));
    va_end(ap);
    put_line(NVL_PLAIN, text);
}

void nvl_say_styled(const struct nvl_context *ctx, enum nvl_style style, const char *fmt, ...)
{
    va_list ap;

    if (ctx->quiet || ctx->json)
        return;
    va_start(ap, fmt);
    nvl_autofree char *text = nvl_make_printable(nvl_xvasprintf(fmt, ap));
    va_end(ap);
    put_line(style, text);
}

void nvl_say_diff(const struct nvl_context *ctx, const char *indent, const char *diff)
{
    const char *line;
    size_t pos = 0, len;

    while (nvl_next_line(diff, strlen(diff), &pos, &line, &len)) {
        bool is_head = nvl_has_prefix(line, "+++ ") || nvl_has_prefix(line, "--- ");
        enum nvl_style style = is_head        ? NVL_TITLE
                               : *line == '+' ? NVL_GOOD
                               : *line == '-' ? NVL_WRONG
                               : *line == '@' ? NVL_FAINT
                                              : NVL_PLAIN;
        nvl_say_styled(ctx, style, "%s%.*s", indent, (int)len, line);
    }
}

/* ---- warnings and errors ---- */

/* A line on standard error, wrapped on a terminal only. */
static void complain(const char *first, const struct nvl_span *spans, size_t indent, bool is_literal)
{
    nvl_auto(styled_clear) struct styled s = {0};

    for (; spans->text != NULL; spans++)
        add_span(&s, spans);
    is_literal = is_literal || !ask_stream(stderr)->is_terminal;
    print_wrapped(&s, (struct nvl_span){NVL_PLAIN, first}, indent,
                  is_literal ? INT_MAX : ask_stream(stderr)->columns, stderr);
}

/* A line that four blanks begin is a line of a file, or a command: it stays one. */
static void complain_line(const struct nvl_span *before, bool is_first, const char *line, size_t len)
{
    size_t blanks = strspn(line, " ");
    nvl_autofree char *text = nvl_xstrndup(line, len);
    const struct nvl_span spans[] = {
        {before->style, is_first ? before->text : ""}, {NVL_PLAIN, text}, {NVL_PLAIN, NULL}};

    complain(is_first ? "nvlxc: " : "", spans, blanks + 2, blanks >= 4);
}

static void complain_lines(const struct nvl_span *before, const char *text)
{
    const char *line;
    size_t pos = 0, len;

    fflush(stdout);
    nvl_progress_end();
    while (nvl_next_line(text, strlen(text), &pos, &line, &len))
        complain_line(before, line == text, line, len);
}

void nvl_warn(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *text = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    complain_lines(&(struct nvl_span){NVL_CAREFUL, "warning: "}, text);
}

void nvl_warn_all(const struct nvl_strv *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        nvl_warn("%s", texts->items[i]);
}

static void print_text(const char *text)
{
    complain("hint: ", (const struct nvl_span[]){{NVL_PLAIN, text}, {NVL_PLAIN, NULL}}, strlen("hint: "),
             false);
}

/* "try: " before commands to paste, "hint: " before words; both in one line if it is short enough, and if the
 * words are not what is to be done before: "install the driver, then". */
static void print_hint(const struct nvl_fix_line *line, bool follows_command)
{
    bool is_apart = line->text != NULL && line->command != NULL &&
                    (strchr(line->command, '#') != NULL || nvl_has_suffix(line->text, "then") ||
                     strlen("try:    # ") + strlen(line->text) + strlen(line->command) > nvl_columns());
    nvl_autofree char *remark =
        line->text != NULL && !is_apart ? nvl_xasprintf("   # %s", line->text) : nvl_xstrdup("");

    if (line->command == NULL || line->is_said) {
        print_text(line->text);
        return;
    }
    if (is_apart)
        print_text(line->text);
    complain(follows_command && !is_apart ? "     " : "try: ",
             (const struct nvl_span[]){{NVL_COMMAND, line->command}, {NVL_FAINT, remark}, {NVL_PLAIN, NULL}},
             0, true);
}

void nvl_print_error(const struct nvl_error *err)
{
    const char *fix = err->hint;
    struct nvl_fix_line line;
    bool follows_command = false;

    complain_lines(&(struct nvl_span){NVL_PLAIN, ""}, err->message);
    while (nvl_next_fix_line(&fix, &line)) {
        print_hint(&line, follows_command);
        follows_command = line.command != NULL && !line.is_said;
        nvl_fix_line_clear(&line);
    }
}

char *nvl_grant_ways_text(const struct nvl_grant *grant)
{
    struct nvl_buf b = {0};

    if (grant->delivery.nodes != NVL_NODES_HOOK)
        nvl_buf_addf(&b, "; nodes %s", nvl_nodes_mode_name(grant->delivery.nodes));
    if (grant->delivery.libraries != NVL_LIBRARIES_BUNDLE)
        nvl_buf_addf(&b, "; libraries %s", nvl_libraries_mode_name(grant->delivery.libraries));
    if (grant->delivery.exclusive)
        nvl_buf_addf(&b, "; exclusive");
    if (grant->delivery.with != 0) {
        nvl_autofree char *with = nvl_with_format(&grant->delivery);
        nvl_buf_addf(&b, "; with %s", with);
    }
    if (grant->delivery.cdi)
        nvl_buf_addf(&b, "; CDI");
    return nvl_buf_take(&b);
}

char *nvl_loaded_driver_text(const struct nvl_driver_version *driver)
{
    const char *flavour = nvl_flavour_name(driver->flavour);

    if (!driver->loaded)
        return nvl_xstrdup("not loaded");
    return nvl_xasprintf("%s%s%s%s, loaded", driver->version[0] != '\0' ? driver->version : "unknown version",
                         flavour != NULL ? " (" : "", flavour != NULL ? flavour : "",
                         flavour != NULL ? ")" : "");
}
