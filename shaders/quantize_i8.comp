// Rows of activations as blocks of 8 bits (common/i8_blocks.glsl). One invocation a block.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/rows.glsl"
#include "common/i8_blocks.glsl"
#include "quantize_i8.push.h"

layout(push_constant) uniform push_block { pm_quantize_i8_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { vec4 x[]; };
layout(set = 1, binding = 1) writeonly restrict buffer out_block { uvec4 result[]; };

void main()
{
    uint block = pm_invocation();
    if (block >= PM_ROWS_NOW(push) * push.n_blocks)
        return;
    vec4 v[8];
    uint widest = 0, words[8];
    [[unroll]] for (int j = 0; j < 8; j++) {
        v[j] = x[block * 8 + j];
        widest = max(widest, pm_i8_widest(v[j]));
    }
    vec2 scale = pm_i8_scale(widest);
    float sums[8];
    [[unroll]] for (int j = 0; j < 8; j++)
        words[j] = pm_i8_word(v[j], scale.y, sums[j]);
    float low = sums[0] + sums[1] + sums[2] + sums[3], high = sums[4] + sums[5] + sums[6] + sums[7], d = scale.x;
    result[block * 3] = uvec4(words[0], words[1], words[2], words[3]);
    result[block * 3 + 1] = uvec4(words[4], words[5], words[6], words[7]);
    result[block * 3 + 2] = floatBitsToUint(vec4(d, d * low, d * high, d * (low + high)));
}
