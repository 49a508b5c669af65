/* What the catalog does not know: libraries of newer drivers, and NVIDIA's own list of files for containers.
 * Not public: for this room. */
#pragma once

#include "bundle/search.h"
#include "bundle/select.h"

/* Chooses each library in the version's folders whose name has that version, lib*.so.VERSION, unless it is
 * chosen already or stays out on purpose. `names` gets those of 64-bit ones. */
void nvl_search_unlisted(struct nvl_search *s, struct nvl_strv *names);

/* Compares what was chosen with the driver's sandboxutils-filelist.json, if there is one, and adds what is
 * missing to those capabilities that the host has anything of. */
void nvl_compare_file_list(struct nvl_search *s, struct nvl_missing *missing);
