/* What the targets share. A target is one C file with fuzz_one; libFuzzer calls it with each input (fuzz.c),
 * a few thousand times a second and more, in one process: it keeps nothing, and leaves neither memory nor
 * descriptors. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/root.h"

void fuzz_one(const char *data, size_t len);

/* What must hold; libFuzzer keeps the input if it does not. */
#define CHECK(what)                                                                                          \
    do {                                                                                                     \
        if (!(what))                                                                                         \
            fuzz_fail(__FILE__, __LINE__, #what);                                                            \
    } while (0)
_Noreturn void fuzz_fail(const char *file, int line, const char *what);
/* The same, with both texts on stderr. */
void fuzz_same(const char *a, size_t a_len, const char *b, size_t b_len);
/* A terminal obeys nothing in it, and it is UTF-8. */
void fuzz_printable(const char *text);
/* The same, in one line. */
void fuzz_line(const char *text);

/* What is left of an input. Its parts are separated by FUZZ_END, so that an editor shows what a seed is. */
struct fuzz_input {
    const char *data;
    size_t len;
};
#define FUZZ_END '\x1d'
/* The first byte, which is a choice among `n`; 0 if there is none. */
unsigned fuzz_choice(struct fuzz_input *in, unsigned n);
/* The text up to the next FUZZ_END, cut at a NUL; the caller frees. "" at the end. */
char *fuzz_text(struct fuzz_input *in);
/* The same bytes, whatever they are; they have the exact size of a memory block, so that a read behind them
 * is seen. The caller frees. */
char *fuzz_bytes(struct fuzz_input *in, size_t *len);

/* A root handle of an empty tmpfs of its own, which the process takes with it. Made at the first call. */
const struct nvl_root *fuzz_root(void);
/* Writes that file in it, always the same few; `path` is a constant. Not for targets that make trees. */
void fuzz_put(const char *path, const char *data, size_t len);
/* Makes a tree in it of all that is left: parts of "PATH\nCONTENTS", "PATH/", "PATH -> TARGET". What cannot
 * be made is left out. */
void fuzz_tree(struct fuzz_input *in);
/* Empties it. */
void fuzz_clear(void);
