// The read-bandwidth ceiling: each workgroup reads a stretch of memory from end to end, 16 bytes a load and neighbouring
// invocations next to each other, which suits wide memory systems as well as a processor's prefetcher. It writes only
// if the exclusive or of all is a value that they never have, so that nothing can be left out. With -DPM_TEXEL from a
// texel buffer, which is several times as fast on lavapipe.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "ceiling.push.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant) uniform push_block { pm_ceiling_push push; };
#ifdef PM_TEXEL
layout(set = 1, binding = 0) uniform usamplerBuffer data;
#define DATA(i) texelFetch(data, int(i))
#else
layout(set = 1, binding = 0) readonly restrict buffer data_block { uvec4 data[]; };
#define DATA(i) data[i]
#endif
layout(set = 1, binding = 1) writeonly restrict buffer out_block { uint result[]; };

void main()
{
    uint n = gl_WorkGroupSize.x, at = gl_WorkGroupID.x * push.steps * n + gl_LocalInvocationID.x;
    uvec4 a = uvec4(0), b = uvec4(0), c = uvec4(0), d = uvec4(0);
    for (uint i = 0; i < push.steps; i += 4) {
        a ^= DATA(at);
        b ^= DATA(at + n);
        c ^= DATA(at + 2 * n);
        d ^= DATA(at + 3 * n);
        at += 4 * n;
    }
    a ^= b ^ c ^ d;
    if ((a.x ^ a.y ^ a.z ^ a.w) == push.never)
        result[0] = 1;
}
