// out[i] = a[i] / (1 + exp(-a[i]))
#version 450
#extension GL_GOOGLE_include_directive : require
#define PM_MAP(a) ((a) / (1.0 + exp(-(a))))
#include "common/elementwise.glsl"
