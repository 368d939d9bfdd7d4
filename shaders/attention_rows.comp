// out[:, h, t] = sum_j softmax_j(scale q[:, h, t] . k[:, j, kv]) v[:, j, kv], j over the positions that t may see.
// For devices where every load of every invocation costs by itself (software), and heads of up to PM_HEAD values, a
// multiple of 8. One subgroup (of 8 or more) is a workgroup and takes as many query rows of one cache head: tokens and
// the query heads that share it. Each invocation keeps the query and the sums of one row in registers; of every key and
// value row it reads 8 values, and shuffles hand them round. Four positions a step, so that the online softmax rescales
// its sums a quarter as often. No shared memory, no barrier. Parts of the range as in attention.comp.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common/rows.glsl"
#include "attention.push.h"
#include "common/kv_cache.glsl"

layout(constant_id = 3) const uint PM_SPANS = 0; // positions are triples
layout(constant_id = 4) const uint PM_HAS_BIAS = 0;
layout(constant_id = 5) const uint PM_PAGED = 0; // positions are pairs (position, sequence), slots by the table of pages

layout(push_constant) uniform push_block { pm_attention_push push; };
layout(set = 1, binding = 0) readonly restrict buffer q_block { vec4 q[]; };
layout(set = 1, binding = 1) readonly restrict buffer k_block { PM_CACHE_UNIT keys[]; };
layout(set = 1, binding = 2) readonly restrict buffer v_block { PM_CACHE_UNIT values[]; };
layout(set = 1, binding = 3) readonly restrict buffer positions_block { int positions[]; };
layout(set = 1, binding = 4) writeonly restrict buffer out_block { vec4 result[]; };
layout(set = 1, binding = 5) writeonly restrict buffer parts_block { float parts[]; }; // D values, maximum, total
layout(set = 1, binding = 6) readonly restrict buffer table_block { int table[]; }; // bits of the bias, or pages

#include "common/kv_range.glsl"

#define LOWEST uintBitsToFloat(0xff800000u)
#define N_OCTETS (PM_HEAD / 8)  // of a row
#define N_SHARES (PM_HEAD / 64) // octets that each of 8 invocations reads
#define STEP 4                  // positions

uint lane8 = gl_SubgroupInvocationID & 7u;

PM_CACHE_LOADER(load_key, keys)
PM_CACHE_LOADER(load_value, values)

// Octet `octet` of a cache's row as floats; zeros beyond the head.
#define LOAD_OCTET(load, row, octet, first, second)                                                                \
    first = second = vec4(0.0);                                                                                    \
    if (8 * (octet) < push.n_head) {                                                                               \
        pm_eight eight = pm_decoded(load(row, octet));                                                             \
        first = eight.low;                                                                                         \
        second = eight.high;                                                                                       \
    }

// Does something with each octet of a row that 8 invocations hold: i is a literal.
#define EACH_8(X, from) X(from) X(from + 1) X(from + 2) X(from + 3) X(from + 4) X(from + 5) X(from + 6) X(from + 7)
#if PM_HEAD == 64
#define EACH_OCTET(X) EACH_8(X, 0)
#else
#define EACH_OCTET(X) EACH_8(X, 0) EACH_8(X, 8)
#endif

