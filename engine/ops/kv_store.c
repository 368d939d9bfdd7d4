/* kv_store: writes this run's keys or values into their cache. Contract: ops.h. */
#include "ops/op_checks.h"

#include "formats/block_types.h"

pm_tensor *pm_kv_store(pm_graph *g, pm_tensor *cache, const pm_tensor *rows, const pm_tensor *positions)
{
    const pm_tensor *in[] = {rows, positions};
    if (!pm_op_begin(g, PM_OP_KV_STORE, 2, in, 2))
        return NULL;
    if (!cache || cache->role != PM_ROLE_STATE || cache->view_of || !pm_op_is_cache(cache))
        return pm_op_reject(g, PM_OP_KV_STORE, 2, in, "the cache must be a state, F16, F32 or Q8_0 [D, ctx, H]");
    if (rows->type != PM_TYPE_F32 || rows->n_dims != 3 || rows->dim[0] != cache->dim[0] ||
        rows->dim[1] != cache->dim[2])
        return pm_op_reject(g, PM_OP_KV_STORE, 2, in, "the rows must be F32 [D, H, T] with D and H of the cache");
    if (!pm_op_is_index_of(positions, rows))
        return pm_op_reject(g, PM_OP_KV_STORE, 2, in, "the positions must be I32 [T], counted as the rows");
    return pm_op_finish(g, PM_OP_KV_STORE, cache, 2, in, NULL, 0);
}

/* Parts share the heads, so that of two rows for one position the later always wins. */
void pm_ref_kv_store(const pm_op_call *call)
{
    const pm_tensor *rows = call->node->in[0], *cache = call->node->out;
    const int32_t *positions = call->in[1];
    int64_t n = rows->dim[0], n_heads = rows->dim[1], begin, end;
    size_t row_bytes = pm_type_row_bytes(cache->type, n);
    int64_t n_tokens = pm_tensor_rows_now(rows, call->params) / n_heads;
    pm_op_share(call, n_heads, &begin, &end);
    for (int64_t head = begin; head < end; head++) {
        for (int64_t t = 0; t < n_tokens; t++) {
            const float *from = pm_op_row(call->in[0], rows, t * n_heads + head);
            int64_t slot = head * cache->dim[1] + pm_op_clamp(positions[t], cache->dim[1]);
            pm_quantize_row(cache->type, from, (char *)call->out + (size_t)slot * row_bytes, n);
        }
    }
}
