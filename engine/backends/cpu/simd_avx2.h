/* Vectors of 8 floats with AVX2, FMA and F16C. The names are those of simd_portable.h, which explains them. */
#ifndef PUMICE_SIMD_AVX2_H
#define PUMICE_SIMD_AVX2_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define SIMD static inline __attribute__((always_inline))

typedef __m256 vf;
enum { VF_N = 8 };

SIMD vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

SIMD void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}

SIMD vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}

SIMD vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

SIMD vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

SIMD vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

SIMD vf vf_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

SIMD vf vf_max_abs(vf a, vf b)
{
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}

SIMD float vf_sum(vf a)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

SIMD vf vf_sums(const vf *v)
{
    vf halves[4];
    for (int i = 0; i < 4; i++) /* 128 bits each of v[i] and v[i + 4] */
        halves[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20) + _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
    vf a = _mm256_unpacklo_ps(halves[0], halves[1]) + _mm256_unpackhi_ps(halves[0], halves[1]);
    vf b = _mm256_unpacklo_ps(halves[2], halves[3]) + _mm256_unpackhi_ps(halves[2], halves[3]);
    return _mm256_shuffle_ps(a, b, 0x44) + _mm256_shuffle_ps(a, b, 0xee);
}

SIMD float vf_highest(vf a)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

SIMD float vf_highest_abs(vf a)
{
    __m256i bits = _mm256_castps_si256(a);
    __m128i x = _mm_max_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0x4e));
    x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(x));
}

SIMD vf vf_where_le(vf a, vf b, vf value, vf otherwise)
{
    return _mm256_blendv_ps(otherwise, value, _mm256_cmp_ps(a, b, _CMP_LE_OQ));
}

SIMD vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

SIMD vf vf_scale2(vf p, vf n)
{
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), bias = _mm256_set1_epi32(127);
    __m256i rest = _mm256_sub_epi32(whole, half);
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
}

SIMD vf vf_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

SIMD vf vf_load_bf16(const uint16_t *p)
{
    __m256i h = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(h, 16));
}

SIMD void vf_store_f16(uint16_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

SIMD vf vf_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

SIMD void vf_store_i8(int8_t *p, vf v)
{
    __m256i whole = _mm256_cvtps_epi32(v);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(words, words));
}

SIMD vf vf_swap_pairs(vf v)
{
    return _mm256_permute_ps(v, 0xb1);
}

#endif
