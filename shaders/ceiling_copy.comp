// The copy-bandwidth ceiling: each workgroup copies a stretch of the first half of a buffer to the second half, 16 bytes a
// load and a store, neighbouring invocations next to each other.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "ceiling.push.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant) uniform push_block { pm_ceiling_push push; };
layout(set = 1, binding = 0) restrict buffer data_block { uvec4 data[]; };

void main()
{
    uint n = gl_WorkGroupSize.x, from = gl_WorkGroupID.x * push.steps * n + gl_LocalInvocationID.x;
    uint to = from + gl_NumWorkGroups.x * push.steps * n;
    for (uint i = 0; i < push.steps; i += 4) {
        uvec4 a = data[from], b = data[from + n], c = data[from + 2 * n], d = data[from + 3 * n];
        data[to] = a;
        data[to + n] = b;
        data[to + 2 * n] = c;
        data[to + 3 * n] = d;
        from += 4 * n;
        to += 4 * n;
    }
}
