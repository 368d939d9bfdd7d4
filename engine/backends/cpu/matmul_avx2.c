/* Matrix products with quantised weights for AVX2. Layouts: cpu_kernels.h.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds pairs to 16 bits, which saturate; vpmaddwd with ones
 * adds pairs again to the 32 bits of a lane, a lane being a row of the panel. Weights below 64 cannot saturate.
 * 8-bit weights could, so theirs are made magnitudes and their signs go over to the activations: 2 * 128 * 127 <
 * 2^15.
 *
 * The formats are one function, made special by constants at each call.
 */
#include "backends/cpu/cpu_kernels.h"
#include "backends/cpu/matmul_int_formats.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { MOST_ROWS = 4, HALF_PANEL = 8 };

INLINE __m256 load_halves(const unsigned char *at, int half)
{
    const uint16_t *halves = (const uint16_t *)(const void *)at + half * HALF_PANEL;
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)halves));
}

/* The scales of half a panel; factors: where they are bytes. */
INLINE __m256 load_scales(const unsigned char *at, const unsigned char *factors, int half, bool byte_scales)
{
    if (!byte_scales)
        return load_halves(at, half);
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(at + half * HALF_PANEL));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)), load_halves(factors, half));
}

/* Values of k 4 j to 4 j + 3 of half a panel. */
INLINE __m256i load_four(const unsigned char *values, int j, int half, int_format f)
{
    const __m256i low = _mm256_set1_epi8(15), above = _mm256_set1_epi8((char)(((1 << f.high_bits) - 1) << 4));
    int at = f.nibbles ? j % 4 * 64 : j * 64;
    __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(values + at + half * 32));
    if (!f.nibbles)
        return w;
    w = _mm256_and_si256(j < 4 ? w : _mm256_srli_epi16(w, 4), low);
    if (f.high_bits == 0)
        return w;
    const unsigned char *high = values + (4 + pm_cpu_high_vector(j, f.high_bits)) * 64 + half * 32;
    int shift = pm_cpu_high_shift(j, f.high_bits);
    __m256i all = _mm256_loadu_si256((const __m256i *)(const void *)high);
    all = shift >= 0 ? _mm256_slli_epi16(all, shift) : _mm256_srli_epi16(all, -shift);
    return _mm256_or_si256(w, _mm256_and_si256(all, above));
}

INLINE __m256i four_acts(const int8_t *q, int group)
{
    int32_t four;
    memcpy(&four, q + 4 * group, sizeof four);
    return _mm256_set1_epi32(four);
}

INLINE __m256i add_dot(__m256i sum, __m256i w, __m256i acts)
{
    __m256i pairs = _mm256_maddubs_epi16(w, acts);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* Adds the vectors j0 to j1 of a block for n_rows rows of activations, scaled, to sums. */
INLINE void add_span(const unsigned char *values, int half, int j0, int j1, const pm_cpu_act_block *a,
                     __m256 scale, int n_rows, int_format f, __m256 *sums)
{
    __m256i dots[MOST_ROWS];
    for (int r = 0; r < n_rows; r++) {
        int32_t minus_sum = !f.halves ? a[r].minus_sum
                            : j0      ? a[r].minus_sum_hi
                                      : a[r].minus_sum - a[r].minus_sum_hi;
        dots[r] = f.offset_shift < 0 || f.wide ? _mm256_setzero_si256()
                                               : _mm256_slli_epi32(_mm256_set1_epi32(minus_sum), f.offset_shift);
    }
    for (int j = j0; j < j1; j++) {
        __m256i w = load_four(values, j, half, f);
        __m256i value = f.wide ? _mm256_xor_si256(w, _mm256_set1_epi8(-128)) : w;
        __m256i magnitude = f.wide ? _mm256_abs_epi8(value) : w;
        for (int r = 0; r < n_rows; r++) {
            __m256i acts = four_acts(a[r].q, j);
            dots[r] = add_dot(dots[r], magnitude, f.wide ? _mm256_sign_epi8(acts, value) : acts);
        }
    }
    for (int r = 0; r < n_rows; r++) {
        __m256 d = _mm256_set1_ps(a[r].d);
        sums[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[r]), _mm256_mul_ps(scale, d), sums[r]);
    }
}

