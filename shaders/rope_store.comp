// rope of tokens' queries, rope of their keys into their cache, and their values into theirs: rope.comp and kv_store.comp
// for a few tokens in one dispatch, where all of a head is turned and D is a multiple of 4. -DCACHE_F16: fp16 caches.
// One invocation a four values of a head: of two pairs of a query or a key, or four of a value.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/half.glsl"
#include "rope_store.push.h"

layout(constant_id = 1) const uint PM_INTERLEAVED = 0; // pairs are neighbours, not D / 2 apart

layout(push_constant) uniform push_block { pm_rope_store_push push; };
layout(set = 1, binding = 0) readonly restrict buffer q_block { vec4 q[]; };
layout(set = 1, binding = 1) readonly restrict buffer k_block { vec4 k[]; };
layout(set = 1, binding = 2) readonly restrict buffer v_block { vec4 v[]; };
layout(set = 1, binding = 3) readonly restrict buffer positions_block { int positions[]; };
layout(set = 1, binding = 4) readonly restrict buffer slots_block { int slots[]; };
layout(set = 1, binding = 5) readonly restrict buffer table_block { vec4 table[]; };
layout(set = 1, binding = 6) writeonly restrict buffer out_block { vec2 result[]; };
#ifdef CACHE_F16
layout(set = 1, binding = 7) restrict buffer keys_block { uint keys[]; };
layout(set = 1, binding = 8) restrict buffer values_block { uint values[]; };
#define PM_PUT_PAIR(cache, at, pair) cache[(at) / 2] = pm_half_bits((pair).x) | pm_half_bits((pair).y) << 16
#else
layout(set = 1, binding = 7) restrict buffer keys_block { vec2 keys[]; };
layout(set = 1, binding = 8) restrict buffer values_block { vec2 values[]; };
#define PM_PUT_PAIR(cache, at, pair) cache[(at) / 2] = pair
#endif

// (cos, sin) of the sum of two angles; or a pair turned.
vec2 turned(vec2 p, vec2 q)
{
    return vec2(p.x * q.x - p.y * q.y, p.y * q.x + p.x * q.y);
}

uint slot_of(uint t)
{
    return uint(clamp(slots[t], 0, int(push.n_ctx) - 1));
}

void main()
{
    uint quarter = push.n_head / 4, number = pm_invocation(), head = number / quarter, i = number % quarter;
    uint n_all = push.n_heads + 2 * push.n_kv_heads, t = head / n_all, n_tokens = PM_ROWS_NOW(push);
    head %= n_all;
    if (t >= n_tokens)
        return;
    uint slot = slot_of(t);
    if (head >= push.n_heads)
        for (uint later = t + 1; later < n_tokens; later++)
            if (slot_of(later) == slot)
                return; // the last one stays
    if (head >= push.n_heads + push.n_kv_heads) {
        uint h = head - push.n_heads - push.n_kv_heads, to = (h * push.n_ctx + slot) * push.n_head + 4 * i;
        vec4 four = v[(t * push.n_kv_heads + h) * quarter + i];
        PM_PUT_PAIR(values, to, four.xy);
        PM_PUT_PAIR(values, to + 2, four.zw);
        return;
    }
    uint position = uint(clamp(positions[t], 0, int(push.n_positions) - 1));
    vec4 fine = table[position % push.n_fine * quarter + i];
    vec4 coarse = table[(push.n_fine + position / push.n_fine) * quarter + i];
    vec2 first = turned(fine.xy, coarse.xy), second = turned(fine.zw, coarse.zw); // angles of pairs 2 i and 2 i + 1
    bool key = head >= push.n_heads;
    uint h = key ? head - push.n_heads : head, from = (t * (key ? push.n_kv_heads : push.n_heads) + h) * push.n_head;
    // Where two values each of both pairs lie, and what they become.
    uint a = PM_INTERLEAVED != 0 ? 4 * i : 2 * i, b = PM_INTERLEAVED != 0 ? a + 2 : a + push.n_head / 2;
    vec4 at_a = key ? k[(from + a) / 4] : q[(from + a) / 4], at_b = key ? k[(from + b) / 4] : q[(from + b) / 4];
    vec2 va = (from + a) % 4 == 0 ? at_a.xy : at_a.zw, vb = (from + b) % 4 == 0 ? at_b.xy : at_b.zw;
    vec2 ra, rb;
    if (PM_INTERLEAVED != 0) {
        ra = turned(va, first);
        rb = turned(vb, second);
    } else {
        vec2 p = turned(vec2(va.x, vb.x), first), r = turned(vec2(va.y, vb.y), second);
        ra = vec2(p.x, r.x);
        rb = vec2(p.y, r.y);
    }
    if (key) {
        uint to = (h * push.n_ctx + slot) * push.n_head;
        PM_PUT_PAIR(keys, to + a, ra);
        PM_PUT_PAIR(keys, to + b, rb);
    } else {
        result[(from + a) / 2] = ra;
        result[(from + b) / 2] = rb;
    }
}
