/* Matrix products with F32, F16 and BF16 weights, written once in the vectors of simd_<isa>.h.
 *
 * One row of activations (decoding): a panel is read once, four values of k at a time, each with sums of its own
 * so that additions do not wait for each other. Several rows: they lie packed in tiles of [k][16], so that a step
 * of k is one load of 16 weights, made float in registers, and a multiply-add for each row with that row's value
 * repeated. Long k is cut into slabs that stay in the nearest cache; between slabs the sums rest in the output.
 */
#include "backends/cpu/cpu_kernels.h"

enum { VECTORS_PER_PANEL = PM_CPU_PANEL / VF_N, SLAB = 768 };

#ifndef FLOAT_ROWS
#error "define FLOAT_ROWS: the rows of activations held in registers, a divisor of PM_CPU_TILE"
#endif

SIMD vf load_weight(const unsigned char *panel, pm_type type, int64_t k, int v)
{
    int64_t at = k * PM_CPU_PANEL + v * VF_N;
    if (type == PM_TYPE_F16)
        return vf_load_f16((const uint16_t *)(const void *)panel + at);
    if (type == PM_TYPE_BF16)
        return vf_load_bf16((const uint16_t *)(const void *)panel + at);
    return vf_load((const float *)(const void *)panel + at);
}

/* Adds bias and residual where asked for and writes a panel's results for one row, or as many as the matrix has.
 */
SIMD void finish_row(const pm_cpu_matmul *job, int64_t panel, int64_t t, const vf *sums, bool last)
{
    int64_t n0 = panel * PM_CPU_PANEL, n = job->weight->n, count = n - n0 < PM_CPU_PANEL ? n - n0 : PM_CPU_PANEL;
    float *out = job->out + t * n + n0;
    for (int v = 0; v < VECTORS_PER_PANEL; v++) {
        int64_t at = v * VF_N, have = count - at;
        if (have <= 0)
            return;
        vf sum = sums[v];
        bool whole = have >= VF_N;
        if (last && job->bias)
            sum = sum + (whole ? vf_load(job->bias + n0 + at) : vf_load_part(job->bias + n0 + at, have, 0));
        if (last && job->residual) {
            const float *residual = job->residual + t * n + n0 + at;
            sum = sum + (whole ? vf_load(residual) : vf_load_part(residual, have, 0));
        }
        if (whole)
            vf_store(out + at, sum);
        else
            vf_store_part(out + at, sum, have);
    }
}

SIMD void float_one_row(const pm_cpu_matmul *job, int64_t panel, pm_type type)
{
    const pm_cpu_panels *w = job->weight;
    const unsigned char *data = w->data + (size_t)panel * w->panel_bytes;
    vf sums[4][VECTORS_PER_PANEL];
    for (int u = 0; u < 4; u++)
        for (int v = 0; v < VECTORS_PER_PANEL; v++)
            sums[u][v] = vf_set1(0);
    int64_t k = 0;
    for (; k + 4 <= w->k; k += 4)
        for (int u = 0; u < 4; u++) {
            vf x = vf_set1(job->x[k + u]);
            for (int v = 0; v < VECTORS_PER_PANEL; v++)
                sums[u][v] = vf_fma(load_weight(data, type, k + u, v), x, sums[u][v]);
        }
    for (; k < w->k; k++)
        for (int v = 0; v < VECTORS_PER_PANEL; v++)
            sums[0][v] = vf_fma(load_weight(data, type, k, v), vf_set1(job->x[k]), sums[0][v]);
    for (int v = 0; v < VECTORS_PER_PANEL; v++)
        sums[0][v] = (sums[0][v] + sums[1][v]) + (sums[2][v] + sums[3][v]);
    finish_row(job, panel, 0, sums[0], true);
}

/* Rows t to t + n_rows of one panel over the values [k0, k1); computes `most` rows (constant at each call). */
SIMD void float_rows(const pm_cpu_matmul *job, int64_t panel, pm_type type, int64_t t, int64_t n_rows, int most,
                     int64_t k0, int64_t k1)
{
    const pm_cpu_panels *w = job->weight;
    const unsigned char *data = w->data + (size_t)panel * w->panel_bytes;
    const float *x = job->packed + t / PM_CPU_TILE * PM_CPU_TILE * w->k + t % PM_CPU_TILE;
    int64_t n0 = panel * PM_CPU_PANEL, n = w->n;
    vf sums[FLOAT_ROWS][VECTORS_PER_PANEL];
    for (int r = 0; r < most; r++)
        for (int v = 0; v < VECTORS_PER_PANEL; v++) {
            int64_t at = n0 + v * VF_N;
            bool resume = k0 > 0 && r < n_rows && at < n;
            const float *out = job->out + (t + r) * n + at;
            sums[r][v] = !resume ? vf_set1(0) : at + VF_N <= n ? vf_load(out) : vf_load_part(out, n - at, 0);
        }
    for (int64_t k = k0; k < k1; k++) {
        vf weights[VECTORS_PER_PANEL];
        for (int v = 0; v < VECTORS_PER_PANEL; v++)
            weights[v] = load_weight(data, type, k, v);
        for (int r = 0; r < most; r++) {
            vf value = vf_set1(x[k * PM_CPU_TILE + r]);
            for (int v = 0; v < VECTORS_PER_PANEL; v++)
                sums[r][v] = vf_fma(weights[v], value, sums[r][v]);
        }
    }
    for (int r = 0; r < most; r++)
        if (r < n_rows)
            finish_row(job, panel, t + r, sums[r], k1 == w->k);
}

SIMD void float_panels(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end, pm_type type)
{
    int64_t k = job->weight->k;
    if (job->n_rows == 1) {
        for (int64_t panel = panel_begin; panel < panel_end; panel++)
            float_one_row(job, panel, type);
        return;
    }
    int64_t slab = job->n_rows <= FLOAT_ROWS ? k : SLAB; /* few rows: panels are read once, in one stream */
    for (int64_t k0 = 0; k0 < k; k0 += slab) {
        int64_t k1 = k - k0 < slab ? k : k0 + slab;
        for (int64_t t = 0; t < job->n_rows; t += FLOAT_ROWS) {
            int64_t n_rows = job->n_rows - t < FLOAT_ROWS ? job->n_rows - t : FLOAT_ROWS;
            for (int64_t panel = panel_begin; panel < panel_end; panel++) {
                if (n_rows > (FLOAT_ROWS + 1) / 2)
                    float_rows(job, panel, type, t, n_rows, FLOAT_ROWS, k0, k1);
                else if (n_rows > (FLOAT_ROWS + 3) / 4)
                    float_rows(job, panel, type, t, n_rows, (FLOAT_ROWS + 1) / 2, k0, k1);
                else
                    float_rows(job, panel, type, t, n_rows, (FLOAT_ROWS + 3) / 4, k0, k1);
            }
        }
    }
}

static void matmul_float(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end)
{
    switch (job->weight->type) {
    case PM_TYPE_F16:
        float_panels(job, panel_begin, panel_end, PM_TYPE_F16);
        break;
    case PM_TYPE_BF16:
        float_panels(job, panel_begin, panel_end, PM_TYPE_BF16);
        break;
    default:
        float_panels(job, panel_begin, panel_end, PM_TYPE_F32);
        break;
    }
}
