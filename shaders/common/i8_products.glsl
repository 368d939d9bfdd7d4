// The product of a unit of weights (4 rows x 32 values, quantised) with a block of activations in 8 bits.
#ifndef PM_I8_PRODUCTS_GLSL
#define PM_I8_PRODUCTS_GLSL

#include "common/dot.glsl"
#include "common/i8_blocks.glsl"

vec4 pm_unit_times(const pm_unit u, const pm_i8_block x)
{
    ivec4 low = ivec4(0), high = ivec4(0);
    [[unroll]] for (int r = 0; r < 4; r++) {
        [[unroll]] for (int j = 0; j < 4; j++) {
            low[r] += pm_dot4(pm_quants(u, r, j), x.low[j]);
            high[r] += pm_dot4(pm_quants(u, r, j + 4), x.high[j]);
        }
    }
#if defined(W_Q6_K)
    return x.scales.x * (u.d * vec4(low) + u.d_high * vec4(high)) + u.m * x.scales.y + u.m_high * x.scales.z;
#elif defined(W_SIGNED)
    return x.scales.x * (u.d * vec4(low + high));
#else
    return x.scales.x * (u.d * vec4(low + high)) + u.m * x.scales.w;
#endif
}

#endif
