/* embedding: rows of a table by number. Contract: ops.h. */
#include "ops/op_checks.h"

#include "formats/block_types.h"

pm_tensor *pm_embedding(pm_graph *g, const pm_tensor *table, const pm_tensor *ids)
{
    const pm_tensor *in[] = {table, ids};
    if (!pm_op_begin(g, PM_OP_EMBEDDING, 2, in, 2))
        return NULL;
    if (table->n_dims != 2 || table->type == PM_TYPE_I32)
        return pm_op_reject(g, PM_OP_EMBEDDING, 2, in, "the table must be [C, V] of a float or quantised type");
    if (ids->type != PM_TYPE_I32 || ids->n_dims != 1)
        return pm_op_reject(g, PM_OP_EMBEDDING, 2, in, "the row numbers must be I32 [T]");
    const int64_t dims[2] = {table->dim[0], ids->dim[0]};
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, 2, dims, ids->rows, "embedding");
    return pm_op_finish(g, PM_OP_EMBEDDING, out, 2, in, NULL, 0);
}

void pm_ref_embedding(const pm_op_call *call)
{
    const pm_tensor *table = call->node->in[0], *out = call->node->out;
    const int32_t *ids = call->in[1];
    size_t row_bytes = pm_type_row_bytes(table->type, table->dim[0]);
    int64_t begin, end;
    pm_op_share(call, pm_tensor_rows_now(out, call->params), &begin, &end);
    for (int64_t t = begin; t < end; t++) {
        int64_t id = pm_op_clamp(ids[t], table->dim[1]);
        pm_dequantize_row(table->type, (const char *)call->in[0] + (size_t)id * row_bytes,
                          (float *)call->out + t * out->dim[0], out->dim[0]);
    }
}
