/* Vectors of 4 floats with the compiler's generic vectors: what kernel templates are written in, for any
 * processor. simd_avx2.h and simd_avx512.h define the same names. Operators + - * / work on vf directly.
 *
 * vf_max and vf_min give b where either is NaN, as x86 does: put the value whose NaN should survive second. */
#ifndef PUMICE_SIMD_PORTABLE_H
#define PUMICE_SIMD_PORTABLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "formats/block_types.h"

#define SIMD static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
enum { VF_N = 4 };

SIMD vf vf_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

SIMD void vf_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

SIMD vf vf_set1(float x)
{
    return (vf){x, x, x, x};
}

SIMD vf vf_fma(vf a, vf b, vf c)
{
    return a * b + c;
}

SIMD vf vf_select(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

SIMD vf vf_max(vf a, vf b)
{
    return vf_select(a > b, a, b);
}

SIMD vf vf_min(vf a, vf b)
{
    return vf_select(a < b, a, b);
}

SIMD vf vf_abs(vf a)
{
    return (vf)((vi)a & (vi){0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff});
}

/* The larger of values that are not negative; NaN is larger than all. */
SIMD vf vf_max_abs(vf a, vf b)
{
    return vf_select((vi)a > (vi)b, a, b);
}

SIMD float vf_sum(vf a)
{
    return (a[0] + a[2]) + (a[1] + a[3]);
}

/* Lane i: the sum of v[i]. */
SIMD vf vf_sums(const vf *v)
{
    vf sums;
    for (int i = 0; i < VF_N; i++)
        sums[i] = vf_sum(v[i]);
    return sums;
}

SIMD float vf_highest(vf a)
{
    float x = a[0] > a[1] ? a[0] : a[1], y = a[2] > a[3] ? a[2] : a[3];
    return x > y ? x : y;
}

SIMD float vf_highest_abs(vf a)
{
    vf b = vf_max_abs(a, (vf){a[2], a[3], a[0], a[1]});
    b = vf_max_abs(b, (vf){b[1], b[0], b[3], b[2]});
    return b[0];
}

/* value where a <= b, else otherwise */
SIMD vf vf_where_le(vf a, vf b, vf value, vf otherwise)
{
    return vf_select(a <= b, value, otherwise);
}

/* To nearest, ties to even, of values below 2^22. */
SIMD vf vf_round(vf a)
{
    vf magic = vf_set1(12582912.0f);
    return (a + magic) - magic;
}

/* p 2^n for whole n from -252 to 254; also where the result overflows or is subnormal. */
SIMD vf vf_scale2(vf p, vf n)
{
    vi whole = __builtin_convertvector(n, vi);
    vi half = whole >> 1;
    vi bias = {127, 127, 127, 127};
    return p * (vf)((half + bias) << 23) * (vf)((whole - half + bias) << 23);
}

SIMD vf vf_load_f16(const uint16_t *p)
{
    vi h = {p[0], p[1], p[2], p[3]};
    vi magnitude = (h & 0x7fff) << 13, sign = (h & 0x8000) << 16;
    vf value = (vf)magnitude * vf_set1(0x1p112f);
    vi not_finite = magnitude >= 0x7c00 << 13;
    return (vf)((vi)value | sign | (not_finite & (vi){0x7f800000, 0x7f800000, 0x7f800000, 0x7f800000}));
}

SIMD vf vf_load_bf16(const uint16_t *p)
{
    vi h = {p[0], p[1], p[2], p[3]};
    return (vf)(h << 16);
}

SIMD void vf_store_f16(uint16_t *p, vf v)
{
    for (int i = 0; i < VF_N; i++)
        p[i] = pm_f32_to_f16(v[i]);
}

SIMD vf vf_load_i8(const int8_t *p)
{
    return (vf){p[0], p[1], p[2], p[3]};
}

/* Whole values from -127 to 127. */
SIMD void vf_store_i8(int8_t *p, vf v)
{
    for (int i = 0; i < VF_N; i++)
        p[i] = (int8_t)v[i];
}

/* (1, 0, 3, 2, ...) */
SIMD vf vf_swap_pairs(vf v)
{
    return (vf){v[1], v[0], v[3], v[2]};
}

#endif
