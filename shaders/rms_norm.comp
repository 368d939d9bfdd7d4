// out[c, t] = x[c, t] / sqrt(mean_c x[c, t]^2 + eps) * weight[c]
// One workgroup per row: its invocations share the row, the sum of squares is reduced (common/reduce.glsl), and the row,
// which by then is in the cache, is read once more. -DPM_SUBGROUP reduces with subgroup arithmetic.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/reduce.glsl"
#include "rms_norm.push.h"

layout(constant_id = 2) const uint PM_ALIGNED = 1; // C is a multiple of 4
layout(constant_id = 3) const uint PM_HAS_WEIGHT = 1;

layout(push_constant) uniform push_block { pm_rms_norm_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { vec4 x[]; };
layout(set = 1, binding = 1) readonly restrict buffer weight_block { vec4 weight[]; };
layout(set = 1, binding = 2) writeonly restrict buffer out_block { vec4 result[]; };

PM_REDUCE(pm_sum, float, subgroupAdd, PM_JOIN_ADD)

void main()
{
    uint row = pm_group(), lane = gl_LocalInvocationID.x, at = row * push.n_row;
    if (row >= PM_ROWS_NOW(push))
        return;
    float sum = 0.0;
    if (PM_ALIGNED != 0) {
        for (uint i = lane; i < push.n_row / 4; i += gl_WorkGroupSize.x) {
            vec4 v = x[at / 4 + i];
            sum += dot(v, v);
        }
    } else {
        for (uint i = lane; i < push.n_row; i += gl_WorkGroupSize.x) {
            float v = PM_AT(x, at + i);
            sum += v * v;
        }
    }
    float scale = 1.0 / sqrt(pm_sum(sum) / float(push.n_row) + push.eps);
    if (PM_ALIGNED != 0) {
        for (uint i = lane; i < push.n_row / 4; i += gl_WorkGroupSize.x)
            result[at / 4 + i] = x[at / 4 + i] * scale * (PM_HAS_WEIGHT != 0 ? weight[i] : vec4(1.0));
    } else {
        for (uint i = lane; i < push.n_row; i += gl_WorkGroupSize.x)
            PM_AT(result, at + i) = PM_AT(x, at + i) * scale * (PM_HAS_WEIGHT != 0 ? PM_AT(weight, i) : 1.0);
    }
}
