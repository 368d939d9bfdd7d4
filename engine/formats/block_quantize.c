/* Floats to block-quantised rows (block_types.h): the layouts of block_types.c, written.
 *
 * The 32-value types round to nearest with the scale that makes the largest value representable, as the GGUF tools
 * do, bit for bit. The 256-value types try a few scales a sub-block, fit each by least squares and keep the best;
 * that is for tests and synthetic models, and no match for a tool that weighs values by importance. Any input
 * gives a valid block: values that are not numbers become the lowest level.
 */
#include "formats/block_types.h"

#include <float.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

enum { SUPER_BLOCK = 256 };

static void store_u16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static void store_u32(uint8_t *p, uint32_t value)
{
    store_u16(p, (uint16_t)value);
    store_u16(p + 2, (uint16_t)(value >> 16));
}

static void store_f16(uint8_t *p, float value)
{
    store_u16(p, pm_f32_to_f16(value));
}

/* Truncates towards zero into [low, high]; NaN gives low. */
static int truncate_into(float value, int low, int high)
{
    if (!(value > (float)low))
        return low;
    return value < (float)high ? (int)value : high;
}

static int round_into(float value, int low, int high)
{
    return truncate_into(roundf(value), low, high);
}

static float inverse_or_zero(float value)
{
    return value == 0.0f ? 0.0f : 1.0f / value;
}

/* The value of largest magnitude, with its sign. */
static float extreme_value(const float *src, int n)
{
    float extreme = src[0];
    for (int i = 1; i < n; i++)
        if (fabsf(src[i]) > fabsf(extreme))
            extreme = src[i];
    return extreme;
}

static void min_max(const float *src, int n, float *min, float *max)
{
    *min = *max = src[0];
    for (int i = 1; i < n; i++) {
        *min = src[i] < *min ? src[i] : *min;
        *max = src[i] > *max ? src[i] : *max;
    }
}

static void quantize_f32(const float *src, uint8_t *block)
{
    uint32_t bits;
    memcpy(&bits, src, sizeof bits);
    store_u32(block, bits);
}

static void quantize_f16(const float *src, uint8_t *block)
{
    store_f16(block, *src);
}

static void quantize_bf16(const float *src, uint8_t *block)
{
    store_u16(block, pm_f32_to_bf16(*src));
}

static void quantize_q8_0(const float *src, uint8_t *block)
{
    float d = fabsf(extreme_value(src, 32)) / 127.0f;
    float inverse = inverse_or_zero(d);
    store_f16(block, d);
    for (int i = 0; i < 32; i++)
        block[2 + i] = (uint8_t)(int8_t)round_into(src[i] * inverse, -128, 127);
}

/* Writes the low nibbles of 32 levels: values 0 to 15 low, 16 to 31 high. */
static void pack_nibbles(const uint8_t *levels, uint8_t *dst)
{
    for (int i = 0; i < 16; i++)
        dst[i] = (uint8_t)((levels[i] & 15) | (levels[i + 16] & 15) << 4);
}

static void pack_fifth_bits(const uint8_t *levels, uint8_t *dst)
{
    uint32_t high = 0;
    for (int i = 0; i < 32; i++)
        high |= (uint32_t)(levels[i] >> 4 & 1) << i;
    store_u32(dst, high);
}

/* Levels around zero: the extreme value gets level 0, zero gets n_levels / 2. Returns the scale. */
static float levels_symmetric(const float *src, int n_levels, uint8_t *levels)
{
    float zero = (float)(n_levels / 2);
    float d = extreme_value(src, 32) / -zero;
    float inverse = inverse_or_zero(d);
    for (int i = 0; i < 32; i++)
        levels[i] = (uint8_t)truncate_into(src[i] * inverse + (zero + 0.5f), 0, n_levels - 1);
    return d;
}

/* Levels from the minimum (0) to the maximum (n_levels - 1). Returns the scale. */
static float levels_from_min(const float *src, int n_levels, uint8_t *levels, float *min)
{
    float max;
    min_max(src, 32, min, &max);
    float d = (max - *min) / (float)(n_levels - 1);
    float inverse = inverse_or_zero(d);
    for (int i = 0; i < 32; i++)
        levels[i] = (uint8_t)truncate_into((src[i] - *min) * inverse + 0.5f, 0, n_levels - 1);
    return d;
}

static void quantize_q4_0(const float *src, uint8_t *block)
{
    uint8_t levels[32];
    store_f16(block, levels_symmetric(src, 16, levels));
    pack_nibbles(levels, block + 2);
}

static void quantize_q4_1(const float *src, uint8_t *block)
{
    uint8_t levels[32];
    float min;
    store_f16(block, levels_from_min(src, 16, levels, &min));
    store_f16(block + 2, min);
    pack_nibbles(levels, block + 4);
}

