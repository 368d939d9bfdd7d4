// The integer ceiling: sixteen independent chains of dot products of four bytes, added up, an invocation; a step is one of
// each, 128 operations.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "ceiling.push.h"
#include "common/dot.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant) uniform push_block { pm_ceiling_push push; };
layout(set = 1, binding = 0) writeonly restrict buffer out_block { uint result[]; };

// Sixteen names, not an array: some compilers keep arrays in memory.
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define BEGIN(c) int a##c = int(gl_LocalInvocationID.x) * 16 + c;
#define STEP(c) a##c += pm_dot4(a##c, m);
#define JOIN(c) sum ^= a##c;

void main()
{
    int m = 0x01ff02fe + int(gl_LocalInvocationID.x), sum = 0;
    EACH(BEGIN)
    for (uint i = 0; i < push.steps; i++) {
        EACH(STEP)
    }
    EACH(JOIN)
    if (uint(sum) == push.never) // it is not, but the compiler cannot know
        result[0] = uint(sum);
}
