/* Bundles that nothing needs any more. */
#pragma once

struct nvl_bundle;
struct nvl_error;
struct nvl_root;

/* Removes one, unless it is loaded, pending or in use (looked at again under the lock): then -EBUSY.
 * Left-over temporary folders of a sync that died go too. */
int nvl_bundle_remove(const struct nvl_root *root, const struct nvl_bundle *bundle, struct nvl_error *err);
