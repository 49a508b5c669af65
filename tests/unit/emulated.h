/* Where an emulator runs the tests (tests/arm64/emulate), which takes its time and is not quite a kernel. */
#pragma once

#include <stdbool.h>
#include <stdlib.h>

static inline bool is_emulated(void)
{
    return getenv("NVL_EMULATED") != NULL;
}

/* How often to try something that is tried very often. */
static inline size_t rounds(size_t count)
{
    return is_emulated() ? count / 20 : count;
}
