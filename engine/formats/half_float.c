/* IEEE binary16 and bfloat16, to and from binary32, in integer arithmetic: the same bits on every machine.
 *
 * Declared in block_types.h. Rounding is to nearest, ties to even; a NaN keeps the top of its payload and is made
 * quiet when it is narrowed.
 */
#include "formats/block_types.h"

#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float pm_f16_to_f32(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    uint32_t exponent = (bits >> 10) & 0x1Fu;
    uint32_t fraction = bits & 0x3FFu;
    if (exponent == 0) {
        /* Zero and subnormals are fraction * 2^-24, which binary32 holds exactly. */
        float magnitude = (float)fraction * 0x1p-24f;
        return float_of(sign | bits_of(magnitude));
    }
    if (exponent == 0x1F)
        return float_of(sign | 0x7F800000u | fraction << 13);
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

/* Drops the low n_bits (1 to 31) of value, rounding to nearest, ties to even. */
static uint32_t shift_right_round(uint32_t value, unsigned n_bits)
{
    uint32_t kept = value >> n_bits;
    uint32_t rest = value & ((1u << n_bits) - 1);
    uint32_t half = 1u << (n_bits - 1);
    return kept + (rest > half || (rest == half && (kept & 1)));
}

uint16_t pm_f32_to_f16(float value)
{
    uint32_t bits = bits_of(value);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
    if (magnitude >= 0x47800000u) /* 2^16 and more, and infinity */
        return (uint16_t)(sign | 0x7C00u);
    if (magnitude >= 0x38800000u) /* 2^-14 and more: normal; a carry out of the fraction raises the exponent */
        return (uint16_t)(sign | shift_right_round(magnitude - 0x38000000u, 13));
    if (magnitude < 0x33000000u) /* below 2^-25, half of the smallest subnormal */
        return (uint16_t)sign;
    uint32_t exponent = magnitude >> 23;
    uint32_t significand = (magnitude & 0x7FFFFFu) | 0x800000u;
    return (uint16_t)(sign | shift_right_round(significand, 126 - exponent));
}

float pm_bf16_to_f32(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

uint16_t pm_f32_to_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}
