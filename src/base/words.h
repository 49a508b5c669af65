/* What a mistyped or shortened word may mean: commands, options, containers, templates. */
#pragma once

#include "base/text.h"

struct nvl_error;

/* The one of `names` that `word` is, or of which it is the beginning, if only one begins so; -1 if there is
 * none, or several. */
long nvl_word_find(const char *word, const struct nvl_strv *names);
/* Sets the hint: "did you mean 'attach'?", of names that begin so or differ in few letters; leaves it as it
 * is if nothing is near. */
void nvl_word_suggest(const char *word, const struct nvl_strv *names, struct nvl_error *err);
