/* attention over a KV cache: causal, with a sliding window, over spans, or over pages; grouped-query. Contract:
 * ops.h. */
#include "ops/op_checks.h"

#include <math.h>

#include "formats/block_types.h"

enum { MAX_HEAD = 512 };
enum { Q, K_CACHE, V_CACHE, POSITIONS, BIAS, PAGES };

static bool is_spans(const pm_tensor *positions, const pm_tensor *q)
{
    return positions->type == PM_TYPE_I32 && positions->n_dims == 2 && positions->dim[0] == 3 &&
           positions->rows == q->rows && positions->dim[1] == q->dim[2];
}

pm_attention_span pm_attention_span_of(const pm_node *node, const int32_t *positions, int64_t t)
{
    const pm_attention_args *args = PM_ARGS(node, pm_attention_args);
    const pm_tensor *pages = node->in[PAGES];
    int64_t n_ctx = node->in[K_CACHE]->dim[1], window = args->window;
    if (node->in[POSITIONS]->n_dims == 2 && !pages) {
        int64_t last = pm_op_clamp(positions[3 * t + 2], n_ctx), first = pm_op_clamp(positions[3 * t + 1], n_ctx);
        return (pm_attention_span){pm_op_clamp(positions[3 * t], n_ctx), first < last ? first : last, last, 0};
    }
    int64_t p =
        pages ? pm_op_clamp(positions[2 * t], pages->dim[0] * args->page) : pm_op_clamp(positions[t], n_ctx);
    return (pm_attention_span){.own = p,
                               .first = window > 0 && p >= window ? p - window + 1 : 0,
                               .last = p,
                               .sequence = pages ? pm_op_clamp(positions[2 * t + 1], pages->dim[1]) : 0};
}

int64_t pm_attention_slot(const pm_node *node, const int32_t *pages, int64_t sequence, int64_t j)
{
    int64_t page = PM_ARGS(node, pm_attention_args)->page;
    if (!node->in[PAGES])
        return j;
    int64_t at = pages[sequence * node->in[PAGES]->dim[0] + j / page];
    return pm_op_clamp(at, node->in[K_CACHE]->dim[1] / page) * page + j % page;
}

/* What is wrong with q, the caches and the numbers; NULL: nothing. */
static const char *mistake(const pm_tensor *q, const pm_tensor *k_cache, const pm_tensor *v_cache,
                           pm_attention_args args)
{
    if (q->type != PM_TYPE_F32 || q->n_dims != 3 || q->dim[0] > MAX_HEAD)
        return "q must be F32 [D, H, T] with D at most 512";
    if (!pm_op_is_cache(k_cache) || !pm_op_same_shape(k_cache, v_cache) || k_cache->dim[0] != q->dim[0])
        return "the caches must be F16, F32 or Q8_0 [D, ctx, H_kv], both alike";
    if (q->dim[1] % k_cache->dim[2] != 0)
        return "H must be a multiple of H_kv";
    if (!isfinite(args.scale) || args.window < 0 || !(args.softcap >= 0) || isinf(args.softcap))
        return "the scale must be finite, the window and the soft cap not negative";
    return NULL;
}

pm_tensor *pm_attention(pm_graph *g, const pm_tensor *q, const pm_tensor *k_cache, const pm_tensor *v_cache,
                        const pm_tensor *positions, const pm_tensor *bias, pm_attention_args args)
{
    const pm_tensor *in[] = {q, k_cache, v_cache, positions, bias};
    if (!pm_op_begin(g, PM_OP_ATTENTION, 5, in, 4))
        return NULL;
    const char *why = mistake(q, k_cache, v_cache, args);
    if (why)
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in, why);
    if (!pm_op_is_index_of(positions, q) && !is_spans(positions, q))
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in,
                            "the positions must be I32 [T] or [3, T], counted as the rows of q");
    if (bias &&
        (bias->type != PM_TYPE_F32 || bias->n_dims != 2 || bias->dim[0] % 2 == 0 || bias->dim[1] != q->dim[1]))
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in, "the bias must be F32 [2 M + 1, H]");
    args.page = 0;
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, 3, q->dim, q->rows, "attention");
    return pm_op_finish(g, PM_OP_ATTENTION, out, 5, in, &args, sizeof args);
}

