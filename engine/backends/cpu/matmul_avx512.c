/* Matrix products with quantised weights for AVX-512 with VNNI. Layouts: cpu_kernels.h.
 *
 * vpdpbusd multiplies unsigned by signed bytes and adds four products to each 32-bit lane, a lane being a row of
 * the panel; the four activations that every lane needs come as an embedded broadcast. A panel is taken with up to
 * 16 rows of activations at a time, so that its nibbles are unpacked once for all of them. Every lane starts from
 * -offset * sum(activations), which costs a shift and makes unsigned weights signed.
 *
 * The formats are one function, made special by constants at each call.
 */
#include "backends/cpu/cpu_kernels.h"
#include "backends/cpu/matmul_int_formats.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { MOST_ROWS = PM_CPU_TILE, ROWS_ABREAST = 4 };

INLINE __m512 load_halves(const unsigned char *at)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)at));
}

INLINE __m512 load_scales(const unsigned char *at, __m512 factors, bool byte_scales)
{
    if (!byte_scales)
        return load_halves(at);
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), factors);
}

/* Vector j of a block with the high bits that belong to it; high: the vectors of these. */
INLINE __m512i with_high_bits(__m512i low, int j, const __m512i *high, int bits)
{
    enum { A_AND_B_OR_C = 0xea };
    __m512i all = high[pm_cpu_high_vector(j, bits)];
    int shift = pm_cpu_high_shift(j, bits);
    all = shift >= 0 ? _mm512_slli_epi16(all, (unsigned)shift) : _mm512_srli_epi16(all, (unsigned)-shift);
    return _mm512_ternarylogic_epi32(all, _mm512_set1_epi8((char)(((1 << bits) - 1) << 4)), low, A_AND_B_OR_C);
}

INLINE void load_block(const unsigned char *values, int_format f, __m512i *w)
{
    if (!f.nibbles) {
        for (int j = 0; j < 8; j++)
            w[j] = _mm512_loadu_si512(values + j * 64);
        return;
    }
    const __m512i low = _mm512_set1_epi8(15);
    for (int j = 0; j < 4; j++) {
        __m512i both = _mm512_loadu_si512(values + j * 64);
        w[j] = _mm512_and_si512(both, low);
        w[4 + j] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
    __m512i high[2];
    for (int i = 0; i < f.high_bits; i++)
        high[i] = _mm512_loadu_si512(values + (4 + i) * 64);
    for (int j = 0; f.high_bits > 0 && j < 8; j++)
        w[j] = with_high_bits(w[j], j, high, f.high_bits);
}

/* The four activations number `group`, in every lane. */
INLINE __m512i four_acts(const int8_t *q, int group)
{
    int32_t four;
    memcpy(&four, q + 4 * group, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE __m512i start_from(int32_t minus_sum, int offset_shift)
{
    return offset_shift < 0 ? _mm512_setzero_si512()
                            : _mm512_slli_epi32(_mm512_set1_epi32(minus_sum), (unsigned)offset_shift);
}

INLINE void finish_row(const pm_cpu_matmul *job, int64_t panel, int64_t t, __m512 sum)
{
    int64_t n0 = panel * PM_CPU_PANEL, n = job->weight->n, have = n - n0;
    __mmask16 mask = (__mmask16)(have >= PM_CPU_PANEL ? 0xffff : (1 << have) - 1);
    if (job->bias)
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, job->bias + n0));
    if (job->residual)
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, job->residual + t * n + n0));
    _mm512_mask_storeu_ps(job->out + t * n + n0, mask, sum);
}

/* Adds one block of a panel times rows [r0, r0 + n) of activations to their sums. The rows go side by side: one
 * alone would wait for each of its products. */
INLINE void add_rows(const __m512i *w, __m512 scale, __m512 scale_hi, __m512 min, const pm_cpu_act_block *a,
                     int r0, int n, int_format f, __m512 *sums)
{
    __m512i dots[ROWS_ABREAST];
    for (int span = 0; span < (f.halves ? 2 : 1); span++) {
        for (int r = 0; r < n; r++) {
            int32_t minus_sum = a[r0 + r].minus_sum;
            if (f.halves)
                minus_sum = span ? a[r0 + r].minus_sum_hi : minus_sum - a[r0 + r].minus_sum_hi;
            dots[r] = start_from(minus_sum, f.offset_shift);
        }
        for (int j = span * 4; j < (f.halves && !span ? 4 : 8); j++)
            for (int r = 0; r < n; r++)
                dots[r] = _mm512_dpbusd_epi32(dots[r], w[j], four_acts(a[r0 + r].q, j));
        for (int r = 0; r < n; r++) {
            __m512 by = _mm512_mul_ps(span ? scale_hi : scale, _mm512_set1_ps(a[r0 + r].d));
            sums[r0 + r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r]), by, sums[r0 + r]);
        }
    }
    for (int r = 0; r < n && f.has_mins; r++)
        sums[r0 + r] = _mm512_fmadd_ps(min, _mm512_set1_ps(a[r0 + r].ds), sums[r0 + r]);
}

