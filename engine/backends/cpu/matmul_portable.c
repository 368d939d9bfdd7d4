/* Matrix products with quantised weights in plain C, for any processor. Layouts: cpu_kernels.h.
 *
 * For each block of 32 values of k: 16 integer dot products, one a row of the panel, then one float multiply-add
 * with the scales of both sides. The offset of unsigned weights goes into the integer sum through the activations'
 * sum.
 */
#include "backends/cpu/cpu_kernels.h"

#include "formats/block_types.h"

/* 16 scales or minima as floats; factors: where they are bytes. */
static void load_scales(const pm_cpu_panels *w, const unsigned char *scales, const unsigned char *factors,
                        float *out)
{
    for (int r = 0; r < PM_CPU_PANEL; r++)
        out[r] = w->byte_scales ? pm_f16_to_f32(((const uint16_t *)(const void *)factors)[r]) *
                                      (float)((const int8_t *)scales)[r]
                                : pm_f16_to_f32(((const uint16_t *)(const void *)scales)[r]);
}

/* One block as 32 bytes a row, rows side by side as in the layout PM_CPU_BYTES. */
static const uint8_t *block_bytes(const pm_cpu_panels *w, const unsigned char *panel, int64_t block,
                                  uint8_t *bytes)
{
    enum { HALF = PM_CPU_BLOCK / 2 * PM_CPU_PANEL, VECTOR = 4 * PM_CPU_PANEL };
    if (w->layout == PM_CPU_BYTES)
        return pm_cpu_block_values(w, panel, block);
    const uint8_t *nibbles = pm_cpu_block_values(w, panel, block);
    for (int i = 0; i < HALF; i++) {
        bytes[i] = nibbles[i] & 15;
        bytes[HALF + i] = nibbles[i] >> 4;
    }
    for (int j = 0; w->high_bits > 0 && j < PM_CPU_BLOCK / 4; j++) {
        const uint8_t *high = nibbles + HALF + pm_cpu_high_vector(j, w->high_bits) * VECTOR;
        int from = 4 - pm_cpu_high_shift(j, w->high_bits), mask = (1 << w->high_bits) - 1;
        for (int i = 0; i < VECTOR; i++)
            bytes[j * VECTOR + i] = (uint8_t)(bytes[j * VECTOR + i] | (high[i] >> from & mask) << 4);
    }
    return bytes;
}

/* sums[r] += the dot products of 4 n_vectors values of k. */
static void dot_rows(const uint8_t *weights, const int8_t *q, int n_vectors, int32_t *sums)
{
    for (int j = 0; j < n_vectors; j++)
        for (int r = 0; r < PM_CPU_PANEL; r++)
            for (int i = 0; i < 4; i++)
                sums[r] += weights[(j * PM_CPU_PANEL + r) * 4 + i] * q[j * 4 + i];
}

static void add_span(const pm_cpu_panels *w, const uint8_t *weights, const int8_t *q, int n_vectors,
                     int32_t minus_sum, float d, const float *scales, float *totals)
{
    int32_t sums[PM_CPU_PANEL], start = w->offset_shift < 0 ? 0 : minus_sum * (1 << w->offset_shift);
    for (int r = 0; r < PM_CPU_PANEL; r++)
        sums[r] = start;
    dot_rows(weights, q, n_vectors, sums);
    for (int r = 0; r < PM_CPU_PANEL; r++)
        totals[r] += (float)sums[r] * (scales[r] * d);
}

static void add_block(const pm_cpu_panels *w, const unsigned char *panel, int64_t block, const pm_cpu_act_block *a,
                      float *totals)
{
    uint8_t bytes[PM_CPU_BLOCK * PM_CPU_PANEL];
    float scales[PM_CPU_PANEL];
    const uint8_t *weights = block_bytes(w, panel, block, bytes);
    const unsigned char *head = pm_cpu_block_head(w, panel, block);
    if (w->halves) {
        load_scales(w, pm_cpu_block_scales(w, panel, block, 0), head, scales);
        add_span(w, weights, a->q, 4, a->minus_sum - a->minus_sum_hi, a->d, scales, totals);
        load_scales(w, pm_cpu_block_scales(w, panel, block, 1), head, scales);
        add_span(w, weights + sizeof bytes / 2, a->q + PM_CPU_BLOCK / 2, 4, a->minus_sum_hi, a->d, scales, totals);
    } else {
        load_scales(w, pm_cpu_block_scales(w, panel, block, 0), head, scales);
        add_span(w, weights, a->q, 8, a->minus_sum, a->d, scales, totals);
    }
    if (w->has_mins) {
        load_scales(w, pm_cpu_block_mins(w, panel, block), head + 2 * PM_CPU_PANEL, scales);
        for (int r = 0; r < PM_CPU_PANEL; r++)
            totals[r] += scales[r] * a->ds;
    }
}

void pm_cpu_matmul_int_portable(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end)
{
    const pm_cpu_panels *w = job->weight;
    for (int64_t p = panel_begin; p < panel_end; p++) {
        const unsigned char *panel = w->data + (size_t)p * w->panel_bytes;
        int64_t n0 = p * PM_CPU_PANEL, n_rows = w->n - n0 < PM_CPU_PANEL ? w->n - n0 : PM_CPU_PANEL;
        for (int64_t t = 0; t < job->n_rows; t++) {
            float totals[PM_CPU_PANEL] = {0};
            const pm_cpu_act_block *a = pm_cpu_acts_row(&job->acts, t);
            int64_t stride = pm_cpu_acts_stride(&job->acts, t);
            for (int64_t b = 0; b < w->n_blocks; b++)
                add_block(w, panel, b, a + b * stride, totals);
            for (int64_t r = 0; r < n_rows; r++) {
                int64_t at = t * w->n + n0 + r;
                float sum = totals[r] + (job->bias ? job->bias[n0 + r] : 0);
                job->out[at] = sum + (job->residual ? job->residual[at] : 0);
            }
        }
    }
}
