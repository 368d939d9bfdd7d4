/* kv_store on the cpu backend. A head is one thread's, so that of two tokens at one position the later wins. */
#include "backends/cpu/cpu_backend.h"

#include <string.h>

#include "formats/block_types.h"

void pm_cpu_store_row(const pm_cpu_context *context, pm_type type, const float *row, int64_t n, void *out)
{
    if (type == PM_TYPE_F16)
        context->kernels->to_f16(row, n, out);
    else if (type == PM_TYPE_F32)
        memcpy(out, row, (size_t)n * sizeof *row);
    else
        pm_quantize_row(type, row, out, n);
}

static int64_t heads(const pm_cpu_step *step, const pm_cpu_context *context)
{
    (void)context;
    return step->node->in[0]->dim[1];
}

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    const pm_tensor *rows = step->node->in[0], *cache = step->node->out;
    int64_t n = rows->dim[0], n_heads = rows->dim[1];
    size_t row_bytes = pm_type_row_bytes(cache->type, n);
    int64_t n_tokens = pm_tensor_rows_now(rows, context->params) / n_heads;
    for (int64_t head = begin; head < end; head++)
        for (int64_t t = 0; t < n_tokens; t++) {
            int64_t slot = pm_cpu_clamp(((const int32_t *)step->in[1])[t], cache->dim[1]);
            int64_t at = head * cache->dim[1] + slot;
            const float *from = (const float *)step->in[0] + (t * n_heads + head) * n;
            pm_cpu_store_row(context, cache->type, from, n, (char *)step->out + (size_t)at * row_bytes);
        }
}

const pm_cpu_step_kind pm_cpu_step_kv_store = {
    .name = "kv_store", .items = heads, .run = run, .grain = pm_cpu_grain_one};
