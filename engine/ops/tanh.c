/* tanh, element by element, and the soft cap that is made of it. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

pm_tensor *pm_tanh(pm_graph *g, const pm_tensor *x, float cap)
{
    if (!pm_op_begin(g, PM_OP_TANH, 1, &x, 1))
        return NULL;
    if (!pm_op_is_f32_rows(x))
        return pm_op_reject(g, PM_OP_TANH, 1, &x, "x must be F32 [C, ...]");
    if (!(cap > 0) || isinf(cap))
        return pm_op_reject(g, PM_OP_TANH, 1, &x, "the cap must be a positive number");
    const pm_tanh_args args = {.cap = cap};
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, x->n_dims, x->dim, x->rows, "tanh");
    return pm_op_finish(g, PM_OP_TANH, out, 1, &x, &args, sizeof args);
}

void pm_ref_tanh(const pm_op_call *call)
{
    const pm_tensor *x = call->node->in[0];
    const float *from = call->in[0];
    double cap = (double)PM_ARGS(call->node, pm_tanh_args)->cap;
    int64_t begin, end;
    pm_op_share(call, pm_tensor_rows_now(x, call->params) * x->dim[0], &begin, &end);
    for (int64_t i = begin; i < end; i++)
        ((float *)call->out)[i] = (float)(cap * tanh((double)from[i] / cap));
}
