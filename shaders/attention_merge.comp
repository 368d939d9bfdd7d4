// Joins the parts of a split range of positions (attention.comp): with M the highest of the parts' maxima m,
//     out = sum exp(m - M) acc / sum exp(m - M) total
// One invocation a value of out.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "attention.push.h"

layout(push_constant) uniform push_block { pm_attention_push push; };
layout(set = 1, binding = 0) readonly restrict buffer parts_block { float parts[]; };
layout(set = 1, binding = 1) writeonly restrict buffer out_block { float result[]; };

void main()
{
    uint i = pm_invocation(), n_head = push.n_head, row = i / n_head, d = i % n_head;
    if (row >= PM_ROWS_NOW(push) * push.n_heads)
        return;
    float highest = uintBitsToFloat(0xff800000u), sum = 0.0, total = 0.0;
    uint first = row * push.n_splits * (n_head + 2);
    for (uint s = 0; s < push.n_splits; s++)
        highest = max(highest, parts[first + s * (n_head + 2) + n_head]);
    float zero = floatBitsToUint(highest) == 0xff800000u ? 0.0 : highest; // nothing but -Inf
    for (uint s = 0; s < push.n_splits; s++) {
        uint at = first + s * (n_head + 2);
        float weight = exp(parts[at + n_head] - zero);
        sum += weight * parts[at + d];
        total += weight * parts[at + n_head + 1];
    }
    result[i] = sum / total;
}
