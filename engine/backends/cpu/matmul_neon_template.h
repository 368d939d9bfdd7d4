/* Matrix products with quantised weights for NEON (AArch64), with or without its dot products. Layouts:
 * cpu_kernels.h. The file that includes this defines
 *
 *     MATMUL_INT   the function's name
 *     MOST_ROWS    rows of activations taken at a time
 *     int_sums     four rows of a panel, on their way to one 32-bit sum each
 *     no_sums()    zero
 *     add_16       adds the products of 16 values of k: w[j] has values 4 j to 4 j + 3 of four rows
 *     sums_of      the four sums
 *
 * Weights of at most 7 bits are taken as they are and every sum starts from -offset * sum(activations); weights of
 * 8 bits are made signed. Several rows of activations take half a panel at a time, so that all sums stay in
 * registers; a single row takes a whole one, so that memory is read in one stream.
 *
 * The formats are one function, made special by constants at each call.
 */
#include "backends/cpu/cpu_kernels.h"
#include "backends/cpu/matmul_int_formats.h"

#include <string.h>

enum { FOUR = 4, QUARTERS = PM_CPU_PANEL / FOUR };

INLINE float32x4_t load_halves(const unsigned char *at, int quarter)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)(const void *)at + quarter * FOUR)));
}

/* The scales of rows 4 quarter to 4 quarter + 3; factors: where they are bytes. */
INLINE float32x4_t load_scales(const unsigned char *at, const unsigned char *factors, int quarter,
                               bool byte_scales)
{
    if (!byte_scales)
        return load_halves(at, quarter);
    uint32_t four;
    memcpy(&four, at + quarter * FOUR, sizeof four);
    int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
    return vmulq_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))), load_halves(factors, quarter));
}

/* w[j] with the high bits of four rows that belong to it; high: the vectors of these. */
INLINE int8x16_t with_high_bits(int8x16_t low, int j, const uint8x16_t *high, int bits)
{
    int shift = pm_cpu_high_shift(j, bits);
    uint8x16_t all = vshlq_u8(high[pm_cpu_high_vector(j, bits)], vdupq_n_s8((int8_t)shift));
    all = vandq_u8(all, vdupq_n_u8((uint8_t)(((1 << bits) - 1) << 4)));
    return vorrq_s8(low, vreinterpretq_s8_u8(all));
}

/* A block of four rows: values of k 4 j to 4 j + 3 in w[j]. */
INLINE void load_quarter(const unsigned char *values, int quarter, int_format f, int8x16_t *w)
{
    for (int j = 0; j < (f.nibbles ? 4 : 8); j++) {
        uint8x16_t v = vld1q_u8(values + j * 64 + quarter * 16);
        if (f.nibbles) {
            w[j] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
            w[4 + j] = vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
        } else {
            w[j] = vreinterpretq_s8_u8(f.wide ? veorq_u8(v, vdupq_n_u8(0x80)) : v);
        }
    }
    uint8x16_t high[2];
    for (int i = 0; i < f.high_bits; i++)
        high[i] = vld1q_u8(values + (4 + i) * 64 + quarter * 16);
    for (int j = 0; f.high_bits > 0 && j < 8; j++)
        w[j] = with_high_bits(w[j], j, high, f.high_bits);
}

/* What the sums of four rows start from, with minus_sum of the activations. */
INLINE int32x4_t start_from(int32_t minus_sum, int_format f)
{
    return f.wide || f.offset_shift < 0 ? vdupq_n_s32(0) : vdupq_n_s32(minus_sum * (1 << f.offset_shift));
}

INLINE float32x4_t add_scaled(float32x4_t sum, int32x4_t dot, float32x4_t scale, float d)
{
    return vfmaq_f32(sum, vcvtq_f32_s32(dot), vmulq_n_f32(scale, d));
}

