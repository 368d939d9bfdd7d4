// Rows of activations as blocks of 8 bits (common/i8_blocks.glsl): d = max |x| / 127, q = round(x / d).
// One invocation a block. A block with an Inf or NaN gets a NaN for its scale, so that products with it are NaN.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/rows.glsl"
#include "quantize_i8.push.h"

layout(push_constant) uniform push_block { pm_quantize_i8_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { vec4 x[]; };
layout(set = 1, binding = 1) writeonly restrict buffer out_block { uvec4 result[]; };

void main()
{
    uint block = pm_invocation();
    if (block >= PM_ROWS_NOW(push) * push.n_blocks)
        return;
    vec4 v[8], largest = vec4(0.0);
    uvec4 widest = uvec4(0);
    [[unroll]] for (int j = 0; j < 8; j++) {
        v[j] = x[block * 8 + j];
        largest = max(largest, abs(v[j]));
        widest = max(widest, floatBitsToUint(v[j]) & 0x7fffffffu);
    }
    float most = max(max(largest.x, largest.y), max(largest.z, largest.w));
    bool bad = max(max(widest.x, widest.y), max(widest.z, widest.w)) >= 0x7f800000u;
    float d = bad ? uintBitsToFloat(0x7fc00000u) : most / 127.0;
    float inverse = most > 1e-36 && !bad ? 127.0 / most : 0.0; // smaller ones: the inverse would overflow
    uint words[8];
    int sums[8];
    [[unroll]] for (int j = 0; j < 8; j++) {
        ivec4 q = ivec4(roundEven(v[j] * inverse));
        words[j] = uint(q.x & 255) | uint(q.y & 255) << 8 | uint(q.z & 255) << 16 | uint(q.w) << 24;
        sums[j] = q.x + q.y + q.z + q.w;
    }
    float low = float(sums[0] + sums[1] + sums[2] + sums[3]), high = float(sums[4] + sums[5] + sums[6] + sums[7]);
    result[block * 3] = uvec4(words[0], words[1], words[2], words[3]);
    result[block * 3 + 1] = uvec4(words[4], words[5], words[6], words[7]);
    result[block * 3 + 2] = floatBitsToUint(vec4(d, d * low, d * high, d * (low + high)));
}
