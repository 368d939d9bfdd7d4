// out[i] = cap tanh(a[i] / cap)
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/special_functions.glsl"
#define PM_MAP(a) (push.value * pm_tanh((a) / push.value))
#include "common/elementwise.glsl"
