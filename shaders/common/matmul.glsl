// What the matmul shaders share: bindings (x, planes of the weight, bias, residual, out) and the epilogue.
// Specialization constants 1 to 5 as below.
#ifndef PM_MATMUL_GLSL
#define PM_MATMUL_GLSL

#include "common/rows.glsl"
#include "matmul.push.h"
#define PM_WEIGHT_BIND 1
#include "common/weights.glsl"

layout(constant_id = 2) const uint PM_X_ALIGNED = 1; // K is a multiple of 32: no tail, rows of x begin at a vec4
layout(constant_id = 3) const uint PM_OUT_ALIGNED = 1; // N is a multiple of 4
layout(constant_id = 4) const uint PM_HAS_BIAS = 0;
layout(constant_id = 5) const uint PM_HAS_RESIDUAL = 0;

layout(push_constant) uniform push_block { pm_matmul_push push; };
#ifdef PM_TEXEL
layout(set = 1, binding = 0) uniform samplerBuffer x_texels;
#define PM_X_AT(i) texelFetch(x_texels, int(i))
#else
layout(set = 1, binding = 0) readonly restrict buffer x_block { PM_X_TYPE x[]; };
#define PM_X_AT(i) x[i]
#endif
layout(set = 1, binding = 1 + PM_WEIGHT_PLANES) readonly restrict buffer bias_block { vec4 bias[]; };
layout(set = 1, binding = 2 + PM_WEIGHT_PLANES) readonly restrict buffer residual_block { vec4 residual[]; };
layout(set = 1, binding = 3 + PM_WEIGHT_PLANES) writeonly restrict buffer out_block { vec4 result[]; };

// Finishes rows 4 group .. 4 group + 3 of the chunk for row t of x: adds bias and residual, writes.
void pm_matmul_finish(uint group, uint t, vec4 sum)
{
    uint n = push.first_row + 4 * group;
    uint at = t * push.n_out + n;
    if (PM_OUT_ALIGNED != 0) {
        if (PM_HAS_BIAS != 0)
            sum += bias[n >> 2];
        if (PM_HAS_RESIDUAL != 0)
            sum += residual[at >> 2];
        result[at >> 2] = sum;
    } else {
        [[unroll]] for (uint i = 0; i < 4; i++) {
            if (n + i < push.n_out) {
                float value = sum[i];
                if (PM_HAS_BIAS != 0)
                    value += PM_AT(bias, n + i);
                if (PM_HAS_RESIDUAL != 0)
                    value += PM_AT(residual, at + i);
                PM_AT(result, at + i) = value;
            }
        }
    }
}

#ifdef PM_X_FLOAT
// Values k .. k + 3 of row t of x, zeros beyond its end; k a multiple of 4. Rows of quantised types have no tail.
vec4 pm_x4(uint t, uint k)
{
    uint at = t * push.n_k + k;
#if !defined(W_PLAIN) || defined(PM_TEXEL)
    return PM_X_AT(at >> 2);
#else
    if (PM_X_ALIGNED != 0)
        return x[at >> 2];
    vec4 v = vec4(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++)
        if (k + i < push.n_k)
            v[i] = PM_AT(x, at + i);
    return v;
#endif
}
#endif

#endif
