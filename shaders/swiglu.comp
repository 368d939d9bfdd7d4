// out[i] = a[i] / (1 + exp(-a[i])) * b[i]
#version 450
#extension GL_GOOGLE_include_directive : require
#define PM_TWO_INPUTS
#define PM_MAP(a, b) ((a) / (1.0 + exp(-(a))) * (b))
#include "common/elementwise.glsl"
