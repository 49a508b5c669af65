/* The probe is linked against this instead of the machine's C library: the names of the functions that it
 * uses, all of them at the first version that its processor has (stub-*.map). The probe must not use a
 * function that is missing here. At run time the container's own library is loaded. */
#define NAME(name)                                                                                           \
    void name(void);                                                                                         \
    void name(void)                                                                                          \
    {                                                                                                        \
    }

NAME(__errno_location)
NAME(__libc_start_main)
NAME(close)
NAME(memcpy)
NAME(memset)
NAME(open)
NAME(read)
NAME(snprintf)
NAME(strcmp)
NAME(strlen)
NAME(syscall)
NAME(vsnprintf)
NAME(write)
