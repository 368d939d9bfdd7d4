/* attention over a KV cache: causal, with a sliding window, or over spans; grouped-query. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

#include "formats/block_types.h"

enum { MAX_HEAD = 512 };

static bool is_cache(const pm_tensor *t)
{
    return t->n_dims == 3 && (t->type == PM_TYPE_F16 || t->type == PM_TYPE_F32) && t->rows == PM_ROWS_FIXED;
}

static bool is_spans(const pm_tensor *positions, const pm_tensor *q)
{
    return positions->type == PM_TYPE_I32 && positions->n_dims == 2 && positions->dim[0] == 3 &&
           positions->rows == q->rows && positions->dim[1] == q->dim[2];
}

pm_attention_span pm_attention_span_of(const pm_node *node, const int32_t *positions, int64_t t)
{
    int64_t n_ctx = node->in[1]->dim[1], window = PM_ARGS(node, pm_attention_args)->window;
    if (node->in[3]->n_dims == 2) {
        int64_t last = pm_op_clamp(positions[3 * t + 2], n_ctx), first = pm_op_clamp(positions[3 * t + 1], n_ctx);
        return (pm_attention_span){pm_op_clamp(positions[3 * t], n_ctx), first < last ? first : last, last};
    }
    int64_t p = pm_op_clamp(positions[t], n_ctx);
    return (pm_attention_span){p, window > 0 && p >= window ? p - window + 1 : 0, p};
}

pm_tensor *pm_attention(pm_graph *g, const pm_tensor *q, const pm_tensor *k_cache, const pm_tensor *v_cache,
                        const pm_tensor *positions, const pm_tensor *bias, pm_attention_args args)
{
    const pm_tensor *in[] = {q, k_cache, v_cache, positions, bias};
    if (!pm_op_begin(g, PM_OP_ATTENTION, 5, in, 4))
        return NULL;
    if (q->type != PM_TYPE_F32 || q->n_dims != 3 || q->dim[0] > MAX_HEAD)
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in, "q must be F32 [D, H, T] with D at most 512");
    if (!is_cache(k_cache) || !pm_op_same_shape(k_cache, v_cache) || k_cache->dim[0] != q->dim[0])
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in, "the caches must be F16 or F32 [D, ctx, H_kv], both alike");
    if (q->dim[1] % k_cache->dim[2] != 0)
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in, "H must be a multiple of H_kv");
    if (!pm_op_is_index_of(positions, q) && !is_spans(positions, q))
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in,
                            "the positions must be I32 [T] or [3, T], counted as the rows of q");
    if (bias &&
        (bias->type != PM_TYPE_F32 || bias->n_dims != 2 || bias->dim[0] % 2 == 0 || bias->dim[1] != q->dim[1]))
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in, "the bias must be F32 [2 M + 1, H]");
    if (!isfinite(args.scale) || args.window < 0 || !(args.softcap >= 0) || isinf(args.softcap))
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in,
                            "the scale must be finite, the window and the soft cap not negative");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, 3, q->dim, q->rows, "attention");
    return pm_op_finish(g, PM_OP_ATTENTION, out, 5, in, &args, sizeof args);
}

static double cache_value(const void *data, pm_type type, int64_t at)
{
    return type == PM_TYPE_F16 ? (double)pm_f16_to_f32(((const uint16_t *)data)[at])
                               : (double)((const float *)data)[at];
}

/* One head of one token. */
typedef struct query {
    const pm_op_call *call;
    const float *q, *bias; /* bias: of this head, or NULL */
    int64_t cache;         /* the kv head's first slot in the caches */
    pm_attention_span span;
} query;

static double score(const query *u, int64_t j)
{
    const pm_tensor *k = u->call->node->in[1], *table = u->call->node->in[4];
    const pm_attention_args *args = PM_ARGS(u->call->node, pm_attention_args);
    double sum = 0;
    for (int64_t i = 0; i < k->dim[0]; i++)
        sum += (double)u->q[i] * cache_value(u->call->in[1], k->type, (u->cache + j) * k->dim[0] + i);
    sum *= (double)args->scale;
    if (args->softcap > 0)
        sum = (double)args->softcap * tanh(sum / (double)args->softcap);
    if (u->bias) {
        int64_t m = table->dim[0] / 2, distance = j - u->span.own;
        sum += (double)u->bias[(distance < -m ? -m : distance > m ? m : distance) + m];
    }
    return sum;
}

static void attend(const query *u, float *out)
{
    const pm_tensor *v = u->call->node->in[2];
    int64_t n = v->dim[0];
    double highest = -INFINITY, sum = 0, mixed[MAX_HEAD] = {0};
    for (int64_t j = u->span.first; j <= u->span.last; j++)
        highest = fmax(highest, score(u, j)); /* passes over NaN, which comes back in the second pass */
    for (int64_t j = u->span.first; j <= u->span.last; j++) {
        double weight = exp(score(u, j) - highest);
        sum += weight;
        for (int64_t i = 0; i < n; i++)
            mixed[i] += weight * cache_value(u->call->in[2], v->type, (u->cache + j) * n + i);
    }
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(mixed[i] / sum);
}

void pm_ref_attention(const pm_op_call *call)
{
    const pm_tensor *q = call->node->in[0], *k = call->node->in[1], *table = call->node->in[4];
    int64_t n_heads = q->dim[1], begin, end;
    pm_op_share(call, pm_tensor_rows_now(q, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        int64_t head = row % n_heads;
        const query u = {
            .call = call,
            .q = pm_op_row(call->in[0], q, row),
            .bias = table ? (const float *)call->in[4] + head * table->dim[0] : NULL,
            .cache = head / (n_heads / k->dim[2]) * k->dim[1],
            .span = pm_attention_span_of(call->node, call->in[3], row / n_heads),
        };
        attend(&u, (float *)call->out + row * q->dim[0]);
    }
}
