/* The probe: a program that nvlxc verify runs inside a container, with that container's own C library and
 * dynamic linker, whatever their age. So it needs no symbol that glibc got after its first x86-64 release
 * (GLIBC_2.2.5), takes every function of the driver by dlsym, and shares no code with nvlxc.
 *
 * It prints what it finds, one line for each thing: "nvlxc<TAB>WHAT<TAB>CODE<TAB>TEXT". Before a call into
 * the driver it names the call ("try"), so that a crash or a hang can be located. The last line is "end". */
#pragma once

#include <stddef.h>

/* One line; TEXT is formatted and cut at 400 bytes, control characters are replaced. */
void say(const char *what, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "try": the next line will tell the result. */
void try(const char *what);

/* Loads a library as any program does, by soname, and prints "load" with the file that the loader took (by
 * the memory map, so links are resolved) or the loader's message. NULL if it does not load. `known` is a
 * function that every version of it has. */
void *load(const char *soname, const char *known);

/* Milliseconds of a steady clock. */
long now_ms(void);

/* Each is one run of the program: `probe nodes PATH...`, `probe nvml`, … */
void probe_nodes(int count, char **paths);
void probe_nvml(void);
void probe_cuda(void);
void probe_video(void);
/* Measures; see bench.c. */
void probe_bench(void);
/* Keeps the GPU busy, so that others can see who uses it. */
void probe_spin(unsigned seconds);
void probe_library(const char *soname, const char *function);
