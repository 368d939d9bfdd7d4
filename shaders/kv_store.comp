// cache[:, positions[t], h] = rows[:, h, t], as fp32, (-DCACHE_F16) fp16, or (-DCACHE_Q8_0) blocks of 8 bits.
// One workgroup per token: its invocations share the values of the heads. A later token of the same run with the same
// (clamped) position wins, so a workgroup that finds one stores nothing. Without 16-bit storage a word holds two halves:
// where D is even one invocation makes both, else each half is put in by atomics, as its neighbour is another's. Blocks
// come in pairs (common/kv_cache.glsl), first the scales of all, then word by word.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "common/half.glsl"
#include "kv_store.push.h"

layout(push_constant) uniform push_block { pm_kv_store_push push; };
layout(set = 1, binding = 0) readonly restrict buffer rows_block { float rows[]; };
layout(set = 1, binding = 1) readonly restrict buffer positions_block { int positions[]; };
#if defined(CACHE_F16) || defined(CACHE_Q8_0)
layout(set = 1, binding = 2) restrict buffer cache_block { uint cache[]; };
#else
layout(set = 1, binding = 2) writeonly restrict buffer cache_block { float cache[]; };
#endif

shared uint overwritten;

#ifdef CACHE_Q8_0
#define MOST_BLOCKS 256 // at a time

shared float scales[MOST_BLOCKS];

uint integer(uint i, float scale)
{
    float value = scale == 0.0 ? 0.0 : rows[i] * (1.0 / scale);
    return uint(int(clamp(trunc(value + (value < 0.0 ? -0.5 : 0.5)), -128.0, 127.0))) & 0xffu;
}

// One of the 34 halves of words of two blocks, whose numbers begin at `from`.
uint half_word(uint i, uint from, uint block)
{
    uint second = i < 17 ? 0 : 1, within = i - 17 * second;
    float scale = scales[block + second];
    if (within == 0)
        return pm_half_bits(scale);
    uint number = from + 32 * second + 2 * (within - 1);
    return integer(number, scale) | integer(number + 1, scale) << 8;
}

// Numbers from `from` on, n of them, of heads whose rows are `to` in their caches.
void store_blocks(uint from, uint n, uint to)
{
    uint lane = gl_LocalInvocationID.x, size = gl_WorkGroupSize.x, pairs_of_row = push.n_head / 64;
    for (uint done = 0; done < n / 32; done += MOST_BLOCKS) {
        uint n_blocks = min(MOST_BLOCKS, n / 32 - done);
        for (uint block = lane; block < n_blocks; block += size) {
            float largest = 0.0;
            for (uint i = 0; i < 32; i++)
                largest = max(largest, abs(rows[from + 32 * (done + block) + i]));
            scales[block] = largest / 127.0;
        }
        barrier();
        for (uint word = lane; word < n_blocks / 2 * 17; word += size) {
            uint pair = word / 17, i = word % 17, first = from + 32 * done + 64 * pair, number = done / 2 + pair;
            uint row = number / pairs_of_row * push.n_ctx + to;
            cache[17 * (row * pairs_of_row + number % pairs_of_row) + i] =
                half_word(2 * i, first, 2 * pair) | half_word(2 * i + 1, first, 2 * pair) << 16;
        }
        barrier();
    }
}
#endif

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
#if defined(CACHE_Q8_0)
    store_blocks(from, n, uint(to));
#elif defined(CACHE_F16)
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
