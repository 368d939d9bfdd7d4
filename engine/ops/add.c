/* add: the sum of two tensors, or of a tensor and a row. Contract: ops.h. */
#include "ops/op_checks.h"

pm_tensor *pm_add(pm_graph *g, const pm_tensor *a, const pm_tensor *b)
{
    const pm_tensor *in[] = {a, b};
    if (!pm_op_begin(g, PM_OP_ADD, 2, in, 2))
        return NULL;
    if (!pm_op_is_f32_rows(a))
        return pm_op_reject(g, PM_OP_ADD, 2, in, "a must be F32 [C, ...]");
    bool one_row = b->type == PM_TYPE_F32 && b->n_dims == 1 && b->dim[0] == a->dim[0] && b->rows == PM_ROWS_FIXED;
    if (!one_row && !pm_op_same_shape(a, b))
        return pm_op_reject(g, PM_OP_ADD, 2, in, "b must be like a, or F32 [C]");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, a->n_dims, a->dim, a->rows, "add");
    return pm_op_finish(g, PM_OP_ADD, out, 2, in, NULL, 0);
}

void pm_ref_add(const pm_op_call *call)
{
    const pm_tensor *a = call->node->in[0], *b = call->node->in[1];
    bool repeat = pm_tensor_elems(a) != pm_tensor_elems(b);
    int64_t n = a->dim[0], begin, end;
    pm_op_share(call, pm_tensor_rows_now(a, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *x = pm_op_row(call->in[0], a, row), *y = pm_op_row(call->in[1], a, repeat ? 0 : row);
        for (int64_t i = 0; i < n; i++)
            ((float *)call->out)[row * n + i] = x[i] + y[i];
    }
}
