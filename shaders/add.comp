// out[i] = a[i] + b[i], or b[i mod C] where b is one row [C]. One invocation four values, or, where C is no multiple of
// four, one.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/elementwise.push.h"

layout(constant_id = 1) const uint PM_ALIGNED = 1; // C is a multiple of 4

layout(push_constant) uniform push_block { pm_elementwise_push push; };
layout(set = 1, binding = 0) readonly restrict buffer a_block { vec4 a[]; };
layout(set = 1, binding = 1) readonly restrict buffer b_block { vec4 b[]; };
layout(set = 1, binding = 2) writeonly restrict buffer out_block { vec4 result[]; };

void main()
{
    uint n = PM_ROWS_NOW(push) * push.n_row, i = pm_invocation();
    if (PM_ALIGNED != 0) {
        if (4 * i < n)
            result[i] = a[i] + b[push.repeat_b == 1 ? i % (push.n_row / 4) : i];
    } else if (i < n) {
        PM_AT(result, i) = PM_AT(a, i) + PM_AT(b, push.repeat_b == 1 ? i % push.n_row : i);
    }
}
