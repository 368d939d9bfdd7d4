/* gelu, element by element, in its exact form and by tanh. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

pm_tensor *pm_gelu(pm_graph *g, const pm_tensor *x, pm_gelu_form form)
{
    if (!pm_op_begin(g, PM_OP_GELU, 1, &x, 1))
        return NULL;
    if (!pm_op_is_f32_rows(x))
        return pm_op_reject(g, PM_OP_GELU, 1, &x, "x must be F32 [C, ...]");
    if (form != PM_GELU_ERF && form != PM_GELU_TANH)
        return pm_op_reject(g, PM_OP_GELU, 1, &x, "the form must be PM_GELU_ERF or PM_GELU_TANH");
    const pm_gelu_args args = {.form = form};
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, x->n_dims, x->dim, x->rows, "gelu");
    return pm_op_finish(g, PM_OP_GELU, out, 1, &x, &args, sizeof args);
}

/* The limits of both forms: 0 at -Inf, where they are 0 times -Inf. */
static double gelu_erf(double x)
{
    return x == -INFINITY ? 0 : 0.5 * x * erfc(-x * sqrt(0.5));
}

static double gelu_tanh(double x)
{
    const double root = 0.79788456080286535588; /* sqrt(2 / pi) */
    return x == -INFINITY ? 0 : 0.5 * x * (1 + tanh(root * (x + 0.044715 * x * x * x)));
}

void pm_ref_gelu(const pm_op_call *call)
{
    const pm_tensor *x = call->node->in[0];
    const float *from = call->in[0];
    pm_gelu_form form = PM_ARGS(call->node, pm_gelu_args)->form;
    int64_t begin, end;
    pm_op_share(call, pm_tensor_rows_now(x, call->params) * x->dim[0], &begin, &end);
    for (int64_t i = begin; i < end; i++)
        ((float *)call->out)[i] =
            (float)(form == PM_GELU_ERF ? gelu_erf((double)from[i]) : gelu_tanh((double)from[i]));
}
