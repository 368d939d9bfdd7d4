/* scale: every element times a constant. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

pm_tensor *pm_scale(pm_graph *g, const pm_tensor *x, float factor)
{
    if (!pm_op_begin(g, PM_OP_SCALE, 1, &x, 1))
        return NULL;
    if (!pm_op_is_f32_rows(x))
        return pm_op_reject(g, PM_OP_SCALE, 1, &x, "x must be F32 [C, ...]");
    if (!isfinite(factor))
        return pm_op_reject(g, PM_OP_SCALE, 1, &x, "the factor must be finite");
    const pm_scale_args args = {.factor = factor};
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, x->n_dims, x->dim, x->rows, "scale");
    return pm_op_finish(g, PM_OP_SCALE, out, 1, &x, &args, sizeof args);
}

void pm_ref_scale(const pm_op_call *call)
{
    const pm_tensor *x = call->node->in[0];
    const float *from = call->in[0];
    float factor = PM_ARGS(call->node, pm_scale_args)->factor;
    int64_t begin, end;
    pm_op_share(call, pm_tensor_rows_now(x, call->params) * x->dim[0], &begin, &end);
    for (int64_t i = begin; i < end; i++)
        ((float *)call->out)[i] = from[i] * factor;
}