INLINE void finish_row(const pm_cpu_matmul *job, int64_t n0, int64_t t, __m256 sum)
{
    int64_t n = job->weight->n, have = n - n0;
    if (have <= 0)
        return;
    const float *bias = job->bias ? job->bias + n0 : NULL;
    const float *residual = job->residual ? job->residual + t * n + n0 : NULL;
    float *out = job->out + t * n + n0;
    if (have >= HALF_PANEL) {
        sum = bias ? _mm256_add_ps(sum, _mm256_loadu_ps(bias)) : sum;
        sum = residual ? _mm256_add_ps(sum, _mm256_loadu_ps(residual)) : sum;
        _mm256_storeu_ps(out, sum);
        return;
    }
    float values[HALF_PANEL];
    _mm256_storeu_ps(values, sum);
    for (int64_t r = 0; r < have; r++)
        out[r] = values[r] + (bias ? bias[r] : 0) + (residual ? residual[r] : 0);
}

/* Rows t to t + n_rows of half a panel. */
INLINE void panel_rows(const pm_cpu_matmul *job, int64_t panel, int half, int64_t t, int n_rows, int_format f)
{
    const pm_cpu_panels *weight = job->weight;
    const unsigned char *data = weight->data + (size_t)panel * weight->panel_bytes;
    const pm_cpu_act_block *a = pm_cpu_acts_row(&job->acts, t);
    int64_t n_blocks = weight->n_blocks, stride = pm_cpu_acts_stride(&job->acts, t);
    bool fetch = half == 0 && t == 0 && n_rows > 1;
    __m256 sums[MOST_ROWS];
    for (int r = 0; r < n_rows; r++)
        sums[r] = _mm256_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++, a += stride) {
        if (fetch)
            pm_cpu_fetch_ahead(weight, data, b);
        const unsigned char *values = pm_cpu_block_values(weight, data, b);
        const unsigned char *head = pm_cpu_block_head(weight, data, b);
        if (f.halves) {
            __m256 scale = load_scales(pm_cpu_block_scales(weight, data, b, 0), head, half, f.byte_scales);
            add_span(values, half, 0, 4, a, scale, n_rows, f, sums);
            scale = load_scales(pm_cpu_block_scales(weight, data, b, 1), head, half, f.byte_scales);
            add_span(values, half, 4, 8, a, scale, n_rows, f, sums);
        } else {
            __m256 scale = load_scales(pm_cpu_block_scales(weight, data, b, 0), head, half, f.byte_scales);
            add_span(values, half, 0, 8, a, scale, n_rows, f, sums);
        }
        if (f.has_mins) {
            __m256 min =
                load_scales(pm_cpu_block_mins(weight, data, b), head + 2 * PM_CPU_PANEL, half, f.byte_scales);
            for (int r = 0; r < n_rows; r++)
                sums[r] = _mm256_fmadd_ps(min, _mm256_set1_ps(a[r].ds), sums[r]);
        }
    }
    for (int r = 0; r < n_rows; r++)
        finish_row(job, panel * PM_CPU_PANEL + half * HALF_PANEL, t + r, sums[r]);
}

INLINE void all_panels(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end, int_format f)
{
    for (int64_t panel = panel_begin; panel < panel_end; panel++) {
        for (int half = 0; half < 2; half++) {
            int64_t t = 0;
            for (; t + MOST_ROWS <= job->n_rows; t += MOST_ROWS)
                panel_rows(job, panel, half, t, MOST_ROWS, f);
            for (; t < job->n_rows; t++)
                panel_rows(job, panel, half, t, 1, f);
        }
    }
}

void pm_cpu_matmul_int_avx2(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end)
{
    FOR_INT_FORMAT(all_panels, job, panel_begin, panel_end)
}
