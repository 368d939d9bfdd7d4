// out[i] = max(a[i], 0); a NaN stays one.
#version 450
#extension GL_GOOGLE_include_directive : require

// By bits: compilers make a comparison a maximum, which loses NaNs.
const uint NEGATIVE = 0x80000000u, INFINITY = 0x7f800000u; // -0 to -Inf are NEGATIVE + [0, INFINITY]

float pm_relu(float x)
{
    return floatBitsToUint(x) - NEGATIVE <= INFINITY ? 0.0 : x;
}

vec4 pm_relu(vec4 x)
{
    return mix(x, vec4(0.0), lessThanEqual(floatBitsToUint(x) - NEGATIVE, uvec4(INFINITY)));
}

#define PM_MAP(a) pm_relu(a)
#include "common/elementwise.glsl"
