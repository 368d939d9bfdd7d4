// out[:, h, t] = sum_j softmax_j(scale q[:, h, t] . k[:, j, kv]) v[:, j, kv], j over the positions that t may see.
// One workgroup per token, query head and part of the range of positions. It walks over the positions in steps of its
// size with an online softmax: an invocation makes the score of one position, then each takes a few pairs of the D
// values and adds up v. Where the range is split (long contexts, few tokens), the parts' sums, maxima and totals go to
// scratch and attention_merge.comp joins them. Caches as in common/kv_cache.glsl, and for F32 and F16 any D. -DPM_SUBGROUP: see
// common/reduce.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/rows.glsl"
#include "common/reduce.glsl"
#include "attention.push.h"
#include "common/kv_cache.glsl"

layout(constant_id = 2) const uint PM_ALIGNED = 1; // D is a multiple of 8
layout(constant_id = 3) const uint PM_SPANS = 0;   // positions are triples
layout(constant_id = 4) const uint PM_HAS_BIAS = 0;
layout(constant_id = 5) const uint PM_PAGED = 0; // positions are pairs (position, sequence), slots by the table of pages

layout(push_constant) uniform push_block { pm_attention_push push; };
layout(set = 1, binding = 0) readonly restrict buffer q_block { float q[]; };
layout(set = 1, binding = 1) readonly restrict buffer k_block { PM_CACHE_UNIT keys[]; };
#ifdef CACHE_Q8_0
layout(set = 1, binding = 2) readonly restrict buffer v_block { uint values[]; };
#else
layout(set = 1, binding = 2) readonly restrict buffer v_block { uvec2 values[]; };
#endif
layout(set = 1, binding = 3) readonly restrict buffer positions_block { int positions[]; };
layout(set = 1, binding = 4) writeonly restrict buffer out_block { float result[]; };
layout(set = 1, binding = 5) writeonly restrict buffer parts_block { float parts[]; }; // D values, maximum, total
layout(set = 1, binding = 6) readonly restrict buffer table_block { int table[]; }; // bits of the bias, or pages

#include "common/kv_range.glsl"

PM_REDUCE(pm_sum, float, subgroupAdd, PM_JOIN_ADD)
PM_REDUCE(pm_highest, float, subgroupMax, max)

#define LOWEST uintBitsToFloat(0xff800000u)
const uint MAX_HEAD = 512, ACCS = 4; // ACCS pairs an invocation: the local size is at least D / 8

shared vec4 q_shared[MAX_HEAD / 4];
shared float p_shared[PM_MAX_LOCAL];
shared uint slot_shared[PM_MAX_LOCAL]; // with pages: where the values of p_shared lie

PM_CACHE_LOADER(load_key, keys)

#ifdef CACHE_Q8_0
#define PM_ONE(word, i) 0.0 // D is aligned

// Numbers d and d + 1 of a row, d even.
vec2 value_pair(uint row, uint d)
{
    // Of 34 halves of words that two blocks have, the first and the middle one are scales.
    uint pair = 17 * (row * push.n_head / 64 + d / 64), block = d / 32 % 2, at = 17 * block + 1 + d % 32 / 2;
    int bits = int(values[pair + at / 2] >> 16 * (at % 2));
    float scale = unpackHalf2x16(values[pair + 8 * block] >> 16 * block).x;
    return scale * vec2(bitfieldExtract(bits, 0, 8), bitfieldExtract(bits, 8, 8));
}
#else
uint key_word(uint i)
{
    return keys[i >> 2][i & 3];
}

uint value_word(uint i)
{
    return values[i >> 1][i & 1];
}

// Values i and i + 1 of a cache.
#ifdef CACHE_F16
#define PM_PAIR(word, i)                                                                                           \
    (i % 2 == 0 ? unpackHalf2x16(word(i / 2)) : vec2(unpackHalf2x16(word(i / 2)).y, unpackHalf2x16(word(i / 2 + 1)).x))
