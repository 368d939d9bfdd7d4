// Rows of x as halves, for products by cooperative matrices: each row times a power of two that brings its largest value
// near 2^13, far from both ends of what a half holds. A row is 4 n_blocks uvec4 of 8 values each (zeros beyond its end), and
// 2 more, of which the first word is the float that undoes the scaling. One workgroup a row.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/rows.glsl"
#define PM_SUBGROUP
#include "common/reduce.glsl"
#include "common/half.glsl"
#include "halve_rows.push.h"

layout(constant_id = 2) const uint PM_X_ALIGNED = 1; // rows begin at a vec4 and end with one

layout(push_constant) uniform push_block { pm_halve_rows_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { vec4 x[]; };
layout(set = 1, binding = 1) writeonly restrict buffer out_block { uvec4 halves[]; };

PM_REDUCE(largest_of_all, float, subgroupMax, max)

vec4 load(uint t, uint k)
{
    uint at = t * push.n_k + k;
    if (PM_X_ALIGNED != 0)
        return k < push.n_k ? x[at >> 2] : vec4(0.0);
    vec4 v = vec4(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++)
        if (k + i < push.n_k)
            v[i] = PM_AT(x, at + i);
    return v;
}

void main()
{
    uint t = pm_group();
    if (t >= PM_ROWS_NOW(push))
        return;
    float largest = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < 8 * push.n_blocks; i += gl_WorkGroupSize.x) {
        vec4 v = abs(load(t, 4 * i));
        largest = max(largest, max(max(v.x, v.y), max(v.z, v.w)));
    }
    largest = largest_of_all(largest);
    // By exponents: scale = 2^(13 - floor(log2 largest)), kept so that its inverse is a normal number, too.
    int exponent = int(floatBitsToUint(largest) >> 23 & 255u);
    int shift = exponent == 0 || exponent == 255 ? 0 : clamp(13 - (exponent - 127), -120, 120);
    float scale = uintBitsToFloat(uint(127 + shift) << 23), undo = uintBitsToFloat(uint(127 - shift) << 23);
    uint row = t * (4 * push.n_blocks + 2);
    for (uint i = gl_LocalInvocationID.x; i < 4 * push.n_blocks; i += gl_WorkGroupSize.x) {
        vec4 a = scale * load(t, 8 * i), b = scale * load(t, 8 * i + 4);
        halves[row + i] = pm_eight_halves(a, b);
    }
    if (gl_LocalInvocationID.x < 2)
        halves[row + 4 * push.n_blocks + gl_LocalInvocationID.x] = uvec4(floatBitsToUint(undo), 0, 0, 0);
}
