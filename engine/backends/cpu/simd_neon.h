/* Vectors of 4 floats with NEON (AArch64). The names are those of simd_portable.h, which explains them. */
#ifndef PUMICE_SIMD_NEON_H
#define PUMICE_SIMD_NEON_H

#include <arm_neon.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define SIMD static inline __attribute__((always_inline))

typedef float32x4_t vf;
enum { VF_N = 4 };

SIMD vf vf_load(const float *p)
{
    return vld1q_f32(p);
}

SIMD void vf_store(float *p, vf v)
{
    vst1q_f32(p, v);
}

SIMD vf vf_set1(float x)
{
    return vdupq_n_f32(x);
}

SIMD vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

/* NEON's own maximum and minimum are NaN where either is. */
SIMD vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

SIMD vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

SIMD vf vf_abs(vf a)
{
    return vabsq_f32(a);
}

SIMD vf vf_max_abs(vf a, vf b)
{
    return vreinterpretq_f32_s32(vmaxq_s32(vreinterpretq_s32_f32(a), vreinterpretq_s32_f32(b)));
}

SIMD float vf_sum(vf a)
{
    return vaddvq_f32(a);
}

SIMD vf vf_sums(const vf *v)
{
    return vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3]));
}

SIMD float vf_highest(vf a)
{
    return vmaxnmvq_f32(a);
}

SIMD float vf_highest_abs(vf a)
{
    int32_t bits = vmaxvq_s32(vreinterpretq_s32_f32(a));
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

SIMD vf vf_where_le(vf a, vf b, vf value, vf otherwise)
{
    return vbslq_f32(vcleq_f32(a, b), value, otherwise);
}

SIMD vf vf_round(vf a)
{
    return vrndnq_f32(a);
}

SIMD vf vf_scale2(vf p, vf n)
{
    int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1), bias = vdupq_n_s32(127);
    int32x4_t rest = vsubq_s32(whole, half);
    p = vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23)));
    return vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23)));
}

SIMD vf vf_load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

SIMD vf vf_load_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

SIMD void vf_store_f16(uint16_t *p, vf v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}

SIMD vf vf_load_i8(const int8_t *p)
{
    int32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    int16x8_t words = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(bytes)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
}

SIMD void vf_store_i8(int8_t *p, vf v)
{
    int16x4_t words = vmovn_s32(vcvtq_s32_f32(v));
    int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    vst1_lane_s32((int32_t *)(void *)p, vreinterpret_s32_s8(bytes), 0);
}

SIMD vf vf_swap_pairs(vf v)
{
    return vrev64q_f32(v);
}

#endif