pm_tensor *pm_attention_paged(pm_graph *g, const pm_tensor *q, const pm_tensor *k_cache, const pm_tensor *v_cache,
                              const pm_tensor *places, const pm_tensor *pages, pm_attention_args args)
{
    const pm_tensor *in[] = {q, k_cache, v_cache, places, pages};
    if (!pm_op_begin(g, PM_OP_ATTENTION, 5, in, 5))
        return NULL;
    const char *why = mistake(q, k_cache, v_cache, args);
    if (why)
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in, why);
    if (places->type != PM_TYPE_I32 || places->n_dims != 2 || places->dim[0] != 2 || places->rows != q->rows ||
        places->dim[1] != q->dim[2])
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in, "the places must be I32 [2, T], counted as the rows of q");
    if (pages->type != PM_TYPE_I32 || pages->n_dims != 2 || pages->rows != PM_ROWS_FIXED)
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in, "the pages must be I32 [N, S]");
    if (args.page < 1 || k_cache->dim[1] % args.page != 0 || pages->dim[0] > INT32_MAX / args.page)
        return pm_op_reject(g, PM_OP_ATTENTION, 5, in,
                            "a page must have at least one slot, the caches whole pages");
    const pm_tensor *node_in[] = {q, k_cache, v_cache, places, NULL, pages};
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, 3, q->dim, q->rows, "attention");
    return pm_op_finish(g, PM_OP_ATTENTION, out, 6, node_in, &args, sizeof args);
}

/* One head of one token. */
typedef struct query {
    const pm_op_call *call;
    const float *q, *bias; /* bias: of this head, or NULL */
    int64_t cache;         /* the kv head's first slot in the caches */
    pm_attention_span span;
} query;

/* Position j of what the query sees in a cache, as floats. */
static void read_cache(const query *u, int which, int64_t j, float row[MAX_HEAD])
{
    const pm_tensor *cache = u->call->node->in[which];
    int64_t slot = u->cache + pm_attention_slot(u->call->node, u->call->in[PAGES], u->span.sequence, j);
    const char *from = (const char *)u->call->in[which] + (size_t)slot * pm_type_row_bytes(cache->type, cache->dim[0]);
    pm_dequantize_row(cache->type, from, row, cache->dim[0]);
}

static double score(const query *u, int64_t j)
{
    const pm_tensor *k = u->call->node->in[K_CACHE], *table = u->call->node->in[BIAS];
    const pm_attention_args *args = PM_ARGS(u->call->node, pm_attention_args);
    float key[MAX_HEAD];
    double sum = 0;
    read_cache(u, K_CACHE, j, key);
    for (int64_t i = 0; i < k->dim[0]; i++)
        sum += (double)u->q[i] * (double)key[i];
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
    int64_t n = u->call->node->in[V_CACHE]->dim[0];
    float value[MAX_HEAD];
    double highest = -INFINITY, sum = 0, mixed[MAX_HEAD] = {0};
    for (int64_t j = u->span.first; j <= u->span.last; j++)
        highest = fmax(highest, score(u, j)); /* passes over NaN, which comes back in the second pass */
    for (int64_t j = u->span.first; j <= u->span.last; j++) {
        double weight = exp(score(u, j) - highest);
        sum += weight;
        read_cache(u, V_CACHE, j, value);
        for (int64_t i = 0; i < n; i++)
            mixed[i] += weight * (double)value[i];
    }
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(mixed[i] / sum);
}

void pm_ref_attention(const pm_op_call *call)
{
    const pm_tensor *q = call->node->in[Q], *k = call->node->in[K_CACHE], *table = call->node->in[BIAS];
    int64_t n_heads = q->dim[1], begin, end;
    pm_op_share(call, pm_tensor_rows_now(q, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        int64_t head = row % n_heads;
        const query u = {
            .call = call,
            .q = pm_op_row(call->in[Q], q, row),
            .bias = table ? (const float *)call->in[BIAS] + head * table->dim[0] : NULL,
            .cache = head / (n_heads / k->dim[2]) * k->dim[1],
            .span = pm_attention_span_of(call->node, call->in[POSITIONS], row / n_heads),
        };
        attend(&u, (float *)call->out + row * q->dim[0]);
    }
}
