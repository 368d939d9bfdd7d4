// out[n, t] = sum_p part[n, t, p] (+ bias[n]) (+ residual[n, t]): adds up the parts that matmul_tiles.comp makes where it cuts K,
// in their order, so that results do not depend on which workgroup was first. One invocation four values.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "matmul.push.h"

layout(constant_id = 1) const uint PM_PARTS = 2;
layout(constant_id = 2) const uint PM_ALIGNED = 1; // N is a multiple of 4
layout(constant_id = 3) const uint PM_HAS_BIAS = 0;
layout(constant_id = 4) const uint PM_HAS_RESIDUAL = 0;

layout(push_constant) uniform push_block { pm_matmul_push push; };
layout(set = 1, binding = 0) readonly restrict buffer parts_block { vec4 parts[]; };
layout(set = 1, binding = 1) readonly restrict buffer bias_block { vec4 bias[]; };
layout(set = 1, binding = 2) readonly restrict buffer residual_block { vec4 residual[]; };
layout(set = 1, binding = 3) writeonly restrict buffer out_block { vec4 result[]; };

void main()
{
    uint at = 4 * pm_invocation(), end = PM_ROWS_NOW(push) * push.n_out, stride = push.n_rows * push.n_out;
    if (at >= end)
        return;
    if (PM_ALIGNED != 0) {
        vec4 sum = parts[at >> 2];
        for (uint p = 1; p < PM_PARTS; p++)
            sum += parts[(p * stride + at) >> 2];
        if (PM_HAS_BIAS != 0)
            sum += bias[at % push.n_out >> 2];
        if (PM_HAS_RESIDUAL != 0)
            sum += residual[at >> 2];
        result[at >> 2] = sum;
        return;
    }
    for (uint last = min(at + 4, end); at < last; at++) {
        float sum = PM_AT(parts, at);
        for (uint p = 1; p < PM_PARTS; p++)
            sum += PM_AT(parts, p * stride + at);
        if (PM_HAS_BIAS != 0)
            sum += PM_AT(bias, at % push.n_out);
        if (PM_HAS_RESIDUAL != 0)
            sum += PM_AT(residual, at);
        PM_AT(result, at) = sum;
    }
}
