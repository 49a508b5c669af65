/* SHA-256 (FIPS 180-4) of what is copied: with the processor's own instructions where it has them, so that a
 * checksum costs about as much as the copy. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NVL_SHA256_TEXT 65 /* 64 digits and the NUL */

struct nvl_sha256 {
    uint32_t state[8];
    uint64_t len;           /* bytes so far */
    unsigned char rest[64]; /* the block that is not full yet */
};

void nvl_sha256_init(struct nvl_sha256 *hash);
void nvl_sha256_add(struct nvl_sha256 *hash, const void *data, size_t len);
/* The digits, in lower case; the hash is used up. */
void nvl_sha256_end(struct nvl_sha256 *hash, char text[NVL_SHA256_TEXT]);

/* Whether the processor's own instructions are used; false has the portable way taken. For tests. */
void nvl_sha256_use_processor(int use);
