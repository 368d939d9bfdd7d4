/* add on the cpu backend, row by row. */
#include "backends/cpu/cpu_backend.h"

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    const pm_tensor *a = step->node->in[0], *b = step->node->in[1];
    bool repeat = pm_tensor_elems(a) != pm_tensor_elems(b);
    int64_t n = a->dim[0];
    for (int64_t row = begin; row < end; row++)
        context->kernels->add((const float *)step->in[0] + row * n,
                              (const float *)step->in[1] + (repeat ? 0 : row * n), n,
                              (float *)step->out + row * n);
}

const pm_cpu_step_kind pm_cpu_step_add = {.name = "add", .items = pm_cpu_rows_of_out, .run = run};
