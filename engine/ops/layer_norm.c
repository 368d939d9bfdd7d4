/* layer_norm: rows shifted to a mean of zero and scaled to a variance of one. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

static bool is_vector_of(const pm_tensor *t, const pm_tensor *x)
{
    return !t || (t->type == PM_TYPE_F32 && t->n_dims == 1 && t->dim[0] == x->dim[0]);
}

pm_tensor *pm_layer_norm(pm_graph *g, const pm_tensor *x, const pm_tensor *weight, const pm_tensor *bias,
                         float eps)
{
    const pm_tensor *in[] = {x, weight, bias};
    if (!pm_op_begin(g, PM_OP_LAYER_NORM, 3, in, 1))
        return NULL;
    if (!pm_op_is_f32_rows(x))
        return pm_op_reject(g, PM_OP_LAYER_NORM, 3, in, "x must be F32 [C, ...]");
    if (!is_vector_of(weight, x) || !is_vector_of(bias, x))
        return pm_op_reject(g, PM_OP_LAYER_NORM, 3, in, "the weight and the bias must be F32 [C]");
    if (!(eps >= 0) || isinf(eps))
        return pm_op_reject(g, PM_OP_LAYER_NORM, 3, in, "eps must be a number that is not negative");
    const pm_layer_norm_args args = {.eps = eps};
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, x->n_dims, x->dim, x->rows, "layer_norm");
    return pm_op_finish(g, PM_OP_LAYER_NORM, out, 3, in, &args, sizeof args);
}

void pm_ref_layer_norm(const pm_op_call *call)
{
    const pm_tensor *x = call->node->in[0];
    const float *weight = call->in[1], *bias = call->in[2];
    double eps = (double)PM_ARGS(call->node, pm_layer_norm_args)->eps;
    int64_t n = x->dim[0], begin, end;
    pm_op_share(call, pm_tensor_rows_now(x, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *from = pm_op_row(call->in[0], x, row);
        float *to = (float *)call->out + row * n;
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < n; i++)
            mean += (double)from[i];
        mean /= (double)n;
        for (int64_t i = 0; i < n; i++)
            variance += ((double)from[i] - mean) * ((double)from[i] - mean);
        double scale = 1.0 / sqrt(variance / (double)n + eps);
        for (int64_t i = 0; i < n; i++)
            to[i] = (float)(((double)from[i] - mean) * scale * (weight ? (double)weight[i] : 1.0) +
                            (bias ? (double)bias[i] : 0.0));
    }
}
