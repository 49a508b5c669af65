/* What the commands print: JSON, lines for people, warnings. */
#include "cli/command.h"

#include <stdio.h>

int nvl_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
    return NVL_EXIT_OK;
}

json_t *nvl_json_string(const char *s)
{
    return s != NULL && s[0] != '\0' ? json_string(s) : json_null();
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
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

void nvl_warn(const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("nvlxc: warning: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}