#define PM_ONE(word, i) (unpackHalf2x16(word((i) / 2))[(i) % 2])
#else
#define PM_PAIR(word, i) uintBitsToFloat(uvec2(word(i), word(i + 1)))
#define PM_ONE(word, i) uintBitsToFloat(word(i))
#endif

vec2 value_pair(uint row, uint d)
{
    uint i = row * push.n_head + d;
    if (PM_ALIGNED != 0) {
#ifdef CACHE_F16
        return unpackHalf2x16(values[i / 4][i / 2 % 2]);
#else
        return uintBitsToFloat(values[i / 2]);
#endif
    }
    return d + 1 < push.n_head ? PM_PAIR(value_word, i) : vec2(PM_ONE(value_word, i), 0.0);
}
#endif

float score(uint row)
{
    float sum = 0.0;
    if (PM_ALIGNED != 0) {
        for (uint octet = 0; octet < push.n_head / 8; octet++) {
            pm_eight key = pm_decoded(load_key(row, octet));
            sum += dot(q_shared[2 * octet], key.low) + dot(q_shared[2 * octet + 1], key.high);
        }
    } else {
        for (uint i = 0; i < push.n_head; i++)
            sum += q_shared[i / 4][i % 4] * PM_ONE(key_word, row * push.n_head + i);
    }
    return sum;
}

void main()
{
    uint number = pm_group(), lane = gl_LocalInvocationID.x, size = gl_WorkGroupSize.x, n_head = push.n_head;
    uint split = number % push.n_splits;
    number /= push.n_splits;
    uint head = push.first_head + number % push.count, t = push.first_row + number / push.count;
    if (t >= min(PM_ROWS_NOW(push), push.end_row))
        return;
    uvec3 span = pm_kv_span(t);
    uvec2 range = pm_kv_range(span, split);
    uint sequence = pm_kv_sequence(t);
    uint cache = (head - push.first_head) / push.per_kv * push.n_ctx;
    uint row = t * push.n_heads + head;

    for (uint i = lane; i < n_head; i += size)
        q_shared[i / 4][i % 4] = q[row * n_head + i] * push.scale;
    barrier();

    float highest = LOWEST, total = 0.0;
    vec2 acc[ACCS];
    [[unroll]] for (uint a = 0; a < ACCS; a++)
        acc[a] = vec2(0.0);
    for (uint base = range.x; base < range.y; base += size) {
        bool mine = base + lane < range.y;
        float s = LOWEST;
        if (mine) {
            uint slot = pm_kv_slot(sequence, base + lane);
            s = pm_kv_adjust(score(cache + slot), head, span.x, base + lane);
            if (PM_PAGED != 0)
                slot_shared[lane] = slot;
        }
        float now = max(highest, pm_highest(s));
        float zero = now == LOWEST ? 0.0 : now; // nothing but -Inf so far
        float keep = exp(highest - zero), p = mine ? exp(s - zero) : 0.0;
        p_shared[lane] = p;
        total = total * keep + pm_sum(p);
        highest = now;
        barrier();
        [[unroll]] for (uint a = 0; a < ACCS; a++)
            acc[a] *= keep;
        uint n = min(size, range.y - base);
        [[unroll]] for (uint a = 0; a < ACCS; a++) {
            uint d = 2 * (lane + a * size);
            if (d < n_head)
                for (uint j = 0; j < n; j++)
                    acc[a] += p_shared[j] * value_pair(cache + (PM_PAGED != 0 ? slot_shared[j] : base + j), d);
        }
        barrier();
    }

    bool whole = push.n_splits == 1;
    uint part = (row * push.n_splits + split) * (n_head + 2);
    float scale = whole ? 1.0 / total : 1.0;
    [[unroll]] for (uint a = 0; a < ACCS; a++) {
        uint d = 2 * (lane + a * size);
        for (uint i = 0; i < 2; i++)
            if (d + i < n_head) {
                if (whole)
                    result[row * n_head + d + i] = acc[a][i] * scale;
                else
                    parts[part + d + i] = acc[a][i];
            }
    }
    if (!whole && lane == 0) {
        parts[part + n_head] = highest;
        parts[part + n_head + 1] = total;
    }
}
