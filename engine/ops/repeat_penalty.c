/* repeat_penalty: makes tokens of the recent history less likely. Contract: ops.h. */
#include "ops/op_checks.h"

#include <string.h>

pm_tensor *pm_repeat_penalty(pm_graph *g, const pm_tensor *logits, const pm_tensor *history)
{
    const pm_tensor *in[] = {logits, history};
    if (!pm_op_begin(g, PM_OP_REPEAT_PENALTY, 2, in, 2))
        return NULL;
    if (logits->type != PM_TYPE_F32 || logits->n_dims != 2)
        return pm_op_reject(g, PM_OP_REPEAT_PENALTY, 2, in, "the logits must be F32 [V, R]");
    if (history->type != PM_TYPE_I32 || history->n_dims != 1 || history->rows != PM_ROWS_FIXED)
        return pm_op_reject(g, PM_OP_REPEAT_PENALTY, 2, in, "the history must be I32 [H]");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, 2, logits->dim, logits->rows, "repeat_penalty");
    return pm_op_finish(g, PM_OP_REPEAT_PENALTY, out, 2, in, NULL, 0);
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
    const int32_t *history = call->in[1];
    int64_t n_history = call->params->n_history, most = call->node->in[1]->dim[0], n = logits->dim[0], begin, end;
    n_history = n_history > most ? most : n_history;
    double penalty = (double)call->params->repeat_penalty;
    pm_op_share(call, pm_tensor_rows_now(logits, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const float *from = pm_op_row(call->in[0], logits, row);
        float *to = (float *)call->out + row * n;
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
