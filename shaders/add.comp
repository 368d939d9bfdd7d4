// out[i] = a[i] + b[i mod n_b]: b has a's shape, or is one row that is added to every row. One invocation a value.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/params.glsl"
#include "add.push.h"

layout(push_constant) uniform push_block { pm_add_push push; };
layout(set = 1, binding = 0) readonly restrict buffer a_block { float a[]; };
layout(set = 1, binding = 1) readonly restrict buffer b_block { float b[]; };
layout(set = 1, binding = 2) writeonly restrict buffer out_block { float result[]; };

void main()
{
    uint i = pm_invocation();
    if (i < pm_counted(push.counted, push.n_outer) * push.n_inner)
        result[i] = a[i] + b[i % push.n_b];
}
