// out[i] = a[i] * factor
#version 450
#extension GL_GOOGLE_include_directive : require
#define PM_MAP(a) ((a) * push.value)
#include "common/elementwise.glsl"
