/* A unified diff of two texts by lines, three lines of context, as diff -u prints it. */
#pragma once

#include "base/text.h"

/* Appends nothing where the texts are equal. "\ No newline at end of file" is marked. */
void nvl_diff(struct nvl_buf *out, const char *old_name, const char *old_text, size_t old_len,
              const char *new_name, const char *new_text, size_t new_len);
