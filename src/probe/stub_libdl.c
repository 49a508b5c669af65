/* Like stub_libc.c: the dynamic linker's functions. Since glibc 2.34 they are in the C library, and
 * libdl.so.2 is an empty one that keeps old programs running. */
#define NAME(name)                                                                                           \
    void name(void);                                                                                         \
    void name(void)                                                                                          \
    {                                                                                                        \
    }

NAME(dladdr)
NAME(dlerror)
NAME(dlopen)
NAME(dlsym)
