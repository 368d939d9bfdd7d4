// out[:, h, t] = sum_j softmax_j(scale q[:, h, t] . k[:, j, kv]) v[:, j, kv], j over the positions that t may see, for many
// tokens, by cooperative matrices; heads of up to PM_HEAD values, caches of F16 or Q8_0.
//
// A workgroup of four subgroups takes 64 query rows of one cache head: tokens and the query heads that share it; a subgroup
// 16 of them. Keys and values come by 32 positions into shared memory, while the next 32 are on their way. Scores go
// through shared memory to the invocations, two a row, for mask and online softmax, and back as halves. Parts of the range
// as in attention.comp.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "common/rows.glsl"
#include "attention.push.h"
#include "common/half.glsl"
#include "common/kv_cache.glsl"

layout(constant_id = 3) const uint PM_SPANS = 0; // positions are triples
layout(constant_id = 4) const uint PM_HAS_BIAS = 0;
layout(constant_id = 5) const uint PM_PAGED = 0; // positions are pairs (position, sequence), slots by the table of pages

layout(push_constant) uniform push_block { pm_attention_push push; };
layout(set = 1, binding = 0) readonly restrict buffer q_block { vec4 q[]; };
layout(set = 1, binding = 1) readonly restrict buffer k_block { PM_CACHE_UNIT keys[]; };
layout(set = 1, binding = 2) readonly restrict buffer v_block { PM_CACHE_UNIT values[]; };
layout(set = 1, binding = 3) readonly restrict buffer positions_block { int positions[]; };
layout(set = 1, binding = 4) writeonly restrict buffer out_block { float result[]; };
layout(set = 1, binding = 5) writeonly restrict buffer parts_block { float parts[]; }; // D values, maximum, total
layout(set = 1, binding = 6) readonly restrict buffer table_block { int table[]; }; // bits of the bias, or pages

#include "common/kv_range.glsl"

#define LOWEST uintBitsToFloat(0xff800000u)
#define MATRIX(type, use) coopmat<type, gl_ScopeSubgroup, 16, 16, use>
#define SUBGROUPS 4
#define LOCAL (32 * SUBGROUPS)
#define ROWS (16 * SUBGROUPS)
#define POSITIONS 32            // of a tile: bits of a word
#define OCTETS (PM_HEAD / 8)    // of a row of the cache
#define ROW (OCTETS + 1)        // of a tile; one more, so that rows begin in different banks
#define ITEMS (POSITIONS * OCTETS / LOCAL)
#define SCORE_ROW (POSITIONS + 4)
#define SHARE_ROW (POSITIONS / 8 + 1)

shared uvec4 tile[2 * POSITIONS * ROW];             // keys, then values; at first the query rows
shared float scores[SUBGROUPS * 16 * SCORE_ROW];    // at the end sums on their way out
shared uvec4 shares[SUBGROUPS * 16 * SHARE_ROW];    // exp(score - maximum), as halves
shared float keeps[SUBGROUPS * 256];                // what the sums so far are multiplied with, for each row 16 times
shared uint bad_positions[2];                       // of this tile and the next: which have values that are no numbers
shared uvec2 ranges[SUBGROUPS];

PM_CACHE_LOADER(load_key, keys)
PM_CACHE_LOADER(load_value, values)

#ifdef CACHE_F16
#define as_halves(raw) raw
#else
uvec4 as_halves(pm_raw raw)
{
    pm_eight eight = pm_decoded(raw);
    return pm_eight_halves(eight.low, eight.high);
}
#endif

pm_raw k_next[ITEMS], v_next[ITEMS];

void fetch(uint cache, uint sequence, uint base, uint end)
{
    [[unroll]] for (uint i = 0; i < ITEMS; i++) {
        uint item = gl_LocalInvocationID.x + i * LOCAL, octet = item % OCTETS;
        uint slot = cache + pm_kv_slot(sequence, min(base + item / OCTETS, end - 1));
        k_next[i] = v_next[i] = PM_NO_RAW;
        if (8 * octet < push.n_head) {
            k_next[i] = load_key(slot, octet);
            v_next[i] = load_value(slot, octet);
        }
    }
}

