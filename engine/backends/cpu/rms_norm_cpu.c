/* rms_norm on the cpu backend, row by row; where only products with quantised weights read the result, straight to
 * 8 bits through a row of scratch. */
#include "backends/cpu/cpu_backend.h"

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    int64_t n = step->node->out->dim[0];
    float eps = PM_ARGS(step->node, pm_rms_norm_args)->eps;
    for (int64_t row = begin; row < end; row++) {
        float *to = step->out ? (float *)step->out + row * n : context->scratch;
        context->kernels->rms_norm((const float *)step->in[0] + row * n, step->in[1], n, eps, to);
        if (step->made_acts.blocks)
            pm_cpu_quantize_part(step, context, to, row, 0, n);
    }
}

static size_t scratch(const pm_cpu_step *step)
{
    return step->made < 0 ? 0 : (size_t)step->node->out->dim[0];
}

const pm_cpu_step_kind pm_cpu_step_rms_norm = {
    .name = "rms_norm", .items = pm_cpu_rows_of_out, .run = run, .scratch = scratch};
