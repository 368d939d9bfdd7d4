// out[i] = a[i] + b[i], or b[i mod C] where b is one row [C]. One invocation a value.
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
    uint rows = push.n_rows;
    if (push.rows_of == 1)
        rows = min(rows, uint(run.n_tokens) * push.rows_per);
    if (push.rows_of == 2)
        rows = min(rows, uint(run.n_outputs) * push.rows_per);
    uint i = pm_invocation();
    if (i < rows * push.n_row)
        result[i] = a[i] + b[push.repeat_b == 1 ? i % push.n_row : i];
}
