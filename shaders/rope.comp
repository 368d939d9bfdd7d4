// Rotary position embedding: each pair (a, b) of a head turned by its angle at the token's position,
//     a' = a cos - b sin, b' = a sin + b cos; values beyond the pairs are copied.
// The table holds (cos, sin) of fine and of coarse positions, and the angle addition formula joins the two: see ops.h.
// One invocation a pair, or a value that is copied: D - n_pairs of them a head.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "rope.push.h"

layout(push_constant) uniform push_block { pm_rope_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { float x[]; };
layout(set = 1, binding = 1) readonly restrict buffer positions_block { int positions[]; };
layout(set = 1, binding = 2) readonly restrict buffer table_block { vec2 table[]; };
layout(set = 1, binding = 3) writeonly restrict buffer out_block { float result[]; };

void main()
{
    uint per_head = push.n_head - push.n_pairs, number = pm_invocation();
    uint row = number / per_head, i = number % per_head, at = row * push.n_head;
    if (row >= PM_ROWS_NOW(push))
        return;
    if (i >= push.n_pairs) {
        uint copied = at + i + push.n_pairs;
        result[copied] = x[copied];
        return;
    }
    uint position = uint(clamp(positions[row / push.n_heads], 0, int(push.n_positions) - 1));
    vec2 fine = table[position % push.n_fine * push.n_pairs + i];
    vec2 coarse = table[(push.n_fine + position / push.n_fine) * push.n_pairs + i];
    float cosine = fine.x * coarse.x - fine.y * coarse.y, sine = fine.y * coarse.x + fine.x * coarse.y;
    uint first = at + (push.interleaved == 1 ? 2 * i : i);
    uint second = push.interleaved == 1 ? first + 1 : first + push.n_pairs;
    float a = x[first], b = x[second];
    result[first] = a * cosine - b * sine;
    result[second] = a * sine + b * cosine;
}
