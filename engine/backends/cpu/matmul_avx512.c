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

enum { MOST_ROWS = 16 };

INLINE __m512 load_scales(const unsigned char *at, bool f32_scales)
{
    if (f32_scales)
        return _mm512_loadu_ps((const float *)(const void *)at);
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)at));
}

INLINE void load_block(const unsigned char *values, bool nibbles, __m512i *w)
{
    if (!nibbles) {
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

/* The format's constants in the form that pm_cpu_block_values and the like take. */
INLINE pm_cpu_panels places(int_format f)
{
    int64_t values = f.nibbles ? 256 : 512, vectors = (f.halves ? 2 : 1) + (f.has_mins ? 1 : 0);
    return (pm_cpu_panels){.f32_scales = f.f32_scales,
                           .halves = f.halves,
                           .value_bytes = values,
                           .pair_bytes = 2 * (values + vectors * PM_CPU_PANEL * (f.f32_scales ? 4 : 2))};
}

/* Rows t to t + n_rows of one panel. */
INLINE void panel_rows(const pm_cpu_matmul *job, int64_t panel, int64_t t, int n_rows, int_format f)
{
    bool fetch = t == 0 && n_rows > 1;
    const pm_cpu_panels *weight = job->weight;
    const unsigned char *data = weight->data + (size_t)panel * weight->panel_bytes;
    const int8_t *q = job->acts.q + t * weight->k;
    const pm_cpu_act_block *a = job->acts.blocks + t * weight->n_blocks;
    int64_t k = weight->k, n_blocks = weight->n_blocks;
    const pm_cpu_panels p = places(f);
    __m512 sums[MOST_ROWS];
    for (int r = 0; r < n_rows; r++)
        sums[r] = _mm512_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++) {
        if (fetch)
            pm_cpu_fetch_ahead(&p, data, b);
        __m512i w[8];
        load_block(pm_cpu_block_values(&p, data, b), f.nibbles, w);
        __m512 scale = load_scales(pm_cpu_block_scales(&p, data, b, 0), f.f32_scales), scale_hi = scale,
               min = scale;
        if (f.halves)
            scale_hi = load_scales(pm_cpu_block_scales(&p, data, b, 1), f.f32_scales);
        if (f.has_mins)
            min = load_scales(pm_cpu_block_mins(&p, data, b), f.f32_scales);
#pragma GCC unroll 16
        for (int r = 0; r < n_rows; r++) {
            const int8_t *qr = q + r * k + b * PM_CPU_BLOCK;
            const pm_cpu_act_block *ar = a + r * n_blocks + b;
            __m512 d = _mm512_set1_ps(ar->d);
            int32_t minus_sum = f.halves ? ar->minus_sum - ar->minus_sum_hi : ar->minus_sum;
            __m512i dot = start_from(minus_sum, f.offset_shift);
            for (int j = 0; j < (f.halves ? 4 : 8); j++)
                dot = _mm512_dpbusd_epi32(dot, w[j], four_acts(qr, j));
            sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scale, d), sums[r]);
            if (f.halves) {
                dot = start_from(ar->minus_sum_hi, f.offset_shift);
                for (int j = 4; j < 8; j++)
                    dot = _mm512_dpbusd_epi32(dot, w[j], four_acts(qr, j));
                sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scale_hi, d), sums[r]);
            }
            if (f.has_mins)
                sums[r] = _mm512_fmadd_ps(min, _mm512_set1_ps(ar->ds), sums[r]);
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
        for (; t + 16 <= n_rows; t += 16)
            panel_rows(job, panel, t, 16, f);
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
