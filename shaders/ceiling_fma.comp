// The fp32 ceiling: sixteen independent vec4 chains of fused multiply-adds an invocation, in registers; a step is one
// multiply-add of each, 128 operations.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "ceiling.push.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant) uniform push_block { pm_ceiling_push push; };
layout(set = 1, binding = 0) writeonly restrict buffer out_block { float result[]; };

void main()
{
    float x = float(gl_LocalInvocationID.x) * 1e-6;
    vec4 m = vec4(0.999, 0.998, 0.997, 0.996) - x, k = vec4(1e-3, 2e-3, 3e-3, 4e-3) + x;
    vec4 a0 = k, a1 = k + 1, a2 = k + 2, a3 = k + 3, a4 = k + 4, a5 = k + 5, a6 = k + 6, a7 = k + 7;
    vec4 b0 = -k, b1 = 1 - k, b2 = 2 - k, b3 = 3 - k, b4 = 4 - k, b5 = 5 - k, b6 = 6 - k, b7 = 7 - k;
    for (uint i = 0; i < push.steps; i++) {
        a0 = fma(a0, m, k); a1 = fma(a1, m, k); a2 = fma(a2, m, k); a3 = fma(a3, m, k);
        a4 = fma(a4, m, k); a5 = fma(a5, m, k); a6 = fma(a6, m, k); a7 = fma(a7, m, k);
        b0 = fma(b0, m, k); b1 = fma(b1, m, k); b2 = fma(b2, m, k); b3 = fma(b3, m, k);
        b4 = fma(b4, m, k); b5 = fma(b5, m, k); b6 = fma(b6, m, k); b7 = fma(b7, m, k);
    }
    vec4 s = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + b0 + b1 + b2 + b3 + b4 + b5 + b6 + b7;
    float sum = s.x + s.y + s.z + s.w;
    if (sum == uintBitsToFloat(push.never)) // it is not, but the compiler cannot know
        result[0] = sum;
}
