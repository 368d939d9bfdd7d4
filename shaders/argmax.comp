// out[r] = the lowest index of the largest value of row r; NaN is less than anything. One workgroup per row: each
// invocation finds the best of its share, then the best key and the lowest index that has it are reduced.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/reduce.glsl"
#include "common/float_keys.glsl"
#include "argmax.push.h"

layout(push_constant) uniform push_block { pm_argmax_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { float x[]; };
layout(set = 1, binding = 1) writeonly restrict buffer out_block { int result[]; };

PM_REDUCE(pm_largest, uint, subgroupMax, max)
PM_REDUCE(pm_smallest, uint, subgroupMin, min)

void main()
{
    uint row = pm_group(), lane = gl_LocalInvocationID.x;
    if (row >= PM_ROWS_NOW(push))
        return;
    uint best = 0, index = min(lane, push.n_row - 1);
    for (uint i = lane; i < push.n_row; i += gl_WorkGroupSize.x) {
        uint key = pm_key(x[row * push.n_row + i], 0u);
        if (key > best) {
            best = key;
            index = i;
        }
    }
    uint largest = pm_largest(best);
    index = pm_smallest(best == largest ? index : 0xffffffffu);
    if (lane == 0)
        result[row] = int(index);
}
