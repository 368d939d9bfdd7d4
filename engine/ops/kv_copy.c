/* kv_copy: slots of a KV cache to other slots. Contract: ops.h. */
#include "ops/op_checks.h"

#include <string.h>

pm_tensor *pm_kv_copy(pm_graph *g, pm_tensor *cache, const pm_tensor *from, const pm_tensor *to)
{
    const pm_tensor *in[] = {from, to};
    if (!pm_op_begin(g, PM_OP_KV_COPY, 2, in, 2))
        return NULL;
    if (!cache || cache->role != PM_ROLE_STATE || cache->view_of || !pm_op_is_cache(cache) ||
        (cache->type == PM_TYPE_F16 && cache->dim[0] % 2))
        return pm_op_reject(g, PM_OP_KV_COPY, 2, in,
                            "the cache must be a state [D, ctx, H], F32, Q8_0, or F16 with an even D");
    if (from->type != PM_TYPE_I32 || from->n_dims != 1 || !pm_op_same_shape(from, to))
        return pm_op_reject(g, PM_OP_KV_COPY, 2, in, "from and to must be I32 [N], both alike");
    return pm_op_finish(g, PM_OP_KV_COPY, cache, 2, in, NULL, 0);
}

void pm_ref_kv_copy(const pm_op_call *call)
{
    const pm_tensor *cache = call->node->out;
    const int32_t *from = call->in[0], *to = call->in[1];
    size_t bytes = pm_type_row_bytes(cache->type, cache->dim[0]);
    int64_t n_ctx = cache->dim[1], n = pm_tensor_rows_now(call->node->in[0], call->params), begin, end;
    pm_op_share(call, cache->dim[2], &begin, &end);
    for (int64_t head = begin; head < end; head++)
        for (int64_t i = 0; i < n; i++) {
            char *rows = (char *)call->out + (size_t)(head * n_ctx) * bytes;
            memmove(rows + (size_t)pm_op_clamp(to[i], n_ctx) * bytes,
                    rows + (size_t)pm_op_clamp(from[i], n_ctx) * bytes, bytes);
        }
}
