// cache[:, positions[t], h] = rows[:, h, t], as fp32 or (-DCACHE_F16) fp16.
// One workgroup per token: its invocations share the values of the heads. A later token of the same run with the same
// (clamped) position wins, so a workgroup that finds one stores nothing. Without 16-bit storage a word holds two halves:
// where D is even one invocation makes both, else each half is put in by atomics, as its neighbour is another's.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/half.glsl"
#include "kv_store.push.h"

layout(push_constant) uniform push_block { pm_kv_store_push push; };
layout(set = 1, binding = 0) readonly restrict buffer rows_block { float rows[]; };
layout(set = 1, binding = 1) readonly restrict buffer positions_block { int positions[]; };
#ifdef CACHE_F16
layout(set = 1, binding = 2) restrict buffer cache_block { uint cache[]; };
#else
layout(set = 1, binding = 2) writeonly restrict buffer cache_block { float cache[]; };
#endif

shared uint overwritten;

int slot(uint t)
{
    return clamp(positions[t], 0, int(push.n_ctx) - 1);
}

void main()
{
    uint t = pm_group(), n_tokens = PM_ROWS_NOW(push), lane = gl_LocalInvocationID.x;
    if (t >= n_tokens)
        return;
    if (lane == 0)
        overwritten = 0;
    barrier();
    int to = slot(t);
    for (uint later = t + 1 + lane; later < n_tokens; later += gl_WorkGroupSize.x)
        if (slot(later) == to)
            overwritten = 1; // by several invocations, all the same
    barrier();
    if (overwritten != 0)
        return;
    uint from = (t * push.n_heads + push.first_head) * push.n_head, n = push.n_head * push.count;
#ifdef CACHE_F16
    if (push.n_head % 2 == 0) {
        for (uint i = 2 * lane; i < n; i += 2 * gl_WorkGroupSize.x) {
            uint at = (i / push.n_head * push.n_ctx + uint(to)) * push.n_head + i % push.n_head;
            cache[at / 2] = pm_half_bits(rows[from + i]) | pm_half_bits(rows[from + i + 1]) << 16;
        }
    } else {
        for (uint i = lane; i < n; i += gl_WorkGroupSize.x) {
            uint at = (i / push.n_head * push.n_ctx + uint(to)) * push.n_head + i % push.n_head;
            uint bits = pm_half_bits(rows[from + i]), shift = at % 2 * 16;
            atomicAnd(cache[at / 2], 0xffff0000u >> shift);
            atomicOr(cache[at / 2], bits << shift);
        }
    }
#else
    for (uint i = lane; i < n; i += gl_WorkGroupSize.x)
        cache[(i / push.n_head * push.n_ctx + uint(to)) * push.n_head + i % push.n_head] = rows[from + i];
#endif
}
