// out[i] = 0.5 a[i] (2 - erfc(a[i] / sqrt 2)); -DBY_TANH: 0.5 a[i] (1 + tanh(u)) = a[i] / (1 + exp(-2 u)) with
// u = sqrt(2 / pi) (a[i] + 0.044715 a[i]^3).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/special_functions.glsl"

#define LOWEST (-3e38) // in place of -Inf, which would be multiplied by zero
#ifdef BY_TANH
#define GELU(a) ((a) / (1.0 + exp(min((a) * (-1.59576912 - 0.07135481 * (a) * (a)), 88.0))))
#else
#define GELU(a) (0.5 * (a) * pm_erfc((a) * -0.70710678))
#endif

float pm_gelu(float x)
{
    return x < LOWEST ? 0.0 : GELU(x);
}

vec4 pm_gelu(vec4 x)
{
    return vec4(pm_gelu(x.x), pm_gelu(x.y), pm_gelu(x.z), pm_gelu(x.w));
}

#define PM_MAP(a) pm_gelu(a)
#include "common/elementwise.glsl"
