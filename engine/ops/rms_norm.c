/* rms_norm: rows scaled to a root mean square of one. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

pm_tensor *pm_rms_norm(pm_graph *g, const pm_tensor *x, const pm_tensor *weight, float eps)
{
    const pm_tensor *in[] = {x, weight};
    if (!pm_op_begin(g, PM_OP_RMS_NORM, 2, in, 1))
        return NULL;
    if (!pm_op_is_f32_rows(x))
        return pm_op_reject(g, PM_OP_RMS_NORM, 2, in, "x must be F32 [C, ...]");
    if (weight && (weight->type != PM_TYPE_F32 || weight->n_dims != 1 || weight->dim[0] != x->dim[0]))
        return pm_op_reject(g, PM_OP_RMS_NORM, 2, in, "the weight must be F32 [C]");
    if (!(eps >= 0) || isinf(eps))
        return pm_op_reject(g, PM_OP_RMS_NORM, 2, in, "eps must be a number that is not negative");
    const pm_rms_norm_args args = {.eps = eps};
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, x->n_dims, x->dim, x->rows, "rms_norm");
    return pm_op_finish(g, PM_OP_RMS_NORM, out, 2, in, &args, sizeof args);
}

void pm_ref_rms_norm(const pm_op_call *call)
{
    const pm_tensor *x = call->node->in[0];
    const float *weight = call->in[1];
    double eps = (double)PM_ARGS(call->node, pm_rms_norm_args)->eps;
    int64_t n = x->dim[0], begin, end;
    pm_op_share(call, pm_tensor_rows_now(x, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *from = pm_op_row(call->in[0], x, row);
        float *to = (float *)call->out + row * n;
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += (double)from[i] * (double)from[i];
        double scale = 1.0 / sqrt(sum / (double)n + eps);
        for (int64_t i = 0; i < n; i++)
            to[i] = (float)((double)from[i] * scale * (weight ? (double)weight[i] : 1.0));
    }
}
