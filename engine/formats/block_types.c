/* Block-quantised rows to floats: the meaning of every element type, in plain C (block_types.h).
 *
 * One function a type, each for one block; the row loop at the end calls them. The byte layout of a block is drawn
 * above its function. Integers and halves are little-endian and unaligned. A product and a sum stay two roundings
 * (no contraction), so that every machine gives the same bits. The way back is in block_quantize.c.
 */
#include "formats/block_types.h"

#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* GCC does not contract in ISO C mode, which the build asks for */
#endif

static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static float load_f16(const uint8_t *p)
{
    return pm_f16_to_f32(load_u16(p));
}

static uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void dequantize_f32(const uint8_t *block, float *dst)
{
    uint32_t bits = load_u32(block);
    memcpy(dst, &bits, sizeof *dst);
}

static void dequantize_f16(const uint8_t *block, float *dst)
{
    *dst = load_f16(block);
}

static void dequantize_bf16(const uint8_t *block, float *dst)
{
    *dst = pm_bf16_to_f32(load_u16(block));
}

/* f16 d | int8 q[32]:  x = d q */
static void dequantize_q8_0(const uint8_t *block, float *dst)
{
    float d = load_f16(block);
    for (int i = 0; i < 32; i++)
        dst[i] = (float)(int8_t)block[2 + i] * d;
}

/* f16 d | 16 bytes of nibbles, low ones first 16 values, high ones last 16:  x = d (q - 8) */
static void dequantize_q4_0(const uint8_t *block, float *dst)
{
    float d = load_f16(block);
    const uint8_t *q = block + 2;
    for (int i = 0; i < 16; i++) {
        dst[i] = d * (float)((q[i] & 15) - 8);
        dst[i + 16] = d * (float)((q[i] >> 4) - 8);
    }
}

/* f16 d | f16 m | 16 bytes of nibbles as in Q4_0:  x = d q + m */
static void dequantize_q4_1(const uint8_t *block, float *dst)
{
    float d = load_f16(block);
    float m = load_f16(block + 2);
    const uint8_t *q = block + 4;
    for (int i = 0; i < 16; i++) {
        dst[i] = d * (float)(q[i] & 15) + m;
        dst[i + 16] = d * (float)(q[i] >> 4) + m;
    }
}

/* The 5-bit value i of 32: bit 4 is bit i of `high`, bits 0 to 3 are a nibble as in Q4_0. */
static int five_bits(const uint8_t *nibbles, uint32_t high, int i)
{
    int low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
    return low | (int)(high >> i & 1) << 4;
}

/* f16 d | u32 high bits | 16 bytes of nibbles:  x = d (q - 16) */
static void dequantize_q5_0(const uint8_t *block, float *dst)
{
    float d = load_f16(block);
    uint32_t high = load_u32(block + 2);
    for (int i = 0; i < 32; i++)
        dst[i] = d * (float)(five_bits(block + 6, high, i) - 16);
}

/* f16 d | f16 m | u32 high bits | 16 bytes of nibbles:  x = d q + m */
static void dequantize_q5_1(const uint8_t *block, float *dst)
{
    float d = load_f16(block);
    float m = load_f16(block + 2);
    uint32_t high = load_u32(block + 4);
    for (int i = 0; i < 32; i++)
        dst[i] = d * (float)five_bits(block + 8, high, i) + m;
}

/* Sub-block j (0 to 7) of the 12 bytes of Q4_K and Q5_K that hold eight 6-bit scales and eight 6-bit minima.
 * Bytes 0-3 and 4-7: low 6 bits are scale and minimum of sub-blocks 0-3, the top 2 bits the top of those of 4-7,
 * whose low 4 bits are the nibbles of bytes 8-11 (scale low, minimum high). */
static void unpack_scale_min(const uint8_t *packed, int j, int *scale, int *min)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *min = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
        *min = packed[j + 4] >> 4 | packed[j] >> 6 << 4;
    }
}

/* f16 d | f16 dmin | 12 bytes of scales | 128 bytes of nibbles; each 32 bytes hold two sub-blocks of 32, low
 * nibbles first:  x = (d scale) q - (dmin min) */
