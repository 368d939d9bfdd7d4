// out[i] = a[i] + b[i], or b[i mod C] where b is one row [C]
#version 450
#extension GL_GOOGLE_include_directive : require
#define PM_TWO_INPUTS
#define PM_MAP(a, b) ((a) + (b))
#include "common/elementwise.glsl"
