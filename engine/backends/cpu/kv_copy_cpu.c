/* kv_copy on the cpu backend: the reference kernel's copies, a head a thread. */
#include "backends/cpu/cpu_backend.h"

static int64_t heads(const pm_cpu_step *step, const pm_cpu_context *context)
{
    (void)context;
    return step->node->out->dim[2];
}

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    int64_t n_heads = step->node->out->dim[2];
    for (int64_t head = begin; head < end; head++) {
        const pm_op_call call = {.node = step->node,
                                 .params = context->params,
                                 .in = {step->in[0], step->in[1]},
                                 .out = step->out,
                                 .part = (int)head,
                                 .n_parts = (int)n_heads};
        pm_ref_kv_copy(&call);
    }
}

const pm_cpu_step_kind pm_cpu_step_kv_copy = {
    .name = "kv_copy", .items = heads, .run = run, .grain = pm_cpu_grain_one};
