/* softmax over rows. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

pm_tensor *pm_softmax(pm_graph *g, const pm_tensor *x)
{
    if (!pm_op_begin(g, PM_OP_SOFTMAX, 1, &x, 1))
        return NULL;
    if (!pm_op_is_f32_rows(x))
        return pm_op_reject(g, PM_OP_SOFTMAX, 1, &x, "x must be F32 [C, ...]");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, x->n_dims, x->dim, x->rows, "softmax");
    return pm_op_finish(g, PM_OP_SOFTMAX, out, 1, &x, NULL, 0);
}

void pm_ref_softmax(const pm_op_call *call)
{
    const pm_tensor *x = call->node->in[0];
    int64_t n = x->dim[0], begin, end;
    pm_op_share(call, pm_tensor_rows_now(x, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *from = pm_op_row(call->in[0], x, row);
        float *to = (float *)call->out + row * n;
        float top = -INFINITY; /* GCC 12 for AArch64 fails on this loop in double */
        for (int64_t i = 0; i < n; i++)
            top = fmaxf(top, from[i]);
        double highest = (double)top, sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += exp((double)from[i] - highest);
        for (int64_t i = 0; i < n; i++)
            to[i] = (float)(exp((double)from[i] - highest) / sum);
    }
}
