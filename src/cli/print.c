/* What the commands print: JSON, lines for people, warnings. */
#include "cli/command.h"

#include <stdio.h>

#include "base/printable.h"

json_t *nvl_json_made(json_t *value)
{
    if (value == NULL) { /* no memory, or a text that should have gone through nvl_json_text */
        fflush(stdout);
        fputs("nvlxc: an answer could not be put into JSON; without --json it can be read\n", stderr);
        exit(NVL_EXIT_FAILED);
    }
    return value;
}

int nvl_print_json(json_t *value)
{
    nvl_json_made(value);
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
    return NVL_EXIT_OK;
}

json_t *nvl_json_text(const char *s)
{
    json_t *text = json_string(s);

    if (text == NULL) { /* jansson takes UTF-8 alone */
        nvl_autofree char *copy = nvl_make_utf8(nvl_xstrdup(s));
        text = json_string(copy);
    }
    return text;
}

json_t *nvl_json_string(const char *s)
{
    return s != NULL && s[0] != '\0' ? nvl_json_text(s) : json_null();
}

json_t *nvl_json_unsigned(long long n)
{
    return n >= 0 ? json_integer(n) : json_null();
}

void nvl_say(const struct nvl_context *ctx, const char *fmt, ...)
{
    va_list ap;

    if (ctx->quiet || ctx->json)
        return;
    va_start(ap, fmt);
    nvl_autofree char *text = nvl_make_printable(nvl_xvasprintf(fmt, ap));
    va_end(ap);
    puts(text);
}

void nvl_warn(const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    va_start(ap, fmt);
    nvl_autofree char *text = nvl_make_printable(nvl_xvasprintf(fmt, ap));
    va_end(ap);
    fprintf(stderr, "nvlxc: warning: %s\n", text);
}