// Values that are no numbers would spoil rows that do not see them, as 0 * NaN is NaN: they are kept out, and remembered.
void put(uint which)
{
    [[unroll]] for (uint i = 0; i < ITEMS; i++) {
        uint item = gl_LocalInvocationID.x + i * LOCAL, at = item / OCTETS * ROW + item % OCTETS;
        uvec4 value = as_halves(v_next[i]), low = value & 0x7c00u, high = value & 0x7c000000u;
        if (any(equal(low, uvec4(0x7c00u))) || any(equal(high, uvec4(0x7c000000u)))) {
            atomicOr(bad_positions[which], 1u << item / OCTETS);
            value = uvec4(0);
        }
        tile[at] = as_halves(k_next[i]);
        tile[POSITIONS * ROW + at] = value;
    }
}

// [smallest x, largest y) of the non-empty ranges of all rows.
uvec2 join_ranges(uvec2 range)
{
    uvec2 own = uvec2(subgroupMin(range.x < range.y ? range.x : 0xffffffffu), subgroupMax(range.y));
    barrier();
    if (subgroupElect())
        ranges[gl_SubgroupID] = own;
    barrier();
    [[unroll]] for (uint i = 0; i < SUBGROUPS; i++)
        own = uvec2(min(own.x, ranges[i].x), max(own.y, ranges[i].y));
    return own;
}

