// Rotary position embedding: each pair (a, b) of a head turned by its angle at the token's position,
//     a' = a cos - b sin, b' = a sin + b cos; values beyond the pairs are copied.
// The table holds (cos, sin) of fine and of coarse positions, and the angle addition formula joins the two: see ops.h.
// One workgroup per token and push.heads_each heads; an invocation finds the angle of its pair (of its two pairs, where
// rows allow to move four values at once) and turns that pair of all of these heads.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "rope.push.h"

layout(constant_id = 1) const uint PM_ALIGNED = 1; // D and n_rot are multiples of 4
layout(constant_id = 2) const uint PM_INTERLEAVED = 0;

layout(push_constant) uniform push_block { pm_rope_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { vec4 x[]; };
layout(set = 1, binding = 1) readonly restrict buffer positions_block { int positions[]; };
layout(set = 1, binding = 2) readonly restrict buffer table_block { vec4 table[]; };
layout(set = 1, binding = 3) writeonly restrict buffer out_block { vec4 result[]; };

vec2 table_at(uint i)
{
    return i % 2 == 0 ? table[i / 2].xy : table[i / 2].zw;
}

// (cos, sin) of the sum of two angles.
vec2 add_angles(vec2 p, vec2 q)
{
    return vec2(p.x * q.x - p.y * q.y, p.y * q.x + p.x * q.y);
}

void main()
{
    uint parts = (push.n_heads + push.heads_each - 1) / push.heads_each, number = pm_group();
    uint t = number / parts, first_head = number % parts * push.heads_each;
    if (t >= PM_ROWS_NOW(push))
        return;
    uint n_heads = min(push.heads_each, push.n_heads - first_head);
    uint first = (t * push.n_heads + first_head) * push.n_head; // value of x
    uint position = uint(clamp(positions[t], 0, int(push.n_positions) - 1));
    uint fine = position % push.n_fine * push.n_pairs;
    uint coarse = (push.n_fine + position / push.n_fine) * push.n_pairs;

    if (PM_ALIGNED != 0) {
        for (uint i = 2 * gl_LocalInvocationID.x; i < push.n_pairs; i += 2 * gl_WorkGroupSize.x) {
            vec4 f = table[(fine + i) / 2], c = table[(coarse + i) / 2];
            vec4 turn = vec4(add_angles(f.xy, c.xy), add_angles(f.zw, c.zw));
            for (uint h = 0; h < n_heads; h++) {
                uint at = first + h * push.n_head;
                if (PM_INTERLEAVED != 0) {
                    vec4 v = x[(at + 2 * i) / 4];
                    result[(at + 2 * i) / 4] = vec4(add_angles(v.xy, turn.xy), add_angles(v.zw, turn.zw));
                } else {
                    uint a = at + i, b = at + i + push.n_pairs;
                    vec2 va = a % 4 == 0 ? x[a / 4].xy : x[a / 4].zw, vb = b % 4 == 0 ? x[b / 4].xy : x[b / 4].zw;
                    vec2 cosine = turn.xz, sine = turn.yw;
                    vec2 ra = va * cosine - vb * sine, rb = va * sine + vb * cosine;
                    PM_AT(result, a) = ra.x;
                    PM_AT(result, a + 1) = ra.y;
                    PM_AT(result, b) = rb.x;
                    PM_AT(result, b + 1) = rb.y;
                }
            }
        }
    } else {
        for (uint i = gl_LocalInvocationID.x; i < push.n_pairs; i += gl_WorkGroupSize.x) {
            vec2 turn = add_angles(table_at(fine + i), table_at(coarse + i));
            for (uint h = 0; h < n_heads; h++) {
                uint at = first + h * push.n_head;
                uint a = at + (PM_INTERLEAVED != 0 ? 2 * i : i), b = PM_INTERLEAVED != 0 ? a + 1 : a + push.n_pairs;
                vec2 v = add_angles(vec2(PM_AT(x, a), PM_AT(x, b)), turn);
                PM_AT(result, a) = v.x;
                PM_AT(result, b) = v.y;
            }
        }
    }
    uint n_copied = push.n_head - 2 * push.n_pairs;
    for (uint i = gl_LocalInvocationID.x; i < n_copied; i += gl_WorkGroupSize.x)
        for (uint h = 0; h < n_heads; h++) {
            uint at = first + h * push.n_head + 2 * push.n_pairs + i;
            PM_AT(result, at) = PM_AT(x, at);
        }
}