/* One block of four rows times one row of activations, added to sum. */
INLINE float32x4_t add_block(float32x4_t sum, const int8x16_t *w, const pm_cpu_act_block *a,
                             const float32x4_t *scales, float32x4_t min, int_format f)
{
    int8x16_t low = vld1q_s8(a->q), high = vld1q_s8(a->q + 16);
    int_sums dots = add_16(no_sums(), w, low);
    if (f.halves) {
        int32x4_t first = vaddq_s32(sums_of(dots), start_from(a->minus_sum - a->minus_sum_hi, f));
        int32x4_t second = vaddq_s32(sums_of(add_16(no_sums(), w + 4, high)), start_from(a->minus_sum_hi, f));
        sum = add_scaled(add_scaled(sum, first, scales[0], a->d), second, scales[1], a->d);
    } else {
        dots = add_16(dots, w + 4, high);
        sum = add_scaled(sum, vaddq_s32(sums_of(dots), start_from(a->minus_sum, f)), scales[0], a->d);
    }
    return f.has_mins ? vfmaq_n_f32(sum, min, a->ds) : sum;
}

INLINE void finish_four(const pm_cpu_matmul *job, int64_t n0, int64_t t, float32x4_t sum)
{
    int64_t n = job->weight->n, have = n - n0 < FOUR ? n - n0 : FOUR;
    float values[FOUR];
    vst1q_f32(values, sum);
    for (int64_t r = 0; r < have; r++) {
        int64_t at = t * n + n0 + r;
        float value = values[r] + (job->bias ? job->bias[n0 + r] : 0);
        job->out[at] = value + (job->residual ? job->residual[at] : 0);
    }
}

/* Rows t to t + n_rows of quarters [quarter, quarter + n_quarters) of one panel. */
INLINE void panel_rows(const pm_cpu_matmul *job, int64_t panel, int quarter, int n_quarters, int64_t t, int n_rows,
                       int_format f)
{
    const pm_cpu_panels *weight = job->weight;
    const unsigned char *data = weight->data + (size_t)panel * weight->panel_bytes;
    int64_t n_blocks = weight->n_blocks, stride = pm_cpu_acts_stride(&job->acts, t);
    const pm_cpu_act_block *a = pm_cpu_acts_row(&job->acts, t);
    float32x4_t sums[MOST_ROWS][QUARTERS];
    for (int r = 0; r < n_rows; r++)
        for (int i = 0; i < n_quarters; i++)
            sums[r][i] = vdupq_n_f32(0);
    for (int64_t b = 0; b < n_blocks; b++, a += stride) {
        const unsigned char *values = pm_cpu_block_values(weight, data, b);
        const unsigned char *head = pm_cpu_block_head(weight, data, b);
        for (int i = 0; i < n_quarters; i++) {
            int8x16_t w[8];
            float32x4_t scales[2], min;
            load_quarter(values, quarter + i, f, w);
            for (int s = 0; s < 2; s++)
                scales[s] = load_scales(pm_cpu_block_scales(weight, data, b, f.halves ? s : 0), head, quarter + i,
                                        f.byte_scales);
            min = f.has_mins ? load_scales(pm_cpu_block_mins(weight, data, b), head + 2 * PM_CPU_PANEL,
                                           quarter + i, f.byte_scales)
                             : vdupq_n_f32(0);
            for (int r = 0; r < n_rows; r++)
                sums[r][i] = add_block(sums[r][i], w, a + r, scales, min, f);
        }
    }
    for (int r = 0; r < n_rows; r++)
        for (int i = 0; i < n_quarters; i++)
            finish_four(job, panel * PM_CPU_PANEL + (quarter + i) * FOUR, t + r, sums[r][i]);
}

INLINE void all_panels(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end, int_format f)
{
    for (int64_t panel = panel_begin; panel < panel_end; panel++) {
        int64_t t = 0;
        for (; t + MOST_ROWS <= job->n_rows; t += MOST_ROWS)
            for (int half = 0; half < 2; half++)
                panel_rows(job, panel, half * 2, 2, t, MOST_ROWS, f);
        for (; t < job->n_rows; t++)
            panel_rows(job, panel, 0, QUARTERS, t, 1, f);
    }
}

void MATMUL_INT(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end)
{
    FOR_INT_FORMAT(all_panels, job, panel_begin, panel_end)
}
