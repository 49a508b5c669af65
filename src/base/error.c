/* The error that the user sees. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void fill_error(struct nvl_error *err, int code, enum nvl_exit exit_status, const char *fmt,
                       va_list ap)
{
    if (err == NULL)
        return;
    err->code = code;
    err->exit = exit_status;
    err->hint[0] = '\0';
    vsnprintf(err->message, sizeof err->message, fmt, ap);
}

int nvl_error_set(struct nvl_error *err, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill_error(err, code, NVL_EXIT_FAILED, fmt, ap);
    va_end(ap);
    return code;
}

int nvl_error_usage(struct nvl_error *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill_error(err, -EINVAL, NVL_EXIT_USAGE, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

int nvl_error_host(struct nvl_error *err, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill_error(err, code, NVL_EXIT_HOST, fmt, ap);
    va_end(ap);
    return code;
}

int nvl_error_errno(struct nvl_error *err, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill_error(err, code, NVL_EXIT_FAILED, fmt, ap);
    va_end(ap);
    if (err != NULL) {
        size_t len = strlen(err->message);
        snprintf(err->message + len, sizeof err->message - len, ": %s", strerror(-code));
    }
    return code;
}

void nvl_error_exit(struct nvl_error *err, enum nvl_exit exit_status)
{
    if (err != NULL)
        err->exit = exit_status;
}

void nvl_error_hint(struct nvl_error *err, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
}

int nvl_error_prefix(struct nvl_error *err, const char *fmt, ...)
{
    char context[sizeof err->message];
    va_list ap;

    if (err == NULL)
        return -EIO;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);

    nvl_autofree char *joined = nvl_xasprintf("%s: %s", context, err->message);
    snprintf(err->message, sizeof err->message, "%s", joined);
    return err->code;
}
