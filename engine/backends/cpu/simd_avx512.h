/* Vectors of 16 floats with AVX-512. The names are those of simd_portable.h, which explains them. */
#ifndef PUMICE_SIMD_AVX512_H
#define PUMICE_SIMD_AVX512_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define SIMD static inline __attribute__((always_inline))

typedef __m512 vf;
enum { VF_N = 16 };

SIMD vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

SIMD void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}

SIMD vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}

SIMD vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

SIMD vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

SIMD vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

SIMD vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}

SIMD vf vf_max_abs(vf a, vf b)
{
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}

SIMD float vf_sum(vf a)
{
    return _mm512_reduce_add_ps(a);
}

SIMD vf vf_sums(const vf *v)
{
    vf quarters[4];
    for (int i = 0; i < 4; i++) { /* 128 bits each of v[i], v[i + 4], v[i + 8], v[i + 12] */
        vf a = _mm512_shuffle_f32x4(v[i], v[i + 4], 0x44) + _mm512_shuffle_f32x4(v[i], v[i + 4], 0xee);
        vf b = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0x44) + _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0xee);
        quarters[i] = _mm512_shuffle_f32x4(a, b, 0x88) + _mm512_shuffle_f32x4(a, b, 0xdd);
    }
    vf a = _mm512_unpacklo_ps(quarters[0], quarters[1]) + _mm512_unpackhi_ps(quarters[0], quarters[1]);
    vf b = _mm512_unpacklo_ps(quarters[2], quarters[3]) + _mm512_unpackhi_ps(quarters[2], quarters[3]);
    return _mm512_shuffle_ps(a, b, 0x44) + _mm512_shuffle_ps(a, b, 0xee);
}

SIMD float vf_highest(vf a)
{
    return _mm512_reduce_max_ps(a);
}

SIMD float vf_highest_abs(vf a)
{
    int32_t bits = _mm512_reduce_max_epi32(_mm512_castps_si512(a));
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

SIMD vf vf_where_le(vf a, vf b, vf value, vf otherwise)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), otherwise, value);
}

SIMD vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

SIMD vf vf_scale2(vf p, vf n)
{
    return _mm512_scalef_ps(p, n);
}

SIMD vf vf_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

SIMD vf vf_load_bf16(const uint16_t *p)
{
    __m512i h = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(h, 16));
}

SIMD void vf_store_f16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

SIMD vf vf_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

SIMD void vf_store_i8(int8_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

SIMD vf vf_swap_pairs(vf v)
{
    return _mm512_permute_ps(v, 0xb1);
}

#endif
