/* CUDA's driver interface as the probe uses it, looked up by name in libcuda; an error is a number, 0 is
 * none. Names and numbers are those of the CUDA Driver API. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cuda {
    int (*init)(unsigned flags);
    int (*driver_version)(int *version);
    int (*device_count)(int *count);
    int (*device)(int *device, int ordinal);
    int (*device_name)(char *name, int size, int device);
    int (*device_memory)(size_t *bytes, int device);
    int (*device_attribute)(int *value, int attribute, int device);
    int (*context_create)(void **context, unsigned flags, int device);
    int (*context_destroy)(void *context);
    int (*synchronize)(void);
    int (*alloc)(uint64_t *address, size_t bytes);
    int (*release)(uint64_t address);
    int (*alloc_pinned)(void **address, size_t bytes);
    int (*release_pinned)(void *address);
    int (*to_device)(uint64_t to, const void *from, size_t bytes);
    int (*from_device)(void *to, uint64_t from, size_t bytes);
    int (*on_device)(uint64_t to, uint64_t from, size_t bytes);
    int (*module_load)(void **module, const void *image);
    int (*function)(void **function, void *module, const char *name);
    int (*launch)(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                  unsigned bz, unsigned shared, void *stream, void **parameters, void **extra);
    /* NULL if a driver has none */
    int (*device_uuid)(unsigned char uuid[16], int device);
    int (*error_name)(int code, const char **text);
    int (*error_string)(int code, const char **text);
};
extern struct cuda cu;

/* Loads libcuda and looks up its functions; reports what it did. Returns whether all exist. */
int cuda_load(void);
/* Reports the result of a call; returns whether it succeeded. */
int cuda_went(const char *what, const char *call, int code);
#define CALL(what, name, call) (try(name), cuda_went(what, name, call))
