/* Memory and descriptors that release themselves, and lists that grow. */
#include "base/alloc.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int nvl_oom_status = 1;

void nvl_out_of_memory(void)
{
    static const char line[] = "nvlxc: out of memory\n";
    ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);

    (void)written;
    _exit(nvl_oom_status);
}

static void *checked_memory(void *ptr)
{
    if (ptr == NULL)
        nvl_out_of_memory();
    return ptr;
}

void *nvl_xcalloc(size_t count, size_t size)
{
    return checked_memory(calloc(count > 0 ? count : 1, size));
}

void *nvl_xrealloc(void *ptr, size_t count, size_t size)
{
    return checked_memory(reallocarray(ptr, count > 0 ? count : 1, size));
}

char *nvl_xstrdup(const char *s)
{
    return checked_memory(strdup(s));
}

char *nvl_xstrndup(const char *s, size_t len)
{
    return checked_memory(strndup(s, len));
}

char *nvl_xvasprintf(const char *fmt, va_list ap)
{
    char *s = NULL;

    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    return checked_memory(s);
}

char *nvl_xasprintf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *s = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    return s;
}

void nvl_free_ptr(void *ptr)
{
    free(*(void **)ptr);
}

void nvl_close_ptr(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

void *nvl_grow(void *items, size_t *count, size_t size)
{
    /* Full at 0 and at each power of two from 4 on. */
    size_t n = *count;
    bool full = n == 0 || (n >= 4 && (n & (n - 1)) == 0);

    if (full)
        items = nvl_xrealloc(items, n == 0 ? 4 : n * 2, size);
    memset((char *)items + n * size, 0, size);
    *count = n + 1;
    return items;
}
