/* argmax over rows. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

pm_tensor *pm_argmax(pm_graph *g, const pm_tensor *x)
{
    if (!pm_op_begin(g, PM_OP_ARGMAX, 1, &x, 1))
        return NULL;
    if (x->type != PM_TYPE_F32 || x->n_dims != 2 || x->dim[0] > INT32_MAX)
        return pm_op_reject(g, PM_OP_ARGMAX, 1, &x, "x must be F32 [V, R]");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_I32, 1, &x->dim[1], x->rows, "argmax");
    return pm_op_finish(g, PM_OP_ARGMAX, out, 1, &x, NULL, 0);
}

void pm_ref_argmax(const pm_op_call *call)
{
    const pm_tensor *x = call->node->in[0];
    int64_t begin, end;
    pm_op_share(call, pm_tensor_rows_now(x, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *values = pm_op_row(call->in[0], x, row);
        int64_t best = -1;
        for (int64_t i = 0; i < x->dim[0]; i++)
            if (!isnan(values[i]) && (best < 0 || values[i] > values[best]))
                best = i;
        ((int32_t *)call->out)[row] = best < 0 ? 0 : (int32_t)best;
    }
}