static void dequantize_q4_k(const uint8_t *block, float *dst)
{
    float d = load_f16(block);
    float dmin = load_f16(block + 2);
    for (int j = 0; j < 8; j++) {
        const uint8_t *q = block + 16 + j / 2 * 32;
        int shift = j % 2 * 4;
        int scale, min;
        unpack_scale_min(block + 4, j, &scale, &min);
        float sub_d = d * (float)scale;
        float sub_min = dmin * (float)min;
        for (int i = 0; i < 32; i++)
            dst[j * 32 + i] = sub_d * (float)(q[i] >> shift & 15) - sub_min;
    }
}

/* As Q4_K with 32 bytes of fifth bits before the nibbles: bit j of byte i belongs to value i of sub-block j. */
static void dequantize_q5_k(const uint8_t *block, float *dst)
{
    float d = load_f16(block);
    float dmin = load_f16(block + 2);
    const uint8_t *high = block + 16;
    for (int j = 0; j < 8; j++) {
        const uint8_t *q = block + 48 + j / 2 * 32;
        int shift = j % 2 * 4;
        int scale, min;
        unpack_scale_min(block + 4, j, &scale, &min);
        float sub_d = d * (float)scale;
        float sub_min = dmin * (float)min;
        for (int i = 0; i < 32; i++)
            dst[j * 32 + i] = sub_d * (float)((q[i] >> shift & 15) | (high[i] >> j & 1) << 4) - sub_min;
    }
}

/* 128 bytes of low nibbles | 64 bytes of high bit pairs | int8 scale[16] | f16 d:  x = (d scale) (q - 32)
 * Each half of 128 values is four groups of 32: group g has its nibbles in bytes (g % 2) * 32 of the half's 64
 * (low ones for g < 2, else high ones) and bit pair g of the half's 32 high bytes. A scale serves 16 values. */
static void dequantize_q6_k(const uint8_t *block, float *dst)
{
    const uint8_t *scales = block + 192;
    float d = load_f16(block + 208);
    for (int half = 0; half < 2; half++) {
        const uint8_t *high = block + 128 + half * 32;
        for (int g = 0; g < 4; g++) {
            const uint8_t *low = block + half * 64 + g % 2 * 32;
            int shift = g / 2 * 4;
            for (int i = 0; i < 32; i++) {
                int at = half * 128 + g * 32 + i;
                int q = (low[i] >> shift & 15) | (high[i] >> 2 * g & 3) << 4;
                float sub_d = d * (float)(int8_t)scales[at / 16];
                dst[at] = sub_d * (float)(q - 32);
            }
        }
    }
}

typedef void (*dequantize_block)(const uint8_t *block, float *dst);

static dequantize_block block_function(pm_type type)
{
    switch (type) {
    case PM_TYPE_F32:
        return dequantize_f32;
    case PM_TYPE_F16:
        return dequantize_f16;
    case PM_TYPE_BF16:
        return dequantize_bf16;
    case PM_TYPE_Q8_0:
        return dequantize_q8_0;
    case PM_TYPE_Q4_0:
        return dequantize_q4_0;
    case PM_TYPE_Q4_1:
        return dequantize_q4_1;
    case PM_TYPE_Q5_0:
        return dequantize_q5_0;
    case PM_TYPE_Q5_1:
        return dequantize_q5_1;
    case PM_TYPE_Q4_K:
        return dequantize_q4_k;
    case PM_TYPE_Q5_K:
        return dequantize_q5_k;
    case PM_TYPE_Q6_K:
        return dequantize_q6_k;
    case PM_TYPE_I32:
    case PM_TYPE_COUNT:
        break;
    }
    return NULL;
}

void pm_dequantize_row(pm_type type, const void *src, float *dst, int64_t n)
{
    dequantize_block convert = block_function(type);
    const pm_type_info *info = pm_type_get(type);
    if (!convert || !info)
        return;
    const uint8_t *block = src;
    for (int64_t at = 0; at + info->block_elems <= n; at += info->block_elems) {
        convert(block, dst + at);
        block += info->block_bytes;
    }
}

double pm_element(pm_type type, const void *src, int64_t i)
{
    enum { LARGEST_BLOCK = 256 };
    if (type == PM_TYPE_I32) {
        int32_t value;
        memcpy(&value, (const uint8_t *)src + i * 4, sizeof value);
        return value;
    }
    const pm_type_info *info = pm_type_get(type);
    float values[LARGEST_BLOCK];
    pm_dequantize_row(type, (const uint8_t *)src + i / info->block_elems * info->block_bytes, values,
                      info->block_elems);
    return (double)values[i % info->block_elems];
}
