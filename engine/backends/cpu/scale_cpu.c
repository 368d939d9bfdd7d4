/* scale on the cpu backend, row by row. */
#include "backends/cpu/cpu_backend.h"

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    int64_t n = step->node->out->dim[0];
    float factor = PM_ARGS(step->node, pm_scale_args)->factor;
    for (int64_t row = begin; row < end; row++)
        context->kernels->scale((const float *)step->in[0] + row * n, n, factor, (float *)step->out + row * n);
}

const pm_cpu_step_kind pm_cpu_step_scale = {.name = "scale", .items = pm_cpu_rows_of_out, .run = run};
