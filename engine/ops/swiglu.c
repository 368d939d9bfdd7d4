/* swiglu: silu(gate) * up, element by element. Contract: ops.h. */
#include "ops/op_checks.h"

#include <math.h>

pm_tensor *pm_swiglu(pm_graph *g, const pm_tensor *gate, const pm_tensor *up)
{
    const pm_tensor *in[] = {gate, up};
    if (!pm_op_begin(g, PM_OP_SWIGLU, 2, in, 2))
        return NULL;
    if (!pm_op_is_f32_rows(gate) || !pm_op_same_shape(gate, up))
        return pm_op_reject(g, PM_OP_SWIGLU, 2, in, "gate and up must be F32 [C, ...], both alike");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, gate->n_dims, gate->dim, gate->rows, "swiglu");
    return pm_op_finish(g, PM_OP_SWIGLU, out, 2, in, NULL, 0);
}

void pm_ref_swiglu(const pm_op_call *call)
{
    const pm_tensor *gate = call->node->in[0];
    const float *gates = call->in[0], *ups = call->in[1];
    int64_t begin, end;
    pm_op_share(call, pm_tensor_rows_now(gate, call->params) * gate->dim[0], &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        double silu = (double)gates[i] / (1 + exp(-(double)gates[i]));
        ((float *)call->out)[i] = (float)(silu * (double)ups[i]);
    }
}
