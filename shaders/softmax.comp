// out[c, t] = exp(x[c, t] - max_c x[c, t]) / sum_c exp(x[c, t] - max_c x[c, t])
// One workgroup per row, three passes over it: maximum, sum, result. A NaN or +Inf in a row, or nothing but -Inf, makes all
// of it NaN, which is found from bits: exp of a NaN is not one everywhere. -DPM_SUBGROUP: see common/reduce.glsl.
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
PM_REDUCE(pm_widest, uint, subgroupMax, max)

void main()
{
    uint row = pm_group(), lane = gl_LocalInvocationID.x, at = row * push.n_row;
    if (row >= PM_ROWS_NOW(push))
        return;
    float highest = uintBitsToFloat(0xff800000u), sum = 0.0;
    uint widest = 0; // bits of the largest magnitude: above those of Inf for NaN
    for (uint i = lane; i < push.n_row; i += gl_WorkGroupSize.x) {
        float v = x[at + i];
        highest = max(highest, v);
        widest = max(widest, floatBitsToUint(v) & 0x7fffffffu);
    }
    highest = pm_highest(highest);
    widest = max(pm_widest(widest), floatBitsToUint(highest) == 0xff800000u ? 0x7fc00000u : 0u);
    bool bad = widest > 0x7f800000u || floatBitsToUint(highest) == 0x7f800000u;
    for (uint i = lane; i < push.n_row; i += gl_WorkGroupSize.x)
        sum += exp(x[at + i] - highest);
    sum = pm_sum(sum);
    float scale = bad ? uintBitsToFloat(0x7fc00000u) : 1.0 / sum;
    for (uint i = lane; i < push.n_row; i += gl_WorkGroupSize.x)
        result[at + i] = exp(x[at + i] - highest) * scale;
}
