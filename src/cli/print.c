/* Prints lines and warnings. */
#include "cli/print.h"

#include <stdio.h>

#include "base/printable.h"
#include "cli/command.h"
#include "grant/grant.h"

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
