/* SHA-256: blocks are compressed by the processor's instructions or in plain C; the rest is the same for
 * both. Source: FIPS 180-4, sections 5 and 6.2; for the instructions Intel's manual, SHA256RNDS2 and
 * SHA256MSG1/2. */
#include "base/sha256.h"

#include <string.h>

#define BLOCK 64

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void compress_block(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[64], s[8];

    for (unsigned i = 0; i < 16; i++)
        w[i] = big_endian(block + 4 * i);
    for (unsigned i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(s, state, sizeof s);
    /* a to h move one place a round: not they do, but what they are called */
#pragma GCC unroll 8
    for (unsigned i = 0; i < 64; i++) {
        const uint32_t a = s[(0 - i) % 8], b = s[(1 - i) % 8], c = s[(2 - i) % 8];
        const uint32_t e = s[(4 - i) % 8], f = s[(5 - i) % 8], g = s[(6 - i) % 8];
        uint32_t sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25), choice = (e & f) ^ (~e & g);
        uint32_t sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22), majority = (a & b) ^ (a & c) ^ (b & c);
        uint32_t *const d = &s[(3 - i) % 8], *const h = &s[(7 - i) % 8];
        *h += sum1 + choice + constants[i] + w[i];
        *d += *h;
        *h += sum0 + majority;
    }
    for (unsigned i = 0; i < 8; i++)
        state[i] += s[i];
}

static void compress_plain(uint32_t state[8], const unsigned char *data, size_t blocks)
{
    for (; blocks > 0; blocks--, data += BLOCK)
        compress_block(state, data);
}

typedef void compress_fn(uint32_t state[8], const unsigned char *data, size_t blocks);

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#define CPUID_SHA    (1u << 29) /* leaf 7, EBX */
#define CPUID_SSE4_1 (1u << 19) /* leaf 1, ECX */

/* Two registers hold the state as ABEF and CDGH, the highest letter first; four words of the message schedule
 * are a register, of which the last four are kept. */
__attribute__((target("sha,sse4.1"))) static void compress_x86(uint32_t state[8], const unsigned char *data,
                                                               size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef = _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]);
    __m128i cdgh = _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7]);

    for (; blocks > 0; blocks--, data += BLOCK) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
#pragma GCC unroll 16
        for (unsigned i = 0; i < 16; i++) {
            __m128i next;
            if (i < 4) {
                next =
                    _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + 16 * i)), swap);
            } else {
                next = _mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4));
                next = _mm_sha256msg2_epu32(next, w[(i + 3) % 4]);
            }
            w[i % 4] = next;
            next = _mm_add_epi32(next, _mm_loadu_si128((const __m128i *)(const void *)(constants + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, next);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(next, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    uint32_t a[4], c[4];
    _mm_storeu_si128((__m128i *)(void *)a, abef);
    _mm_storeu_si128((__m128i *)(void *)c, cdgh);
    const uint32_t after[8] = {a[3], a[2], c[3], c[2], a[1], a[0], c[1], c[0]};
    memcpy(state, after, sizeof after);
}

static compress_fn *choose(void)
{
    unsigned a, b, c, d;

    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & CPUID_SSE4_1) == 0 ||
        __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (b & CPUID_SHA) == 0)
        return compress_plain;
    return compress_x86;
}
#else
static compress_fn *choose(void)
{
    return compress_plain;
}
#endif

static compress_fn *compress;

void nvl_sha256_use_processor(int use)
{
    compress = use ? choose() : compress_plain;
}

void nvl_sha256_init(struct nvl_sha256 *hash)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    if (compress == NULL)
        nvl_sha256_use_processor(1);
    hash->len = 0;
    memcpy(hash->state, start, sizeof start);
}

void nvl_sha256_add(struct nvl_sha256 *hash, const void *data, size_t len)
{
    const unsigned char *p = data;
    size_t had = hash->len % BLOCK;

    hash->len += len;
    if (had > 0) {
        size_t n = len < BLOCK - had ? len : BLOCK - had;
        memcpy(hash->rest + had, p, n);
        p += n;
        len -= n;
        if (had + n < BLOCK)
            return;
        compress(hash->state, hash->rest, 1);
    }
    compress(hash->state, p, len / BLOCK);
    memcpy(hash->rest, p + len / BLOCK * BLOCK, len % BLOCK);
}

void nvl_sha256_end(struct nvl_sha256 *hash, char text[NVL_SHA256_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    const uint64_t bits = hash->len * 8;
    /* one bit, zeros, and the length in bits in the last eight bytes of a block */
    unsigned char end[BLOCK + 8] = {0x80};
    size_t zeros = (2 * BLOCK - 9 - hash->len % BLOCK) % BLOCK;

    for (unsigned i = 0; i < 8; i++)
        end[1 + zeros + i] = (unsigned char)(bits >> (56 - 8 * i));
    nvl_sha256_add(hash, end, 1 + zeros + 8);
    for (unsigned i = 0; i < 64; i++)
        text[i] = digits[hash->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    text[64] = '\0';
}