static void quantize_q5_0(const float *src, uint8_t *block)
{
    uint8_t levels[32];
    store_f16(block, levels_symmetric(src, 32, levels));
    pack_fifth_bits(levels, block + 2);
    pack_nibbles(levels, block + 6);
}

static void quantize_q5_1(const float *src, uint8_t *block)
{
    uint8_t levels[32];
    float min;
    store_f16(block, levels_from_min(src, 32, levels, &min));
    store_f16(block + 2, min);
    pack_fifth_bits(levels, block + 4);
    pack_nibbles(levels, block + 8);
}

/* Squared error of n values when x is represented by scale * level - min with the nearest level in [0, top]. */
static float affine_error(const float *src, int n, float scale, float min, int top)
{
    float inverse = inverse_or_zero(scale);
    float error = 0.0f;
    for (int i = 0; i < n; i++) {
        float level = (float)round_into((src[i] + min) * inverse, 0, top);
        float difference = scale * level - min - src[i];
        error += difference * difference;
    }
    return error;
}

/* The scale and minimum (as x = scale * level - min, min >= 0) that fit best given the levels which the current
 * pair chooses: ordinary least squares in two unknowns. Leaves the pair alone where the fit is degenerate. */
static void affine_refit(const float *src, int n, int top, float *scale, float *min)
{
    float inverse = inverse_or_zero(*scale);
    float sum_l = 0, sum_ll = 0, sum_x = 0, sum_lx = 0;
    for (int i = 0; i < n; i++) {
        float level = (float)round_into((src[i] + *min) * inverse, 0, top);
        sum_l += level;
        sum_ll += level * level;
        sum_x += src[i];
        sum_lx += level * src[i];
    }
    float determinant = (float)n * sum_ll - sum_l * sum_l;
    if (!(determinant > 0.0f))
        return;
    float fit_scale = ((float)n * sum_lx - sum_l * sum_x) / determinant;
    float fit_min = (sum_l * sum_lx - sum_ll * sum_x) / determinant;
    if (fit_min < 0.0f) { /* the layout has no positive offset: fit the scale alone */
        fit_min = 0.0f;
        fit_scale = sum_lx / sum_ll;
    }
    if (fit_scale > 0.0f) {
        *scale = fit_scale;
        *min = fit_min;
    }
}

