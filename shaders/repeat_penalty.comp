// out[id, r] = logits[id, r] / penalty where positive, else * penalty, for each id of the history; the other values are
// there already (repeat_penalty_copy.comp). One invocation a token of the history and row; a token that occurred
// earlier in the history is that one's. Every invocation reads the logits, never what another wrote.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "repeat_penalty.push.h"

layout(push_constant) uniform push_block { pm_repeat_penalty_push push; };
layout(set = 1, binding = 0) readonly restrict buffer logits_block { float logits[]; };
layout(set = 1, binding = 1) readonly restrict buffer history_block { int history[]; };
layout(set = 1, binding = 2) readonly restrict buffer settings_block { int settings[]; };
layout(set = 1, binding = 3) restrict buffer out_block { float result[]; };

#include "common/row_sampling.glsl"

void main()
{
    uint number = pm_invocation(), row = number / push.n_history, i = number % push.n_history;
    if (row >= PM_ROWS_NOW(push))
        return;
    pm_row_sampling own = pm_row_settings(row);
    if (i >= uint(max(own.n_history, 0)))
        return;
    uint past = PM_OWN_SETTINGS != 0 ? row * push.n_history : 0;
    int id = history[past + i];
    if (id < 0 || id >= int(push.n_row))
        return;
    for (uint earlier = 0; earlier < i; earlier++)
        if (history[past + earlier] == id)
            return;
    float logit = logits[row * push.n_row + id];
    result[row * push.n_row + id] = logit > 0.0 ? logit / own.repeat_penalty : logit * own.repeat_penalty;
}
