/* The checksum of a bundle's files: XXH3, 128 bits (xxHash, https://xxhash.com), as XXH128 in hexadecimal,
 * the same that `xxhsum -H2` prints. It finds damage: who could forge a file of a bundle is root, and could
 * forge the manifest too. */
#pragma once

#include "base/alloc.h"

#define NVL_CHECKSUM_LENGTH 32

struct nvl_checksum;

struct nvl_checksum *nvl_checksum_new(void);
void nvl_checksum_add(struct nvl_checksum *sum, const void *data, size_t len);
/* Ends it: the text, NUL-terminated. The same object may be used for the next one. */
void nvl_checksum_take(struct nvl_checksum *sum, char text[NVL_CHECKSUM_LENGTH + 1]);
void nvl_checksum_free(struct nvl_checksum *sum);
void nvl_checksum_free_ptr(struct nvl_checksum **sum); /* for nvl_auto */
