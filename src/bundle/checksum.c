/* xxHash as its header has it, compiled in: no library is loaded for it. */
#include "bundle/checksum.h"

#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct nvl_checksum {
    XXH3_state_t state;
};

struct nvl_checksum *nvl_checksum_new(void)
{
    struct nvl_checksum *sum = aligned_alloc(_Alignof(struct nvl_checksum), sizeof *sum);

    if (sum == NULL)
        nvl_out_of_memory();
    XXH3_128bits_reset(&sum->state);
    return sum;
}

void nvl_checksum_add(struct nvl_checksum *sum, const void *data, size_t len)
{
    XXH3_128bits_update(&sum->state, data, len);
}

void nvl_checksum_take(struct nvl_checksum *sum, char text[NVL_CHECKSUM_LENGTH + 1])
{
    XXH128_hash_t hash = XXH3_128bits_digest(&sum->state);

    snprintf(text, NVL_CHECKSUM_LENGTH + 1, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    XXH3_128bits_reset(&sum->state);
}

void nvl_checksum_free(struct nvl_checksum *sum)
{
    free(sum);
}

void nvl_checksum_free_ptr(struct nvl_checksum **sum)
{
    nvl_checksum_free(*sum);
}