void main()
{
    uint n_kv = push.count / push.per_kv, number = pm_group(), split = number % push.n_splits;
    number /= push.n_splits;
    uint kv = number % n_kv, first = push.first_row * push.per_kv + number / n_kv * ROWS, cache = kv * push.n_ctx;
    uint n_rows = min(PM_ROWS_NOW(push), push.end_row) * push.per_kv;
    if (first >= n_rows)
        return;

    // The row of this invocation for the softmax, and which half of its scores it has.
    uint lane = gl_SubgroupInvocationID, own_row = lane / 2, half_row = lane % 2;
    uint r = min(first + 16 * gl_SubgroupID + own_row, n_rows - 1);
    uint t = r / push.per_kv, head = push.first_head + kv * push.per_kv + r % push.per_kv;
    uvec3 span = pm_kv_span(t);
    uvec2 range = pm_kv_range(span, split);
    if (gl_LocalInvocationID.x < 2)
        bad_positions[gl_LocalInvocationID.x] = 0;

    for (uint item = gl_LocalInvocationID.x; item < ROWS * OCTETS; item += LOCAL) {
        uint octet = item % OCTETS, from = min(first + item / OCTETS, n_rows - 1);
        uint at = (from / push.per_kv * push.n_heads + push.first_head + kv * push.per_kv + from % push.per_kv) * push.n_head;
        vec4 low = vec4(0.0), high = vec4(0.0);
        if (8 * octet < push.n_head) {
            low = q[at / 4 + 2 * octet] * push.scale;
            high = q[at / 4 + 2 * octet + 1] * push.scale;
        }
        tile[item / OCTETS * ROW + octet] = pm_eight_halves(low, high);
    }
    barrier();
    MATRIX(float16_t, gl_MatrixUseA) qs[PM_HEAD / 16];
    MATRIX(float, gl_MatrixUseAccumulator) sums[PM_HEAD / 16];
    [[unroll]] for (uint d = 0; d < PM_HEAD / 16; d++) {
        coopMatLoad(qs[d], tile, 16 * gl_SubgroupID * ROW + 2 * d, ROW, gl_CooperativeMatrixLayoutRowMajor);
        sums[d] = MATRIX(float, gl_MatrixUseAccumulator)(0.0);
    }

    float highest = LOWEST, total = 0.0;
    uint own_scores = gl_SubgroupID * 16 * SCORE_ROW, own_shares = gl_SubgroupID * 16 * SHARE_ROW, own_keeps = gl_SubgroupID * 256;
    // One sequence after another: all rows are of one, where there are no pages or many tokens of each.
    uint own_sequence = pm_kv_sequence(t);
    for (uint sequence = join_ranges(uvec2(own_sequence, own_sequence + 1)).x; sequence != 0xffffffffu;) {
        uvec2 seen = own_sequence == sequence ? range : uvec2(0), all = join_ranges(seen);
        uint which = 0;
        if (all.x < all.y) {
            fetch(cache, sequence, all.x, all.y);
            put(which);
        }
        barrier();
        for (uint base = all.x; base < all.y; base += POSITIONS, which ^= 1) {
            bool more = base + POSITIONS < all.y;
            if (more)
                fetch(cache, sequence, base + POSITIONS, all.y);

            [[unroll]] for (uint c = 0; c < POSITIONS / 16; c++) {
                MATRIX(float, gl_MatrixUseAccumulator) s = MATRIX(float, gl_MatrixUseAccumulator)(0.0);
                [[unroll]] for (uint d = 0; d < PM_HEAD / 16; d++) {
                    MATRIX(float16_t, gl_MatrixUseB) b;
                    coopMatLoad(b, tile, 16 * c * ROW + 2 * d, ROW, gl_CooperativeMatrixLayoutColumnMajor);
                    s = coopMatMulAdd(qs[d], b, s);
                }
                coopMatStore(s, scores, own_scores + 16 * c, SCORE_ROW, gl_CooperativeMatrixLayoutRowMajor);
            }
            subgroupMemoryBarrierShared();
            subgroupBarrier();

            float s[16], now = highest;
            uint bad = bad_positions[which] >> 16 * half_row;
            [[unroll]] for (uint i = 0; i < 16; i++) {
                uint j = base + 16 * half_row + i;
                s[i] = LOWEST;
                if (j >= seen.x && j < seen.y) {
                    s[i] = pm_kv_adjust(scores[own_scores + own_row * SCORE_ROW + 16 * half_row + i], head, span.x, j);
                    if ((bad >> i & 1u) != 0)
                        total = uintBitsToFloat(0x7fc00000u);
                }
                now = max(now, s[i]);
            }
            now = max(now, subgroupShuffleXor(now, 1));
            float zero = now == LOWEST ? 0.0 : now, keep = exp(highest - zero); // nothing but -Inf so far
            highest = now;
            total *= keep;
            [[unroll]] for (uint i = 0; i < 16; i++) {
                s[i] = exp(s[i] - zero);
                total += s[i];
            }
            [[unroll]] for (uint i = 0; i < 2; i++)
                shares[own_shares + own_row * SHARE_ROW + 2 * half_row + i] =
                    pm_eight_halves(vec4(s[8 * i], s[8 * i + 1], s[8 * i + 2], s[8 * i + 3]),
                                    vec4(s[8 * i + 4], s[8 * i + 5], s[8 * i + 6], s[8 * i + 7]));
            [[unroll]] for (uint i = 0; i < 8; i++)
                keeps[own_keeps + 16 * own_row + 8 * half_row + i] = keep;
            subgroupMemoryBarrierShared();
            subgroupBarrier();

            MATRIX(float, gl_MatrixUseAccumulator) keep_all;
            coopMatLoad(keep_all, keeps, own_keeps, 16, gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint d = 0; d < PM_HEAD / 16; d++)
                sums[d] = sums[d] * keep_all;
            [[unroll]] for (uint c = 0; c < POSITIONS / 16; c++) {
                MATRIX(float16_t, gl_MatrixUseA) a;
                coopMatLoad(a, shares, own_shares + 2 * c, SHARE_ROW, gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint d = 0; d < PM_HEAD / 16; d++) {
                    MATRIX(float16_t, gl_MatrixUseB) b;
                    coopMatLoad(b, tile, (POSITIONS + 16 * c) * ROW + 2 * d, ROW, gl_CooperativeMatrixLayoutRowMajor);
                    sums[d] = coopMatMulAdd(a, b, sums[d]);
                }
            }
            barrier();
            if (gl_LocalInvocationID.x == 0)
                bad_positions[which] = 0;
            if (more)
                put(which ^ 1);
            barrier();
        }
        sequence = join_ranges(uvec2(own_sequence > sequence ? own_sequence : 0xffffffffu, own_sequence + 1)).x;
    }
    total += subgroupShuffleXor(total, 1);

    bool mine = first + 16 * gl_SubgroupID + own_row < n_rows;
    uint row = t * push.n_heads + head, part = (row * push.n_splits + split) * (push.n_head + 2);
    [[unroll]] for (uint d = 0; d < PM_HEAD / 16; d++) {
        coopMatStore(sums[d], scores, own_scores, SCORE_ROW, gl_CooperativeMatrixLayoutRowMajor);
        subgroupMemoryBarrierShared();
        subgroupBarrier();
        [[unroll]] for (uint i = 0; i < 8; i++) {
            uint k = 16 * d + 8 * half_row + i;
            float sum = scores[own_scores + own_row * SCORE_ROW + 8 * half_row + i];
            if (mine && k < push.n_head) {
                if (push.n_splits == 1)
                    result[row * push.n_head + k] = sum / total;
                else
                    parts[part + k] = sum;
            }
        }
        subgroupMemoryBarrierShared();
        subgroupBarrier();
    }
    if (mine && push.n_splits > 1 && half_row == 0) {
        parts[part + push.n_head] = highest;
        parts[part + push.n_head + 1] = total;
    }
}
