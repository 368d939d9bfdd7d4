/* relu, element by element. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

pm_tensor *pm_relu(pm_graph *g, const pm_tensor *x)
{
    if (!pm_op_begin(g, PM_OP_RELU, 1, &x, 1))
        return NULL;
    if (!pm_op_is_f32_rows(x))
        return pm_op_reject(g, PM_OP_RELU, 1, &x, "x must be F32 [C, ...]");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, x->n_dims, x->dim, x->rows, "relu");
    return pm_op_finish(g, PM_OP_RELU, out, 1, &x, NULL, 0);
}

void pm_ref_relu(const pm_op_call *call)
{
    const pm_tensor *x = call->node->in[0];
    const float *from = call->in[0];
    int64_t begin, end;
    pm_op_share(call, pm_tensor_rows_now(x, call->params) * x->dim[0], &begin, &end);
    for (int64_t i = begin; i < end; i++)
        ((float *)call->out)[i] = from[i] > 0 || isnan(from[i]) ? from[i] : 0.0f;
}
