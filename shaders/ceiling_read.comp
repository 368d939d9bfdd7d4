// The read-bandwidth ceiling: every invocation reads `loads` values of 16 bytes, neighbours next to each other, and
// writes only if their exclusive or is a value that they never have, so that nothing can be left out.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "ceiling.push.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant) uniform push_block { pm_ceiling_push push; };
layout(set = 1, binding = 0) readonly restrict buffer data_block { uvec4 data[]; };
layout(set = 1, binding = 1) writeonly restrict buffer out_block { uint result[]; };

void main()
{
    uint n = gl_NumWorkGroups.x * gl_WorkGroupSize.x, at = gl_GlobalInvocationID.x;
    uvec4 a = uvec4(0), b = uvec4(0), c = uvec4(0), d = uvec4(0);
    for (uint i = 0; i < push.steps; i += 4) {
        a ^= data[at];
        b ^= data[at + n];
        c ^= data[at + 2 * n];
        d ^= data[at + 3 * n];
        at += 4 * n;
    }
    a ^= b ^ c ^ d;
    if ((a.x ^ a.y ^ a.z ^ a.w) == push.never)
        result[0] = 1;
}
