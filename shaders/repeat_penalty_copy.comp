// out = logits, before repeat_penalty.comp makes the few tokens of the history less likely. One invocation a value.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "repeat_penalty.push.h"

layout(push_constant) uniform push_block { pm_repeat_penalty_push push; };
layout(set = 1, binding = 0) readonly restrict buffer logits_block { float logits[]; };
layout(set = 1, binding = 1) writeonly restrict buffer out_block { float result[]; };

void main()
{
    uint i = pm_invocation();
    if (i < PM_ROWS_NOW(push) * push.n_row)
        result[i] = logits[i];
}
