/* Whether a bundle is still what its manifest says. */
#pragma once

#include <stdbool.h>

struct nvl_bundle;
struct nvl_root;
struct nvl_strv;

/* Appends one line for each file and link of the bundle that is not as the manifest has it: missing, of
 * another size, leading elsewhere, and with `deep` (all of it is read) of other content. A manifest that
 * cannot be read is one line too. `unseen` gets the paths of those that a sync takes for good, since it does
 * not read them: they have to be removed before it. */
void nvl_bundle_verify(const struct nvl_root *root, const struct nvl_bundle *bundle, bool deep,
                       struct nvl_strv *faults, struct nvl_strv *unseen);
