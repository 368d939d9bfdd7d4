// out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]. One invocation four values, or, where C is no multiple of four, one.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/elementwise.push.h"

layout(constant_id = 1) const uint PM_ALIGNED = 1; // C is a multiple of 4

layout(push_constant) uniform push_block { pm_elementwise_push push; };
layout(set = 1, binding = 0) readonly restrict buffer gate_block { vec4 gate[]; };
layout(set = 1, binding = 1) readonly restrict buffer up_block { vec4 up[]; };
layout(set = 1, binding = 2) writeonly restrict buffer out_block { vec4 result[]; };

void main()
{
    uint n = PM_ROWS_NOW(push) * push.n_row, i = pm_invocation();
    if (PM_ALIGNED != 0) {
        if (4 * i < n)
            result[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i];
    } else if (i < n) {
        PM_AT(result, i) = PM_AT(gate, i) / (1.0 + exp(-PM_AT(gate, i))) * PM_AT(up, i);
    }
}