/* Rows t to t + n_rows of one panel. Pointers walk along its pairs of blocks (pm_cpu_block_values and the like say
 * the same with more instructions, which a single row has no time for). */
INLINE void panel_rows(const pm_cpu_matmul *job, int64_t panel, int64_t t, int n_rows, int_format f)
{
    const int64_t scale_bytes = PM_CPU_PANEL * (f.byte_scales ? 1 : 2),
                  value_bytes = f.nibbles ? 256 + 64 * f.high_bits : 512;
    const int64_t span_bytes = scale_bytes * (f.halves ? 2 : 1),
                  all_scales = 2 * (span_bytes + f.has_mins * scale_bytes);
    const unsigned char *pair = job->weight->data + (size_t)panel * job->weight->panel_bytes;
    const pm_cpu_act_block *a = pm_cpu_acts_row(&job->acts, t);
    int64_t n_blocks = job->weight->n_blocks, stride = pm_cpu_acts_stride(&job->acts, t);
    __m512 sums[MOST_ROWS], scale_factors = _mm512_setzero_ps(), min_factors = scale_factors;
    for (int r = 0; r < n_rows; r++)
        sums[r] = _mm512_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b += 2, pair += all_scales + 2 * value_bytes) {
        if (f.byte_scales && b % PM_CPU_HEAD_BLOCKS == 0) {
            scale_factors = load_halves(pair);
            min_factors = load_halves(pair + 2 * PM_CPU_PANEL);
            pair += 2 * 2 * PM_CPU_PANEL;
        }
        const unsigned char *scales = pair, *values = pair + all_scales;
        const unsigned char *end = values + value_bytes * (n_blocks - b < 2 ? 1 : 2);
#pragma GCC unroll 1
        for (; values < end; values += value_bytes, scales += span_bytes, a += stride) {
            if (t == 0 && n_rows > 1)
                pm_cpu_fetch(values + PM_CPU_AHEAD, value_bytes + all_scales);
            __m512i w[8];
            load_block(values, f, w);
            __m512 scale = load_scales(scales, scale_factors, f.byte_scales), scale_hi = scale, min = scale;
            if (f.halves)
                scale_hi = load_scales(scales + scale_bytes, scale_factors, f.byte_scales);
            if (f.has_mins) /* of formats with one scale a block */
                min = load_scales(scales + 2 * span_bytes, min_factors, f.byte_scales);
#pragma GCC unroll 16
            for (int r = 0; r < n_rows; r += ROWS_ABREAST)
                add_rows(w, scale, scale_hi, min, a, r, n_rows < ROWS_ABREAST ? n_rows : ROWS_ABREAST, f, sums);
        }
    }
    for (int r = 0; r < n_rows; r++)
        finish_row(job, panel, t + r, sums[r]);
}

INLINE void all_panels(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end, int_format f)
{
    int64_t n_rows = job->n_rows;
    for (int64_t panel = panel_begin; panel < panel_end; panel++) {
        int64_t t = 0;
        for (; t + MOST_ROWS <= n_rows; t += MOST_ROWS)
            panel_rows(job, panel, t, MOST_ROWS, f);
        if (n_rows - t >= 8) {
            panel_rows(job, panel, t, 8, f);
            t += 8;
        }
        if (n_rows - t >= 4) {
            panel_rows(job, panel, t, 4, f);
            t += 4;
        }
        if (n_rows - t >= 2) {
            panel_rows(job, panel, t, 2, f);
            t += 2;
        }
        if (n_rows - t >= 1)
            panel_rows(job, panel, t, 1, f);
    }
}

void pm_cpu_matmul_int_avx512(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end)
{
    FOR_INT_FORMAT(all_panels, job, panel_begin, panel_end)
}
