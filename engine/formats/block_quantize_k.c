/* Floats to the 256-value blocks Q4_K, Q5_K and Q6_K (layouts: block_types.c), with the least squared error that a
 * search of bounded cost finds.
 *
 * A block has sub-blocks with scales (and minima) of a few bits, which are multiples of the block's own. First
 * each sub-block alone: from a number of starting scales the levels follow, from the levels the best scale (least
 * squares). Then the block: its own scale is rounded to a half, and the sub-blocks' integers and the block's scale
 * are improved in turn, each time with the levels that they give. Sums run in lanes of their own, in the same
 * order on every machine, so that compilers make vectors of them and all get the same bits. Any input gives a
 * valid block.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "formats/block_quantize.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

enum { SUPER_BLOCK = 256, SUB = 32, N_SUB = SUPER_BLOCK / SUB, LANES = 4, ROUNDS = 2 };

#define MAGIC 12582912.0f /* 1.5 * 2^23: added, what lies below one is rounded away */

static inline float inverse_or_zero(float value)
{
    return value == 0.0f ? 0.0f : 1.0f / value;
}

/* The nearest integer within [low, high], which are integers of few bits; NaN gives low. */
static inline float level_of(float value, float low, float high)
{
    value = value > low ? value : low;
    value = value < high ? value : high;
    return (value + MAGIC) - MAGIC;
}

typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lane_mask __attribute__((vector_size(16)));

