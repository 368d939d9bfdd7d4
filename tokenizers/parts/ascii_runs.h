/* How many bytes from the start of 16 are ASCII letters: the inner loop of the scanners, for SSE2, NEON or
 * neither. The 16 bytes must be there to be read. */
#ifndef PUMICE_PARTS_ASCII_RUNS_H
#define PUMICE_PARTS_ASCII_RUNS_H

#include <stddef.h>
#include <stdint.h>

enum { PM_ASCII_STEP = 16 };

#if defined(__SSE2__)
#include <emmintrin.h>

/* Bytes from `last` - 25 to `last`, shifted so that one signed comparison finds them. */
static inline size_t pm_count_leading_range(__m128i bytes, char last)
{
    __m128i shifted = _mm_add_epi8(bytes, _mm_set1_epi8((char)(127 - last)));
    unsigned inside = (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(shifted, _mm_set1_epi8(127 - 26)));
    return (size_t)__builtin_ctz(~inside);
}

static inline size_t pm_leading_letters(const unsigned char *p)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    return pm_count_leading_range(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'z');
}

static inline size_t pm_leading_lower(const unsigned char *p)
{
    return pm_count_leading_range(_mm_loadu_si128((const __m128i *)(const void *)p), 'z');
}

#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>

static inline size_t pm_count_leading_range(uint8x16_t bytes)
{
    uint8x16_t outside = vcgtq_u8(vsubq_u8(bytes, vdupq_n_u8('a')), vdupq_n_u8(25));
    uint64_t nibbles = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(outside), 4)), 0);
    return nibbles ? (size_t)__builtin_ctzll(nibbles) / 4 : 16;
}

static inline size_t pm_leading_letters(const unsigned char *p)
{
    return pm_count_leading_range(vorrq_u8(vld1q_u8(p), vdupq_n_u8(0x20)));
}

static inline size_t pm_leading_lower(const unsigned char *p)
{
    return pm_count_leading_range(vld1q_u8(p));
}

#else

static inline size_t pm_leading_letters(const unsigned char *p)
{
    size_t n = 0;
    while (n < PM_ASCII_STEP && (unsigned)((p[n] | 0x20) - 'a') < 26)
        n++;
    return n;
}

static inline size_t pm_leading_lower(const unsigned char *p)
{
    size_t n = 0;
    while (n < PM_ASCII_STEP && (unsigned)(p[n] - 'a') < 26)
        n++;
    return n;
}

#endif

#endif
