// out[c, t] = (x[c, t] - mean_t) / sqrt(var_t + eps) * weight[c] + bias[c]
// One workgroup per row: its invocations share the row and reduce its sum, then the squares of what differs from the mean
// (common/reduce.glsl). -DPM_SUBGROUP reduces with subgroup arithmetic.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/reduce.glsl"
#include "layer_norm.push.h"

layout(constant_id = 2) const uint PM_ALIGNED = 1; // C is a multiple of 4
layout(constant_id = 3) const uint PM_HAS_WEIGHT = 1;
layout(constant_id = 4) const uint PM_HAS_BIAS = 1;

layout(push_constant) uniform push_block { pm_layer_norm_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { vec4 x[]; };
layout(set = 1, binding = 1) readonly restrict buffer weight_block { vec4 weight[]; };
layout(set = 1, binding = 2) readonly restrict buffer bias_block { vec4 bias[]; };
layout(set = 1, binding = 3) writeonly restrict buffer out_block { vec4 result[]; };

PM_REDUCE(pm_sum, float, subgroupAdd, PM_JOIN_ADD)

#define EACH(i, n) for (uint i = gl_LocalInvocationID.x; i < (n); i += gl_WorkGroupSize.x)

void main()
{
    uint row = pm_group(), at = row * push.n_row;
    if (row >= PM_ROWS_NOW(push))
        return;
    float sum = 0.0, squares = 0.0;
    if (PM_ALIGNED != 0) {
        EACH(i, push.n_row / 4)
            sum += dot(x[at / 4 + i], vec4(1.0));
    } else {
        EACH(i, push.n_row)
            sum += PM_AT(x, at + i);
    }
    float mean = pm_sum(sum) / float(push.n_row);
    if (PM_ALIGNED != 0) {
        EACH(i, push.n_row / 4) {
            vec4 v = x[at / 4 + i] - mean;
            squares += dot(v, v);
        }
    } else {
        EACH(i, push.n_row) {
            float v = PM_AT(x, at + i) - mean;
            squares += v * v;
        }
    }
    float scale = 1.0 / sqrt(pm_sum(squares) / float(push.n_row) + push.eps);
    if (PM_ALIGNED != 0) {
        EACH(i, push.n_row / 4)
            result[at / 4 + i] = (x[at / 4 + i] - mean) * scale * (PM_HAS_WEIGHT != 0 ? weight[i] : vec4(1.0)) +
                                 (PM_HAS_BIAS != 0 ? bias[i] : vec4(0.0));
    } else {
        EACH(i, push.n_row)
            PM_AT(result, at + i) = (PM_AT(x, at + i) - mean) * scale * (PM_HAS_WEIGHT != 0 ? PM_AT(weight, i) : 1.0) +
                                    (PM_HAS_BIAS != 0 ? PM_AT(bias, i) : 0.0);
    }
}
