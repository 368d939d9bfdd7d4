/* matmul on the cpu backend: an item is a panel of 16 rows of the weight, for all rows of activations.
 *
 * Beside it the two forms that activations take first: 8 bits for quantised weights, tiles for float weights. They
 * are made once and read by all products of the same activations. */
#include "backends/cpu/cpu_backend.h"

enum { CHUNK_BYTES = 24 << 10, ACTS_BYTES = 256 << 10 };

size_t pm_cpu_acts_bytes(int64_t k, int64_t n)
{
    return (size_t)(k / PM_CPU_BLOCK * n) * sizeof(pm_cpu_act_block);
}

void pm_cpu_quantize_part(const pm_cpu_step *step, const pm_cpu_context *context, const float *x, int64_t t,
                          int64_t first, int64_t n)
{
    int64_t stride = pm_cpu_acts_stride(&step->made_acts, t);
    pm_cpu_act_block *row = pm_cpu_acts_row(&step->made_acts, t);
    context->kernels->quantize(x, n, row + first / PM_CPU_BLOCK * stride, stride);
}

static int64_t panels(const pm_cpu_step *step, const pm_cpu_context *context)
{
    return pm_tensor_rows_now(step->node->out, context->params) > 0 ? step->panels->n_panels : 0;
}

/* With few rows a chunk is little work: it must be worth the atomic operation. */
static int64_t grain(const pm_cpu_step *step, const pm_cpu_context *context)
{
    int64_t n_rows = pm_tensor_rows_now(step->node->out, context->params);
    if (n_rows < 1)
        return 1; /* a pass whose logits nobody wants */
    int64_t least = CHUNK_BYTES / (int64_t)step->panels->panel_bytes / n_rows;
    return least > 1 ? least : 1;
}

/* Panels [begin, end) with all rows of 8-bit activations, as many at a time as stay in a core's cache while the
 * panels go by. */
static void run_int(const pm_cpu_context *context, const pm_cpu_matmul *job, int64_t begin, int64_t end)
{
    int64_t k = job->weight->k, n = job->weight->n;
    int64_t most = ACTS_BYTES / (int64_t)pm_cpu_acts_bytes(k, PM_CPU_TILE) * PM_CPU_TILE;
    most = most < PM_CPU_TILE ? PM_CPU_TILE : most;
    for (int64_t t = 0; t < job->n_rows; t += most) {
        pm_cpu_matmul part = *job;
        part.acts.blocks = pm_cpu_acts_row(&job->acts, t);
        part.acts.n_rows = job->acts.n_rows - t;
        part.residual = job->residual ? job->residual + t * n : NULL;
        part.out = job->out + t * n;
        part.n_rows = job->n_rows - t < most ? job->n_rows - t : most;
        context->kernels->matmul_int(&part, begin, end);
    }
}

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    pm_cpu_matmul job = {
        .weight = step->panels,
        .acts = step->acts,
        .x = step->in[1],
        .packed = step->packed,
        .bias = step->in[2],
        .residual = step->in[3],
        .out = step->out,
        .n_rows = pm_tensor_rows_now(step->node->out, context->params),
    };
    if (step->panels->layout == PM_CPU_FLOATS)
        context->kernels->matmul_float(&job, begin, end);
    else
        run_int(context, &job, begin, end);
}

/* ---- activations for quantised weights ---------------------------------------------------------------------- */

static int64_t x_rows(const pm_cpu_step *step, const pm_cpu_context *context)
{
    return pm_tensor_rows_now(step->node->in[1], context->params);
}

static void run_quantize(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    for (int64_t row = begin; row < end; row++)
        pm_cpu_quantize_part(step, context, (const float *)step->in[1] + row * step->made_k, row, 0, step->made_k);
}

/* ---- activations for float weights -------------------------------------------------------------------------- */

static int64_t x_tiles(const pm_cpu_step *step, const pm_cpu_context *context)
{
    int64_t n_rows = x_rows(step, context);
    return n_rows > 1 ? (n_rows + PM_CPU_TILE - 1) / PM_CPU_TILE : 0; /* one row is used as it is */
}

static void run_pack(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    int64_t k = step->k, n_rows = x_rows(step, context);
    for (int64_t tile = begin; tile < end; tile++) {
        float *to = step->packed + tile * PM_CPU_TILE * k;
        for (int64_t r = 0; r < PM_CPU_TILE; r++) {
            int64_t row = tile * PM_CPU_TILE + r;
            const float *from = (const float *)step->in[1] + (row < n_rows ? row : 0) * k;
            for (int64_t i = 0; i < k; i++)
                to[i * PM_CPU_TILE + r] = row < n_rows ? from[i] : 0;
        }
    }
}

const pm_cpu_step_kind pm_cpu_step_matmul = {.name = "matmul", .items = panels, .run = run, .grain = grain};
const pm_cpu_step_kind pm_cpu_step_quantize = {.name = "quantize", .items = x_rows, .run = run_quantize};
const pm_cpu_step_kind pm_cpu_step_pack = {
    .name = "pack", .items = x_tiles, .run = run_pack, .grain = pm_cpu_grain_one};
