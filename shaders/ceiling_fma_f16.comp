// The fp16 ceiling: as ceiling_fma.comp, in halves; a step is 128 operations.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "ceiling.push.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant) uniform push_block { pm_ceiling_push push; };
layout(set = 1, binding = 0) writeonly restrict buffer out_block { float result[]; };

void main()
{
    float16_t x = float16_t(float(gl_LocalInvocationID.x) * 1e-3);
    f16vec4 m = f16vec4(0.99, 0.98, 0.97, 0.96) - x, k = f16vec4(1e-3, 2e-3, 3e-3, 4e-3) + x, one = f16vec4(1.0);
    f16vec4 a0 = k, a1 = k + one, a2 = a1 + one, a3 = a2 + one, a4 = a3 + one, a5 = a4 + one, a6 = a5 + one, a7 = a6 + one;
    f16vec4 b0 = -a0, b1 = -a1, b2 = -a2, b3 = -a3, b4 = -a4, b5 = -a5, b6 = -a6, b7 = -a7;
    for (uint i = 0; i < push.steps; i++) {
        a0 = fma(a0, m, k); a1 = fma(a1, m, k); a2 = fma(a2, m, k); a3 = fma(a3, m, k);
        a4 = fma(a4, m, k); a5 = fma(a5, m, k); a6 = fma(a6, m, k); a7 = fma(a7, m, k);
        b0 = fma(b0, m, k); b1 = fma(b1, m, k); b2 = fma(b2, m, k); b3 = fma(b3, m, k);
        b4 = fma(b4, m, k); b5 = fma(b5, m, k); b6 = fma(b6, m, k); b7 = fma(b7, m, k);
    }
    vec4 s = vec4(a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7) + vec4(b0 + b1 + b2 + b3 + b4 + b5 + b6 + b7);
    float sum = s.x + s.y + s.z + s.w;
    if (sum == uintBitsToFloat(push.never)) // it is not, but the compiler cannot know
        result[0] = sum;
}
