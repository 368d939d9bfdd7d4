/* attention: causal attention over a KV cache, grouped-query, with an optional sliding window. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

#include "formats/block_types.h"

enum { MAX_HEAD = 512 };

static bool is_cache(const pm_tensor *t)
{
    return t->n_dims == 3 && (t->type == PM_TYPE_F16 || t->type == PM_TYPE_F32) && t->rows == PM_ROWS_FIXED;
}

pm_tensor *pm_attention(pm_graph *g, const pm_tensor *q, const pm_tensor *k_cache, const pm_tensor *v_cache,
                        const pm_tensor *positions, float scale, int32_t window)
{
    const pm_tensor *in[] = {q, k_cache, v_cache, positions};
    if (!pm_op_begin(g, PM_OP_ATTENTION, 4, in, 4))
        return NULL;
    if (q->type != PM_TYPE_F32 || q->n_dims != 3 || q->dim[0] > MAX_HEAD)
        return pm_op_reject(g, PM_OP_ATTENTION, 4, in, "q must be F32 [D, H, T] with D at most 512");
    if (!is_cache(k_cache) || !pm_op_same_shape(k_cache, v_cache) || k_cache->dim[0] != q->dim[0])
        return pm_op_reject(g, PM_OP_ATTENTION, 4, in, "the caches must be F16 or F32 [D, ctx, H_kv], both alike");
    if (q->dim[1] % k_cache->dim[2] != 0)
        return pm_op_reject(g, PM_OP_ATTENTION, 4, in, "H must be a multiple of H_kv");
    if (!pm_op_is_index_of(positions, q))
        return pm_op_reject(g, PM_OP_ATTENTION, 4, in, "the positions must be I32 [T], counted as the rows of q");
    if (!isfinite(scale) || window < 0)
        return pm_op_reject(g, PM_OP_ATTENTION, 4, in, "the scale must be finite and the window not negative");
    const pm_attention_args args = {.scale = scale, .window = window};
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, 3, q->dim, q->rows, "attention");
    return pm_op_finish(g, PM_OP_ATTENTION, out, 4, in, &args, sizeof args);
}

static double cache_value(const void *data, pm_type type, int64_t at)
{
    return type == PM_TYPE_F16 ? (double)pm_f16_to_f32(((const uint16_t *)data)[at])
                               : (double)((const float *)data)[at];
}

static double score(const pm_op_call *call, const float *q, int64_t slot)
{
    const pm_tensor *k = call->node->in[1];
    double sum = 0;
    for (int64_t i = 0; i < k->dim[0]; i++)
        sum += (double)q[i] * cache_value(call->in[1], k->type, slot * k->dim[0] + i);
    return sum * (double)PM_ARGS(call->node, pm_attention_args)->scale;
}

/* One head of one token over the slots [first, last] of its kv head's cache. */
static void attend(const pm_op_call *call, const float *q, int64_t first, int64_t last, float *out)
{
    const pm_tensor *v = call->node->in[2];
    int64_t n = v->dim[0];
    double highest = -INFINITY, sum = 0, mixed[MAX_HEAD] = {0};
    for (int64_t slot = first; slot <= last; slot++)
        highest = fmax(highest, score(call, q, slot)); /* passes over NaN, which comes back in the second pass */
    for (int64_t slot = first; slot <= last; slot++) {
        double weight = exp(score(call, q, slot) - highest);
        sum += weight;
        for (int64_t i = 0; i < n; i++)
            mixed[i] += weight * cache_value(call->in[2], v->type, slot * n + i);
    }
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(mixed[i] / sum);
}

void pm_ref_attention(const pm_op_call *call)
{
    const pm_tensor *q = call->node->in[0], *k = call->node->in[1];
    int64_t n_heads = q->dim[1], n_ctx = k->dim[1], begin, end;
    int64_t window = PM_ARGS(call->node, pm_attention_args)->window;
    pm_op_share(call, pm_tensor_rows_now(q, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        int64_t kv_head = row % n_heads / (n_heads / k->dim[2]);
        int64_t position = pm_op_clamp(((const int32_t *)call->in[3])[row / n_heads], n_ctx);
        int64_t first = window > 0 && position >= window ? position - window + 1 : 0;
        attend(call, pm_op_row(call->in[0], q, row), kv_head * n_ctx + first, kv_head * n_ctx + position,
               (float *)call->out + row * q->dim[0]);
    }
}
