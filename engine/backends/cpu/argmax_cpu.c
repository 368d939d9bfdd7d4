/* argmax on the cpu backend: the largest value with vectors, then the first place where it stands. */
#include "backends/cpu/cpu_backend.h"

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    int64_t n = step->node->in[0]->dim[0];
    for (int64_t row = begin; row < end; row++) {
        const float *x = (const float *)step->in[0] + row * n;
        float highest = context->kernels->highest(x, n);
        int64_t i = 0;
        while (i < n && x[i] != highest)
            i++;
        ((int32_t *)step->out)[row] = i < n ? (int32_t)i : 0; /* nowhere: all are NaN */
    }
}

const pm_cpu_step_kind pm_cpu_step_argmax = {
    .name = "argmax", .items = pm_cpu_rows_of_in, .run = run, .grain = pm_cpu_grain_one};