static inline lanes load(const float *x)
{
    lanes v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline lanes choose(lane_mask mask, lanes a, lanes b)
{
    return (lanes)((mask & (lane_mask)a) | (~mask & (lane_mask)b));
}

static inline lanes same(float value)
{
    return (lanes){value, value, value, value};
}

/* The same of four values. */
static inline lanes levels_of(lanes value, float low, float high)
{
    value = choose(value > same(low), value, same(low));
    value = choose(value < same(high), value, same(high));
    return (value + MAGIC) - MAGIC;
}

static inline float sum_of(lanes v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

static int integer_within(float value, int low, int high)
{
    return (int)level_of(value, (float)low, (float)high);
}

/* ---- Q4_K and Q5_K: x = scale * level - min ---- */

typedef struct affine {
    float scale, min;
} affine;

/* Sums over a sub-block that do not depend on levels. */
typedef struct sub_sums {
    float x, xx, low, high;
} sub_sums;

static sub_sums sums_of(const float *x)
{
    lanes sum = {0}, squares = {0}, low = {0}, high = load(x);
    for (int i = 0; i < SUB; i += LANES) {
        lanes v = load(x + i);
        sum += v;
        squares += v * v;
        low = choose(v < low, v, low);
        high = choose(v > high, v, high);
    }
    for (int k = 1; k < LANES; k++) {
        low[0] = low[k] < low[0] ? low[k] : low[0];
        high[0] = high[k] > high[0] ? high[k] : high[0];
    }
    return (sub_sums){sum_of(sum), sum_of(squares), low[0], high[0]};
}

/* The best pair for the levels that this one gives, and its squared error with them. */
static float refit(const float *x, const sub_sums *sums, float top, affine *pair)
{
    lanes l1 = {0}, l2 = {0}, lx = {0};
    float inverse = inverse_or_zero(pair->scale), min = pair->min;
    for (int i = 0; i < SUB; i += LANES) {
        lanes v = load(x + i), level = levels_of((v + min) * inverse, 0.0f, top);
        l1 += level;
        l2 += level * level;
        lx += level * v;
    }
    float sum_l = sum_of(l1), sum_ll = sum_of(l2), sum_lx = sum_of(lx);
    float determinant = (float)SUB * sum_ll - sum_l * sum_l;
    if (!(determinant > 0.0f))
        return FLT_MAX;
    float scale = ((float)SUB * sum_lx - sum_l * sums->x) / determinant;
    min = (sum_l * sum_lx - sum_ll * sums->x) / determinant;
    if (min < 0.0f) { /* the layout has no positive offset: fit the scale alone */
        min = 0.0f;
        scale = sum_lx / sum_ll;
    }
    if (!(scale > 0.0f))
        return FLT_MAX;
    *pair = (affine){scale, min};
    /* sum of (scale l - min - x)^2 */
    return sums->xx + scale * (scale * sum_ll - 2.0f * sum_lx - 2.0f * min * sum_l) +
           min * ((float)SUB * min + 2.0f * sums->x);
}

/* The best of a few starts: scales that give the widest value a level near the top, within it or beyond. */
static affine search_affine(const float *x, float top)
{
    sub_sums sums = sums_of(x);
    affine best = {(sums.high - sums.low) / top, -sums.low};
    float best_error = FLT_MAX;
    if (!(sums.high > sums.low))
        return (affine){0.0f, -sums.low};
    for (int step = -6; step <= 9; step++) {
        affine pair = {(sums.high - sums.low) / (top + 0.125f * (float)step), -sums.low};
        float error = refit(x, &sums, top, &pair);
        if (error < best_error) {
            best_error = error;
            best = pair;
        }
    }
    affine again = best;
    return refit(x, &sums, top, &again) < best_error ? again : best;
}

/* The squared error of a sub-block with this pair. */
static float affine_error(const float *x, float top, affine pair)
{
    lanes errors = {0};
    float inverse = inverse_or_zero(pair.scale);
    for (int i = 0; i < SUB; i += LANES) {
        lanes v = load(x + i), level = levels_of((v + pair.min) * inverse, 0.0f, top);
        lanes difference = pair.scale * level - pair.min - v;
        errors += difference * difference;
    }
    return sum_of(errors);
}

/* A block on its way: what will be stored. */
typedef struct affine_block {
    float d, dmin; /* halves */
    int scale[N_SUB], min[N_SUB];
} affine_block;

static affine pair_of(const affine_block *b, int j)
{
    return (affine){b->d * (float)b->scale[j], b->dmin * (float)b->min[j]};
}

static float as_half(float value)
{
    return pm_f16_to_f32(pm_f32_to_f16(value));
}

/* The integers of sub-block j: those next to the pair wanted which give the least error. */
static float choose_integers(const float *x, float top, affine wanted, affine_block *b, int j)
{
    int scale = integer_within(wanted.scale * inverse_or_zero(b->d), 0, 63);
    int min = integer_within(wanted.min * inverse_or_zero(b->dmin), 0, 63);
    float best = FLT_MAX;
    b->scale[j] = scale;
    b->min[j] = min;
    for (int s = scale > 0 ? scale - 1 : 0; s <= scale + 1 && s < 64; s++)
        for (int m = min > 0 ? min - 1 : 0; m <= min + 1 && m < 64; m++) {
            float error = affine_error(x, top, (affine){b->d * (float)s, b->dmin * (float)m});
            if (error < best) {
                best = error;
                b->scale[j] = s;
                b->min[j] = m;
            }
        }
    return best;
}

/* The block's two scales that fit best with the integers and levels that it has: least squares over all values. */
static int refit_block(const float *x, float top, affine_block *b)
{
    double ss = 0, sm = 0, mm = 0, sx = 0, mx = 0; /* s: scale * level, m: min */
    for (int j = 0; j < N_SUB; j++) {
        affine pair = pair_of(b, j);
        lanes l1 = {0}, l2 = {0}, lx = {0}, x1 = {0};
        float inverse = inverse_or_zero(pair.scale);
        for (int i = 0; i < SUB; i += LANES) {
            lanes v = load(x + j * SUB + i), level = levels_of((v + pair.min) * inverse, 0.0f, top);
            l1 += level;
            l2 += level * level;
            lx += level * v;
            x1 += v;
        }
        double scale = b->scale[j], min = b->min[j];
        ss += scale * scale * (double)sum_of(l2);
        sm += scale * min * (double)sum_of(l1);
        mm += min * min * SUB;
        sx += scale * (double)sum_of(lx);
        mx += min * (double)sum_of(x1);
    }
    double determinant = ss * mm - sm * sm;
    double d = mm > 0 ? (sx * mm - mx * sm) / determinant : sx / ss;
    double dmin = mm > 0 ? (sx * sm - mx * ss) / determinant : 0;
    if (!(d > 0 && dmin >= 0 && d < 65504 && dmin < 65504))
        return 0;
    b->d = as_half((float)d);
    b->dmin = as_half((float)dmin);
    return 1;
}

static float choose_all(const float *x, float top, const affine *wanted, affine_block *b)
{
    float error = 0;
    for (int j = 0; j < N_SUB; j++)
        error += choose_integers(x + j * SUB, top, wanted[j], b, j);
    return error;
}

static affine_block fit_affine_block(const float *x, float top)
{
    affine wanted[N_SUB];
    affine_block best = {0};
    float max_scale = 0.0f, max_min = 0.0f;
    for (int j = 0; j < N_SUB; j++) {
        wanted[j] = search_affine(x + j * SUB, top);
        max_scale = wanted[j].scale > max_scale ? wanted[j].scale : max_scale;
        max_min = wanted[j].min > max_min ? wanted[j].min : max_min;
    }
    best.d = as_half(max_scale / 63.0f);
    best.dmin = as_half(max_min / 63.0f);
    float least = choose_all(x, top, wanted, &best);
    for (int round = 0; round < ROUNDS; round++) {
        affine_block next = best;
        if (!refit_block(x, top, &next))
            break;
        float error = choose_all(x, top, wanted, &next);
        if (!(error < least))
            break;
        least = error;
        best = next;
    }
    return best;
}

static void pack_scale_min(uint8_t *packed, int j, int scale, int min)
{
    if (j < 4) {
        packed[j] = (uint8_t)(packed[j] | scale);
        packed[j + 4] = (uint8_t)(packed[j + 4] | min);
    } else {
        packed[j + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
        packed[j - 4] = (uint8_t)(packed[j - 4] | scale >> 4 << 6);
        packed[j] = (uint8_t)(packed[j] | min >> 4 << 6);
    }
}

/* The shared part of Q4_K and Q5_K: writes the 16 bytes of scales and gives the level (0 to top) of every value.
 */
static void quantize_affine(const float *src, int top, uint8_t *header, uint8_t *levels)
{
    affine_block b = fit_affine_block(src, (float)top);
    memset(header, 0, 16);
    pm_store_f16(header, b.d);
    pm_store_f16(header + 2, b.dmin);
    for (int j = 0; j < N_SUB; j++) {
        affine pair = pair_of(&b, j);
        float inverse = inverse_or_zero(pair.scale);
        pack_scale_min(header + 4, j, b.scale[j], b.min[j]);
        for (int i = j * SUB; i < (j + 1) * SUB; i++)
            levels[i] = (uint8_t)integer_within((src[i] + pair.min) * inverse, 0, top);
    }
}

/* Nibbles of Q4_K and Q5_K: sub-block pairs share 32 bytes, the even one low. */
static void pack_super_nibbles(const uint8_t *levels, uint8_t *dst)
{
    for (int pair = 0; pair < 4; pair++)
        for (int i = 0; i < 32; i++)
            dst[pair * 32 + i] = (uint8_t)((levels[pair * 64 + i] & 15) | (levels[pair * 64 + 32 + i] & 15) << 4);
}

void pm_quantize_q4_k(const float *src, uint8_t *block)
{
    uint8_t levels[SUPER_BLOCK];
    quantize_affine(src, 15, block, levels);
    pack_super_nibbles(levels, block + 16);
}

void pm_quantize_q5_k(const float *src, uint8_t *block)
{
    uint8_t levels[SUPER_BLOCK];
    quantize_affine(src, 31, block, levels);
    for (int i = 0; i < 32; i++) {
        int high = 0;
        for (int j = 0; j < N_SUB; j++)
            high |= (levels[j * 32 + i] >> 4) << j;
        block[16 + i] = (uint8_t)high;
    }
    pack_super_nibbles(levels, block + 48);
}

/* ---- Q6_K: x = scale * level, levels -32 to 31, 16 sub-blocks of 16 ---- */

enum { SUB6 = 16, N_SUB6 = SUPER_BLOCK / SUB6 };

/* Sums of levels squared and of levels times values, the levels being those of x * inverse. */
static void signed_sums(const float *x, float inverse, float *sum_ll, float *sum_lx)
{
    lanes l2 = {0}, lx = {0};
    for (int i = 0; i < SUB6; i += LANES) {
        lanes v = load(x + i), level = levels_of(v * inverse, -32.0f, 31.0f);
        l2 += level * level;
        lx += level * v;
    }
    *sum_ll = sum_of(l2);
    *sum_lx = sum_of(lx);
}

static float signed_error(const float *x, float scale)
{
    lanes errors = {0};
    float inverse = inverse_or_zero(scale);
    for (int i = 0; i < SUB6; i += LANES) {
        lanes v = load(x + i), difference = scale * levels_of(v * inverse, -32.0f, 31.0f) - v;
        errors += difference * difference;
    }
    return sum_of(errors);
}

static float extreme_of(const float *x, int n)
{
    float extreme = x[0];
    for (int i = 1; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    return extreme;
}

/* With levels given, the error is the sum of x^2 less (sum of l x)^2 / sum of l^2: the start with the most of
 * that. */
static float search_signed(const float *x)
{
    float extreme = extreme_of(x, SUB6), best_scale = 0.0f, most = 0.0f;
    for (int step = 0; step < 16 && extreme != 0.0f; step++) {
        float sum_ll, sum_lx;
        signed_sums(x, -(33.0f - 0.375f * (float)step) / extreme, &sum_ll, &sum_lx);
        if (sum_ll > 0.0f && sum_lx * sum_lx > most * sum_ll) {
            most = sum_lx * sum_lx / sum_ll;
            best_scale = sum_lx / sum_ll;
        }
    }
    return best_scale;
}

typedef struct signed_block {
    float d; /* a half */
    int scale[N_SUB6];
} signed_block;

static float choose_signed(const float *x, const float *wanted, signed_block *b)
{
    float total = 0;
    for (int j = 0; j < N_SUB6; j++) {
        int nearest = integer_within(wanted[j] * inverse_or_zero(b->d), -128, 127);
        float best = FLT_MAX;
        b->scale[j] = nearest;
        for (int s = nearest - 1; s <= nearest + 1; s++) {
            float error = s < -128 || s > 127 ? FLT_MAX : signed_error(x + j * SUB6, b->d * (float)s);
            if (error < best) {
                best = error;
                b->scale[j] = s;
            }
        }
        total += best;
    }
    return total;
}

static int refit_signed(const float *x, signed_block *b)
{
    double ss = 0, sx = 0;
    for (int j = 0; j < N_SUB6; j++) {
        float sum_ll, sum_lx;
        signed_sums(x + j * SUB6, inverse_or_zero(b->d * (float)b->scale[j]), &sum_ll, &sum_lx);
        ss += (double)b->scale[j] * b->scale[j] * (double)sum_ll;
        sx += b->scale[j] * (double)sum_lx;
    }
    double d = sx / ss;
    if (!(fabs(d) < 65504 && d != 0))
        return 0;
    b->d = as_half((float)d);
    return 1;
}

static signed_block fit_signed_block(const float *x)
{
    float wanted[N_SUB6];
    for (int j = 0; j < N_SUB6; j++)
        wanted[j] = search_signed(x + j * SUB6);
    signed_block best = {.d = as_half(extreme_of(wanted, N_SUB6) / -128.0f)};
    float least = choose_signed(x, wanted, &best);
    for (int round = 0; round < ROUNDS; round++) {
        signed_block next = best;
        if (!refit_signed(x, &next))
            break;
        float error = choose_signed(x, wanted, &next);
        if (!(error < least))
            break;
        least = error;
        best = next;
    }
    return best;
}

void pm_quantize_q6_k(const float *src, uint8_t *block)
{
    signed_block b = fit_signed_block(src);
    memset(block, 0, 192);
    pm_store_f16(block + 208, b.d);
    for (int j = 0; j < N_SUB6; j++)
        block[192 + j] = (uint8_t)(int8_t)b.scale[j];
    for (int at = 0; at < SUPER_BLOCK; at++) {
        int q = integer_within(src[at] * inverse_or_zero(b.d * (float)b.scale[at / SUB6]), -32, 31) + 32;
        int half = at / 128, group = at % 128 / 32, i = at % 32;
        uint8_t *low = block + half * 64 + group % 2 * 32 + i;
        uint8_t *high = block + 128 + half * 32 + i;
        *low = (uint8_t)(*low | (q & 15) << group / 2 * 4);
        *high = (uint8_t)(*high | q >> 4 << 2 * group);
    }
}
