/* Memory and descriptors that release themselves at the end of a block, and lists that grow.
 *
 * No caller can recover from running out of memory: the x-functions end the program with one line on stderr
 * (see nvl_oom_status). Everything else is reported through struct nvl_error. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#define NVL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* The exit status on out of memory: 1, and 0 in the start hook, which must not stop a container. */
extern int nvl_oom_status;
_Noreturn void nvl_out_of_memory(void);

void *nvl_xcalloc(size_t count, size_t size);
void *nvl_xrealloc(void *ptr, size_t count, size_t size);
char *nvl_xstrdup(const char *s);
char *nvl_xstrndup(const char *s, size_t len);
char *nvl_xasprintf(const char *fmt, ...) NVL_PRINTF(1, 2);
char *nvl_xvasprintf(const char *fmt, va_list ap);

/* For cleanup attributes: each takes the address of the variable. */
void nvl_free_ptr(void *ptr);
void nvl_close_ptr(int *fd);

/* A pointer that is freed, and a descriptor that is closed (if >= 0), when the block ends. */
#define nvl_autofree __attribute__((cleanup(nvl_free_ptr)))
#define nvl_autofd   __attribute__((cleanup(nvl_close_ptr)))
/* Any other type T with `void F(T *)`. */
#define nvl_auto(f) __attribute__((cleanup(f)))

/* Gives the value away: the variable becomes empty, so that its cleanup does nothing. */
#define TAKE_PTR(p)                                                                                          \
    __extension__({                                                                                          \
        __typeof__(p) taken_ = (p);                                                                          \
        (p) = NULL;                                                                                          \
        taken_;                                                                                              \
    })
#define TAKE_FD(fd)                                                                                          \
    __extension__({                                                                                          \
        int taken_ = (fd);                                                                                   \
        (fd) = -1;                                                                                           \
        taken_;                                                                                              \
    })

/* Grows the list `items` of `count` elements by one zeroed element and returns its address; the caller keeps
 * only `items` and `count`. Capacity doubles, so it follows from count. */
void *nvl_grow(void *items, size_t *count, size_t size);
#define NVL_APPEND(items, count)                                                                             \
    __extension__({                                                                                          \
        (items) = nvl_grow((items), &(count), sizeof *(items));                                              \
        &(items)[(count)-1];                                                                                 \
    })

#define NVL_LENGTH(array) (sizeof(array) / sizeof((array)[0]))
