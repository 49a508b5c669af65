/* Whether a file has a driver version. Names mostly tell it; some files contain it; the rest tell nothing,
 * and are judged by the files beside them. Not public: for this room. */
#pragma once

#include "base/root.h"

/* Whether the file contains the version as a word (not as a part of a longer number). 1, 0, or a negative
 * errno. */
int nvl_content_has_version(const struct nvl_root *root, const char *path, const char *version);
/* Whether every glibc of a supported container has what the library needs (its symbol versions): NVIDIA's own
 * builds need little, a distribution's build its own glibc. */
bool nvl_runs_with_any_libc(const struct nvl_root *root, const char *path);
/* Whether a small text file (an ICD) names this library. */
bool nvl_text_names(const struct nvl_root *root, const char *path, const char *library);
/* Whether two programs belong to one installation: in one folder, or in bin and sbin of one prefix. */
bool nvl_same_installation(const char *path, const char *other);
