/* repeat_penalty: makes tokens of the recent history less likely. Contract: ops.h. */
#include "ops/op_checks.h"

#include <string.h>

pm_tensor *pm_repeat_penalty(pm_graph *g, const pm_tensor *logits, const pm_tensor *history,
                             const pm_tensor *settings)
{
    const pm_tensor *in[] = {logits, history, settings};
    if (!pm_op_begin(g, PM_OP_REPEAT_PENALTY, 3, in, 2))
        return NULL;
    if (logits->type != PM_TYPE_F32 || logits->n_dims != 2)
        return pm_op_reject(g, PM_OP_REPEAT_PENALTY, 3, in, "the logits must be F32 [V, R]");
    if (!pm_op_is_settings_of(settings, logits))
        return pm_op_reject(g, PM_OP_REPEAT_PENALTY, 3, in,
                            "the settings must be I32 [9, R], counted as the logits");
    bool shared = history->n_dims == 1 && history->rows == PM_ROWS_FIXED;
    bool own = history->n_dims == 2 && history->rows == logits->rows && history->dim[1] == logits->dim[1];
    if (history->type != PM_TYPE_I32 || !(settings ? own : shared))
        return pm_op_reject(g, PM_OP_REPEAT_PENALTY, 3, in,
                            "the history must be I32 [H], or with settings [H, R]");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, 2, logits->dim, logits->rows, "repeat_penalty");
    return pm_op_finish(g, PM_OP_REPEAT_PENALTY, out, 3, in, NULL, 0);
}

static bool seen_before(const int32_t *history, int64_t index)
{
    for (int64_t i = 0; i < index; i++)
        if (history[i] == history[index])
            return true;
    return false;
}

void pm_ref_repeat_penalty(const pm_op_call *call)
{
    const pm_tensor *logits = call->node->in[0];
    int64_t most = call->node->in[1]->dim[0], n = logits->dim[0], begin, end;
    pm_op_share(call, pm_tensor_rows_now(logits, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *from = pm_op_row(call->in[0], logits, row);
        float *to = (float *)call->out + row * n;
        pm_run_params params = pm_row_params(call->params, call->in[2], row);
        const int32_t *history = (const int32_t *)call->in[1] + (call->in[2] ? row * most : 0);
        int64_t n_history = params.n_history > most ? most : params.n_history;
        double penalty = (double)params.repeat_penalty;
        memcpy(to, from, (size_t)n * sizeof *to);
        for (int64_t i = 0; i < n_history; i++) {
            int32_t id = history[i];
            if (id < 0 || id >= n || seen_before(history, i))
                continue;
            double logit = (double)from[id];
            to[id] = (float)(logit > 0 ? logit / penalty : logit * penalty);
        }
    }
}
