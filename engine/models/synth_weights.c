/* Random weights straight in the blocks of each type, at the speed of the generator: all bits of a block are
 * random but those of its scale, which is chosen so that the values have mean 0 and variance 1 / k. */
#include "models/synth_shapes.h"

#include <math.h>
#include <string.h>

#include "formats/block_types.h"

/* xorshift64*: Vigna 2016, arXiv:1402.6246. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Dull;
}

static void random_bytes(uint64_t *random, unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bits = next_random(random);
        memcpy(bytes + i, &bits, n - i < 8 ? n - i : 8);
    }
}

/* Plain numbers of `n_mantissa` bits below a sign and an exponent: sign and mantissa stay random, and the exponent
 * is one of two next to each other, mixed so that the variance comes out right. The square of a number in [1, 2)
 * is 7/3 on average. */
static void shape_floats(int n_mantissa, int bias, double variance, uint64_t *random, unsigned char *bytes,
                         size_t n, size_t width)
{
    int exponent = (int)floor(log2(variance / (7.0 / 3.0)) / 2);
    double low = 7.0 / 3.0 * exp2(2.0 * exponent);
    uint64_t share_high = (uint64_t)((variance - low) / (3 * low) * 4294967296.0);
    uint32_t keep = (1u << n_mantissa) - 1, sign = 1u << (8 * width - 1);
    uint64_t choice = 0;
    for (size_t i = 0; i < n; i += width) {
        uint32_t bits = 0, higher;
        if (i / width % 2 == 0)
            choice = next_random(random);
        else
            choice >>= 32;
        higher = (choice & 0xffffffffu) < share_high;
        memcpy(&bits, bytes + i, width);
        bits = (bits & (keep | sign)) | (uint32_t)(exponent + bias + (int)higher) << n_mantissa;
        memcpy(bytes + i, &bits, width);
    }
}

static void put_half(unsigned char *at, double value)
{
    uint16_t half = pm_f32_to_f16((float)value);
    memcpy(at, &half, sizeof half);
}

static double square(double x)
{
    return x * x;
}

/* A block of 32 unsigned values of `levels` levels: q - levels / 2 times a scale of random sign, which takes the
 * mean of -1/2 away, or q times a scale plus a least value. */
static void shape_simple(double levels, int has_least, double deviation, uint64_t *random, unsigned char *bytes,
                         size_t n, size_t block)
{
    double variance = (square(levels) - 1) / 12 + (has_least ? 0 : 0.25), d = deviation / sqrt(variance);
    uint64_t signs = 0;
    for (size_t i = 0, b = 0; i < n; i += block, b++) {
        signs = b % 64 == 0 ? next_random(random) : signs >> 1;
        put_half(bytes + i, !has_least && (signs & 1) ? -d : d);
        if (has_least)
            put_half(bytes + i + 2, -d * (levels - 1) / 2);
    }
}

static void shape_q8_0(double deviation, unsigned char *bytes, size_t n)
{
    double d = deviation / sqrt((square(128) - 1) / 3); /* odd numbers from -127 to 127 */
    for (size_t i = 0; i < n; i += 34) {
        put_half(bytes + i, d);
        for (size_t j = 2; j < 34; j++)
            bytes[i + j] |= 1;
    }
}

/* Q4_K and Q5_K: d * s * q - d_least * m with 6-bit s and m for each 32 values; with d_least = d * E[q] the mean
 * is 0. */
static void shape_two_scales(double levels, double deviation, unsigned char *bytes, size_t n, size_t block)
{
    const double mean_q = (levels - 1) / 2, q2 = (square(levels) - 1) / 12 + square(mean_q);
    const double mean_s = 31.5, s2 = (square(64) - 1) / 12 + square(mean_s);
    double variance = s2 * q2 + square(mean_q) * s2 - 2 * square(mean_q * mean_s), d = deviation / sqrt(variance);
    for (size_t i = 0; i < n; i += block) {
        put_half(bytes + i, d);
        put_half(bytes + i + 2, d * mean_q);
    }
}

/* Q6_K: d * s * (q - 32) with odd 8-bit s for each 16 values. */
static void shape_q6_k(double deviation, unsigned char *bytes, size_t n)
{
    double d = deviation / sqrt((square(128) - 1) / 3 * ((square(64) - 1) / 12 + 0.25));
    for (size_t i = 0; i < n; i += 210) {
        for (size_t j = 192; j < 208; j++)
            bytes[i + j] |= 1;
        put_half(bytes + i + 208, d);
    }
}

void synth_random_blocks(pm_type type, int64_t k, uint64_t *random, unsigned char *bytes, size_t n)
{
    double variance = 1.0 / (double)k, deviation = sqrt(variance);
    size_t block = pm_type_get(type)->block_bytes;
    random_bytes(random, bytes, n);
    switch (type) {
    case PM_TYPE_F32:
        shape_floats(23, 127, variance, random, bytes, n, 4);
        return;
    case PM_TYPE_F16:
        shape_floats(10, 15, variance, random, bytes, n, 2);
        return;
    case PM_TYPE_BF16:
        shape_floats(7, 127, variance, random, bytes, n, 2);
        return;
    case PM_TYPE_Q8_0:
        shape_q8_0(deviation, bytes, n);
        return;
    case PM_TYPE_Q4_0:
    case PM_TYPE_Q4_1:
        shape_simple(16, type == PM_TYPE_Q4_1, deviation, random, bytes, n, block);
        return;
    case PM_TYPE_Q5_0:
    case PM_TYPE_Q5_1:
        shape_simple(32, type == PM_TYPE_Q5_1, deviation, random, bytes, n, block);
        return;
    case PM_TYPE_Q4_K:
    case PM_TYPE_Q5_K:
        shape_two_scales(type == PM_TYPE_Q4_K ? 16 : 32, deviation, bytes, n, block);
        return;
    case PM_TYPE_Q6_K:
        shape_q6_k(deviation, bytes, n);
        return;
    default:
        memset(bytes, 0, n);
        return; /* I32: no weights */
    }
}
