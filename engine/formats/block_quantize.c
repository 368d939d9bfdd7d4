/* Floats to block-quantised rows (block_types.h): the layouts of block_types.c, written.
 *
 * The 32-value types round to nearest with the scale that makes the largest value representable, as the GGUF tools
 * do, bit for bit; the 256-value types, which have room for choice, are in block_quantize_k.c. Any input gives a
 * valid block: values that are not numbers become the lowest level.
 */
#include "formats/block_quantize.h"

#include <math.h>
#include <string.h>

#include "formats/block_types.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

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
    pm_store_u32(block, bits);
}

static void quantize_f16(const float *src, uint8_t *block)
{
    pm_store_f16(block, *src);
}

static void quantize_bf16(const float *src, uint8_t *block)
{
    pm_store_u16(block, pm_f32_to_bf16(*src));
}

static void quantize_q8_0(const float *src, uint8_t *block)
{
    float d = fabsf(extreme_value(src, 32)) / 127.0f;
    float inverse = inverse_or_zero(d);
    pm_store_f16(block, d);
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
    pm_store_u32(dst, high);
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
    pm_store_f16(block, levels_symmetric(src, 16, levels));
    pack_nibbles(levels, block + 2);
}

static void quantize_q4_1(const float *src, uint8_t *block)
{
    uint8_t levels[32];
    float min;
    pm_store_f16(block, levels_from_min(src, 16, levels, &min));
    pm_store_f16(block + 2, min);
    pack_nibbles(levels, block + 4);
}

static void quantize_q5_0(const float *src, uint8_t *block)
{
    uint8_t levels[32];
    pm_store_f16(block, levels_symmetric(src, 32, levels));
    pack_fifth_bits(levels, block + 2);
    pack_nibbles(levels, block + 6);
}

static void quantize_q5_1(const float *src, uint8_t *block)
{
    uint8_t levels[32];
    float min;
    pm_store_f16(block, levels_from_min(src, 32, levels, &min));
    pm_store_f16(block + 2, min);
    pack_fifth_bits(levels, block + 4);
    pack_nibbles(levels, block + 8);
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
        return pm_quantize_q4_k;
    case PM_TYPE_Q5_K:
        return pm_quantize_q5_k;
    case PM_TYPE_Q6_K:
        return pm_quantize_q6_k;
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
