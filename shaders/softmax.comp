// out[c, t] = exp(x[c, t] - max_c x[c, t]) / sum_c exp(x[c, t] - max_c x[c, t])
// One workgroup per row, three passes over it: maximum, sum, result. -DPM_SUBGROUP reduces with subgroup arithmetic.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/reduce.glsl"
#include "softmax.push.h"

layout(push_constant) uniform push_block { pm_softmax_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { float x[]; };
layout(set = 1, binding = 1) writeonly restrict buffer out_block { float result[]; };

PM_REDUCE(pm_sum, float, subgroupAdd, PM_JOIN_ADD)
PM_REDUCE(pm_highest, float, subgroupMax, max)

void main()
{
    uint row = pm_group(), lane = gl_LocalInvocationID.x, at = row * push.n_row;
    if (row >= PM_ROWS_NOW(push))
        return;
    float highest = uintBitsToFloat(0xff800000u), sum = 0.0;
    for (uint i = lane; i < push.n_row; i += gl_WorkGroupSize.x)
        highest = max(highest, x[at + i]);
    highest = pm_highest(highest);
    for (uint i = lane; i < push.n_row; i += gl_WorkGroupSize.x)
        sum += exp(x[at + i] - highest);
    float scale = 1.0 / pm_sum(sum);
    for (uint i = lane; i < push.n_row; i += gl_WorkGroupSize.x)
        result[at + i] = exp(x[at + i] - highest) * scale;
}
