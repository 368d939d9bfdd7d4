/* mul: the product of two tensors, element by element. Contract: ops.h. */
#include "ops/op_checks.h"

pm_tensor *pm_mul(pm_graph *g, const pm_tensor *a, const pm_tensor *b)
{
    const pm_tensor *in[] = {a, b};
    if (!pm_op_begin(g, PM_OP_MUL, 2, in, 2))
        return NULL;
    if (!pm_op_is_f32_rows(a))
        return pm_op_reject(g, PM_OP_MUL, 2, in, "a must be F32 [C, ...]");
    if (!pm_op_same_shape(a, b))
        return pm_op_reject(g, PM_OP_MUL, 2, in, "b must be like a");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, a->n_dims, a->dim, a->rows, "mul");
    return pm_op_finish(g, PM_OP_MUL, out, 2, in, NULL, 0);
}

void pm_ref_mul(const pm_op_call *call)
{
    const pm_tensor *a = call->node->in[0];
    const float *x = call->in[0], *y = call->in[1];
    int64_t begin, end;
    pm_op_share(call, pm_tensor_rows_now(a, call->params) * a->dim[0], &begin, &end);
    for (int64_t i = begin; i < end; i++)
        ((float *)call->out)[i] = x[i] * y[i];
}
