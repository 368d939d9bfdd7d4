/* repeat_penalty on the cpu backend, row by row. A token that occurs twice is written twice, from the same logit.
 */
#include "backends/cpu/cpu_backend.h"

#include <string.h>

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    int64_t n = step->node->in[0]->dim[0], most = step->node->in[1]->dim[0];
    for (int64_t row = begin; row < end; row++) {
        const float *from = (const float *)step->in[0] + row * n;
        float *to = (float *)step->out + row * n;
        pm_run_params params = pm_row_params(context->params, step->in[2], row);
        const int32_t *history = (const int32_t *)step->in[1] + (step->in[2] ? row * most : 0);
        int64_t n_history = params.n_history < most ? params.n_history : most;
        double penalty = (double)params.repeat_penalty;
        memcpy(to, from, (size_t)n * sizeof *to);
        for (int64_t i = 0; i < n_history; i++) {
            if (history[i] < 0 || history[i] >= n)
                continue;
            double logit = (double)from[history[i]];
            to[history[i]] = (float)(logit > 0 ? logit / penalty : logit * penalty);
        }
    }
}

const pm_cpu_step_kind pm_cpu_step_repeat_penalty = {
    .name = "repeat_penalty", .items = pm_cpu_rows_of_out, .run = run, .grain = pm_cpu_grain_one};
