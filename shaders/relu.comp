// out[i] = max(a[i], 0); a NaN stays one.
#version 450
#extension GL_GOOGLE_include_directive : require

float pm_relu(float x)
{
    return x < 0.0 ? 0.0 : x;
}

vec4 pm_relu(vec4 x)
{
    return mix(x, vec4(0.0), lessThan(x, vec4(0.0)));
}

#define PM_MAP(a) pm_relu(a)
#include "common/elementwise.glsl"