/* Scale and minimum of one sub-block of 32 for levels 0 to top: the best of a few starts, each refitted once. */
static void affine_search(const float *src, int top, float *best_scale, float *best_min)
{
    float low, high;
    min_max(src, 32, &low, &high);
    low = low < 0.0f ? low : 0.0f;
    *best_min = -low;
    *best_scale = high > low ? (high - low) / (float)top : 0.0f;
    float best_error = affine_error(src, 32, *best_scale, *best_min, top);
    for (int step = -4; step <= 8 && *best_scale > 0.0f; step++) {
        float scale = (high - low) / ((float)top + 0.15f * (float)step);
        float min = -low;
        affine_refit(src, 32, top, &scale, &min);
        float error = affine_error(src, 32, scale, min, top);
        if (error < best_error) {
            best_error = error;
            *best_scale = scale;
            *best_min = min;
        }
    }
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
static void quantize_affine_super(const float *src, int top, uint8_t *header, uint8_t *levels)
{
    float scales[8], mins[8];
    float max_scale = 0.0f, max_min = 0.0f;
    for (int j = 0; j < 8; j++) {
        affine_search(src + j * 32, top, &scales[j], &mins[j]);
        max_scale = scales[j] > max_scale ? scales[j] : max_scale;
        max_min = mins[j] > max_min ? mins[j] : max_min;
    }
    memset(header, 0, 16);
    store_f16(header, max_scale / 63.0f);
    store_f16(header + 2, max_min / 63.0f);
    /* From here on with the rounded halves, so that rounding them costs no accuracy in the levels. */
    float d = pm_f16_to_f32(pm_f32_to_f16(max_scale / 63.0f));
    float dmin = pm_f16_to_f32(pm_f32_to_f16(max_min / 63.0f));
    for (int j = 0; j < 8; j++) {
        int scale = round_into(scales[j] * inverse_or_zero(d), 0, 63);
        int min = round_into(mins[j] * inverse_or_zero(dmin), 0, 63);
        pack_scale_min(header + 4, j, scale, min);
        float inverse = inverse_or_zero(d * (float)scale);
        for (int i = j * 32; i < j * 32 + 32; i++)
            levels[i] = (uint8_t)round_into((src[i] + dmin * (float)min) * inverse, 0, top);
    }
}

/* Nibbles of Q4_K and Q5_K: sub-block pairs share 32 bytes, the even one low. */
static void pack_super_nibbles(const uint8_t *levels, uint8_t *dst)
{
    for (int pair = 0; pair < 4; pair++)
        for (int i = 0; i < 32; i++)
            dst[pair * 32 + i] = (uint8_t)((levels[pair * 64 + i] & 15) | (levels[pair * 64 + 32 + i] & 15) << 4);
}

static void quantize_q4_k(const float *src, uint8_t *block)
{
    uint8_t levels[SUPER_BLOCK];
    quantize_affine_super(src, 15, block, levels);
    pack_super_nibbles(levels, block + 16);
}

static void quantize_q5_k(const float *src, uint8_t *block)
{
    uint8_t levels[SUPER_BLOCK];
    quantize_affine_super(src, 31, block, levels);
    for (int i = 0; i < 32; i++) {
        int high = 0;
        for (int j = 0; j < 8; j++)
            high |= (levels[j * 32 + i] >> 4) << j;
        block[16 + i] = (uint8_t)high;
    }
    pack_super_nibbles(levels, block + 48);
}

/* The scale of 16 values with signed levels -32 to 31: the best of a few starts, each fitted by least squares. */
static float signed_scale_search(const float *src)
{
    float extreme = extreme_value(src, 16);
    float best_scale = 0.0f, best_error = FLT_MAX;
    for (int step = 0; step < 10 && extreme != 0.0f; step++) {
        float inverse = -(32.0f - 0.5f * (float)step) / extreme;
        float sum_ll = 0, sum_lx = 0, error = 0;
        for (int i = 0; i < 16; i++) {
            float level = (float)round_into(src[i] * inverse, -32, 31);
            sum_ll += level * level;
            sum_lx += level * src[i];
        }
        float scale = sum_ll > 0.0f ? sum_lx / sum_ll : 0.0f;
        for (int i = 0; i < 16; i++) {
            float difference = scale * (float)round_into(src[i] * inverse, -32, 31) - src[i];
            error += difference * difference;
        }
        if (error < best_error) {
            best_error = error;
            best_scale = scale;
        }
    }
    return best_scale;
}

static void quantize_q6_k(const float *src, uint8_t *block)
{
    float scales[16];
    for (int s = 0; s < 16; s++)
        scales[s] = signed_scale_search(src + s * 16);
    float d = extreme_value(scales, 16) / -128.0f;
    memset(block, 0, 208);
    store_f16(block + 208, d);
    d = pm_f16_to_f32(pm_f32_to_f16(d));
    for (int at = 0; at < SUPER_BLOCK; at++) {
        int scale = round_into(scales[at / 16] * inverse_or_zero(d), -128, 127);
        block[192 + at / 16] = (uint8_t)(int8_t)scale;
        int q = round_into(src[at] * inverse_or_zero(d * (float)scale), -32, 31) + 32;
        int half = at / 128, group = at % 128 / 32, i = at % 32;
        uint8_t *low = block + half * 64 + group % 2 * 32 + i;
        uint8_t *high = block + 128 + half * 32 + i;
        *low = (uint8_t)(*low | (q & 15) << group / 2 * 4);
        *high = (uint8_t)(*high | q >> 4 << 2 * group);
    }
}

typedef void (*quantize_block)(const float *src, uint8_t *block);

static quantize_block block_function(pm_type type)
{
    switch (type) {
    case PM_TYPE_F32:
        return quantize_f32;
    case PM_TYPE_F16:
        return quantize_f16;
    case PM_TYPE_BF16:
        return quantize_bf16;
    case PM_TYPE_Q8_0:
        return quantize_q8_0;
    case PM_TYPE_Q4_0:
        return quantize_q4_0;
    case PM_TYPE_Q4_1:
        return quantize_q4_1;
    case PM_TYPE_Q5_0:
        return quantize_q5_0;
    case PM_TYPE_Q5_1:
        return quantize_q5_1;
    case PM_TYPE_Q4_K:
        return quantize_q4_k;
    case PM_TYPE_Q5_K:
        return quantize_q5_k;
    case PM_TYPE_Q6_K:
        return quantize_q6_k;
    case PM_TYPE_I32:
    case PM_TYPE_COUNT:
        break;
    }
    return NULL;
}

void pm_quantize_row(pm_type type, const float *src, void *dst, int64_t n)
{
    quantize_block convert = block_function(type);
    const pm_type_info *info = pm_type_get(type);
    if (!convert || !info)
        return;
    uint8_t *block = dst;
    for (int64_t at = 0; at + info->block_elems <= n; at += info->block_elems) {
        convert(src + at, block);
        block += info->block_bytes;
    }
}