void main()
{
    uint size = gl_WorkGroupSize.x, n_kv = push.count / push.per_kv, number = pm_group();
    uint split = number % push.n_splits;
    number /= push.n_splits;
    uint kv = number % n_kv, first = push.first_row * push.per_kv + number / n_kv * size;
    uint n_rows = min(PM_ROWS_NOW(push), push.end_row) * push.per_kv;
    if (first >= n_rows)
        return;
    bool mine = first + gl_SubgroupInvocationID < n_rows;
    uint r = min(first + gl_SubgroupInvocationID, n_rows - 1);
    uint t = r / push.per_kv, head = push.first_head + kv * push.per_kv + r % push.per_kv, row = t * push.n_heads + head;
    uvec3 span = pm_kv_span(t);
    uvec2 range = pm_kv_range(span, split);
    uint cache = kv * push.n_ctx;

    vec4 qs[2 * N_OCTETS], acc[2 * N_OCTETS];
    [[unroll]] for (int i = 0; i < 2 * N_OCTETS; i++) {
        acc[i] = qs[i] = vec4(0.0);
        if (4 * i < push.n_head)
            qs[i] = q[(row * push.n_head) / 4 + i] * push.scale;
    }
    float highest = LOWEST, total = 0.0;
    // One sequence after another: all rows are of one, where there are no pages or many tokens of each.
    uint own_sequence = pm_kv_sequence(t);
    for (uint sequence = subgroupMin(own_sequence); sequence != 0xffffffffu;
         sequence = subgroupMin(own_sequence > sequence ? own_sequence : 0xffffffffu)) {
        uvec2 now_range = own_sequence == sequence ? range : uvec2(0);
        uint begin = subgroupMin(now_range.x < now_range.y ? now_range.x : 0xffffffffu), end = subgroupMax(now_range.y);
        for (uint base = begin; base < end; base += STEP) {
            vec4 low[N_SHARES], high[N_SHARES];
            float s[STEP], p[STEP], now = highest;
            [[unroll]] for (int k = 0; k < STEP; k++) {
                uint j = min(base + k, end - 1), slot = cache + pm_kv_slot(sequence, j);
                [[unroll]] for (int share = 0; share < N_SHARES; share++) {
                    LOAD_OCTET(load_key, slot, lane8 + 8 * share, low[share], high[share])
                }
                vec4 sum = vec4(0.0);
#define ADD_SCORE(i)                                                                                               \
    sum += qs[2 * (i)] * subgroupShuffle(low[(i) / 8], (i) % 8);                                                   \
    sum += qs[2 * (i) + 1] * subgroupShuffle(high[(i) / 8], (i) % 8);
                EACH_OCTET(ADD_SCORE)
                bool seen = base + k >= now_range.x && base + k < now_range.y;
                s[k] = seen ? pm_kv_adjust(sum.x + sum.y + sum.z + sum.w, head, span.x, j) : LOWEST;
                now = max(now, s[k]);
            }
            float zero = now == LOWEST ? 0.0 : now, keep = exp(highest - zero); // nothing but -Inf so far
            highest = now;
            total *= keep;
            [[unroll]] for (int k = 0; k < STEP; k++) {
                bool seen = base + k >= now_range.x && base + k < now_range.y;
                p[k] = seen ? exp(s[k] - zero) : 0.0;
                total += p[k];
            }
            [[unroll]] for (int i = 0; i < 2 * N_OCTETS; i++)
                acc[i] *= keep;
            [[unroll]] for (int k = 0; k < STEP; k++) {
                uint j = min(base + k, end - 1), slot = cache + pm_kv_slot(sequence, j);
                [[unroll]] for (int share = 0; share < N_SHARES; share++) {
                    LOAD_OCTET(load_value, slot, lane8 + 8 * share, low[share], high[share])
                }
                bvec4 seen = bvec4(base + k >= now_range.x && base + k < now_range.y); // 0 * NaN of a position not seen is NaN
#define SEEN_VALUE(part, i) mix(vec4(0.0), subgroupShuffle(part[(i) / 8], (i) % 8), seen)
#define ADD_VALUE(i)                                                                                               \
    acc[2 * (i)] += p[k] * SEEN_VALUE(low, i);                                                                     \
        acc[2 * (i) + 1] += p[k] * SEEN_VALUE(high, i);
                EACH_OCTET(ADD_VALUE)
            }
        }
    }
    if (!mine)
        return;
    if (push.n_splits == 1) {
        [[unroll]] for (int i = 0; i < 2 * N_OCTETS; i++)
            if (4 * i < push.n_head)
                result[(row * push.n_head) / 4 + i] = acc[i] / total;
    } else {
        uint part = (row * push.n_splits + split) * (push.n_head + 2);
        [[unroll]] for (int i = 0; i < 2 * N_OCTETS; i++)
            if (4 * i < push.n_head) {
                parts[part + 4 * i] = acc[i].x;
                parts[part + 4 * i + 1] = acc[i].y;
                parts[part + 4 * i + 2] = acc[i].z;
                parts[part + 4 * i + 3] = acc[i].w;
            }
        parts[part + push.n_head] = highest;
        parts[part + push.n_head + 1] = total;
    }
}
