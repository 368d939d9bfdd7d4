// out[:, h, t] = sum_j softmax_j(scale q[:, h, t] . k[:, j, kv]) v[:, j, kv], j over the positions that t may see: for few
// tokens t, where the caches are what has to be read.
// One workgroup per token, head of the caches (with up to PM_HEADS of the query heads that share it) and part of the
// range of positions. PM_LANES neighbours hold a position: 8 of the D values of its key and value each, of all the
// queries, and of the sums, each such team with an online softmax of its own; so loads are whole lines of memory, keys
// and values are asked for at once, and no barrier holds up the loop. The teams' sums are joined at the end. Where the
// range has several parts, each workgroup leaves its sums in scratch, and the last to finish, which a counter tells,
// joins them; with one part, as in short contexts, there is none of that.
// Caches as in common/kv_cache.glsl. The counters are zero before and after.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common/rows.glsl"
#include "attention.push.h"
#include "common/kv_cache.glsl"

layout(constant_id = 1) const uint PM_HEADS = 1; // at most MOST_HEADS
layout(constant_id = 2) const uint PM_LANES = 8; // a power of two, at least D / 8, at most a subgroup
layout(constant_id = 3) const uint PM_SPANS = 0; // positions are triples
layout(constant_id = 4) const uint PM_HAS_BIAS = 0;
layout(constant_id = 5) const uint PM_PAGED = 0; // positions are pairs (position, sequence), slots by the table of pages

layout(push_constant) uniform push_block { pm_attention_push push; };
layout(set = 1, binding = 0) readonly restrict buffer q_block { vec4 q[]; };
layout(set = 1, binding = 1) readonly restrict buffer k_block { PM_CACHE_UNIT keys[]; };
layout(set = 1, binding = 2) readonly restrict buffer v_block { PM_CACHE_UNIT values[]; };
layout(set = 1, binding = 3) readonly restrict buffer positions_block { int positions[]; };
layout(set = 1, binding = 4) writeonly restrict buffer out_block { vec4 result[]; };
layout(set = 1, binding = 5) coherent restrict buffer parts_block { vec4 parts[]; }; // D values, (maximum, total, -, -)
layout(set = 1, binding = 6) readonly restrict buffer table_block { int table[]; }; // bits of the bias, or pages
layout(set = 1, binding = 7) coherent restrict buffer counters_block { uint counters[]; };

#include "common/kv_range.glsl"

#define LOWEST uintBitsToFloat(0xff800000u)
#define MOST_LOCAL 256
#define MOST_HEADS 4
// do(h) for each head: written out, so that arrays by head are indexed by constants and stay in registers.
#define PM_EACH_HEAD(do)                                                                                           \
    do(0) if (PM_HEADS > 1) { do(1) } if (PM_HEADS > 2) { do(2) } if (PM_HEADS > 3) { do(3) }

shared vec4 joined[2 * MOST_LOCAL]; // sums of each subgroup
shared vec2 ends[MOST_LOCAL];       // (maximum, total): of each subgroup; of each head's parts
shared uint n_done;

uint lane = gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID, size = gl_WorkGroupSize.x;

PM_CACHE_LOADER(load_key, keys)
PM_CACHE_LOADER(load_value, values)

// An online softmax: maximum and total so far, and the weighted sum.
struct running {
    float highest, total;
    vec4 low, high;
};

pm_eight query[MOST_HEADS];
running all[MOST_HEADS];
uint first, n; // the heads of this workgroup

float above(float highest) // what to take exponents from: 0 where there is nothing but -Inf so far
{
    return highest == LOWEST ? 0.0 : highest;
}

void take(inout running r, float score, const pm_eight v)
{
    float now = max(r.highest, score), keep = exp(r.highest - above(now)), p = exp(score - above(now));
    r.total = r.total * keep + p;
    r.low = r.low * keep + p * v.low;
    r.high = r.high * keep + p * v.high;
    r.highest = now;
}

// Joins what the teams of this subgroup have.
void join_teams(inout running r)
{
    for (uint step = PM_LANES; step < gl_SubgroupSize; step *= 2) {
        float other = subgroupShuffleXor(r.highest, step), now = max(r.highest, other);
        float a = exp(r.highest - above(now)), b = exp(other - above(now));
        r.total = r.total * a + subgroupShuffleXor(r.total, step) * b;
        r.low = r.low * a + subgroupShuffleXor(r.low, step) * b;
        r.high = r.high * a + subgroupShuffleXor(r.high, step) * b;
        r.highest = now;
    }
}

// Joins what the subgroups have, for the first team.
void join_subgroups(inout running r)
{
    uint number = gl_SubgroupID, member = gl_SubgroupInvocationID;
    barrier();
    if (member < PM_LANES) {
        joined[2 * (number * PM_LANES + member)] = r.low;
        joined[2 * (number * PM_LANES + member) + 1] = r.high;
        if (member == 0)
            ends[number] = vec2(r.highest, r.total);
    }
    barrier();
    if (lane >= PM_LANES)
        return;
    float highest = LOWEST;
    for (uint i = 0; i < gl_NumSubgroups; i++)
        highest = max(highest, ends[i].x);
    r = running(highest, 0.0, vec4(0.0), vec4(0.0));
    for (uint i = 0; i < gl_NumSubgroups; i++) {
        float weight = exp(ends[i].x - above(highest));
        r.total += weight * ends[i].y;
        r.low += weight * joined[2 * (i * PM_LANES + member)];
        r.high += weight * joined[2 * (i * PM_LANES + member) + 1];
    }
}

// Joins the parts of the heads of token t.
void join_parts(uint t, uint n_parts)
{
    uint quarter = push.n_head / 4, row = t * push.n_heads + first;
    for (uint i = lane; i < n * n_parts; i += size)
        ends[i] = parts[((row + i / n_parts) * push.n_splits + i % n_parts) * (quarter + 1) + quarter].xy;
    barrier();
    for (uint i = lane; i < n * quarter; i += size) {
        uint h = i / quarter, from = (row + h) * push.n_splits * (quarter + 1) + i % quarter;
        float highest = LOWEST, total = 0.0;
        for (uint s = 0; s < n_parts; s++)
            highest = max(highest, ends[h * n_parts + s].x);
        vec4 sum = vec4(0.0);
        for (uint s = 0; s < n_parts; s++) {
            float weight = exp(ends[h * n_parts + s].x - above(highest));
            total += weight * ends[h * n_parts + s].y;
            sum += weight * parts[from + s * (quarter + 1)];
        }
        result[(row + h) * quarter + i % quarter] = sum / total;
    }
}

// The sum of a team.
float team_sum(float value)
{
    if (PM_LANES > 1)
        value += subgroupShuffleXor(value, 1);
    if (PM_LANES > 2)
        value += subgroupShuffleXor(value, 2);
    if (PM_LANES > 4)
        value += subgroupShuffleXor(value, 4);
    if (PM_LANES > 8)
        value += subgroupShuffleXor(value, 8);
    if (PM_LANES > 16)
        value += subgroupShuffleXor(value, 16);
    return value;
}

void begin_head(uint h, uint t, uint own, bool mine)
{
    uint at = ((t * push.n_heads + first + min(h, n - 1)) * push.n_head + own) / 4;
    float scale = mine ? push.scale : 0.0;
    query[h] = pm_eight(q[at] * scale, q[at + 1] * scale);
    all[h] = running(LOWEST, 0.0, vec4(0.0), vec4(0.0));
}

void take_position(uint j, uint own_position, pm_raw k, pm_raw v)
{
    pm_eight key = pm_decoded(k), value = pm_decoded(v);
#define PM_TAKE(h)                                                                                                 \
    take(all[h],                                                                                                   \
         pm_kv_adjust(team_sum(dot(query[h].low, key.low) + dot(query[h].high, key.high)), first + min(h, n - 1),  \
                      own_position, j),                                                                            \
         value);
    PM_EACH_HEAD(PM_TAKE)
}

// `part`: 0: this is all; else 1 + its number.
void end_head(uint h, uint t, uint own, bool mine, uint part)
{
    join_teams(all[h]);
    join_subgroups(all[h]);
    if (h >= n || lane >= PM_LANES || !mine)
        return;
    uint row = t * push.n_heads + first + h, quarter = push.n_head / 4;
    if (part == 0) {
        result[row * quarter + own / 4] = all[h].low / all[h].total;
        result[row * quarter + own / 4 + 1] = all[h].high / all[h].total;
        return;
    }
    uint to = (row * push.n_splits + part - 1) * (quarter + 1);
    parts[to + own / 4] = all[h].low;
    parts[to + own / 4 + 1] = all[h].high;
    if (lane == 0)
        parts[to + quarter] = vec4(all[h].highest, all[h].total, 0.0, 0.0);
}

void main()
{
    uint number = pm_group(), split = number % push.n_splits, n_sets = (push.per_kv + PM_HEADS - 1) / PM_HEADS;
    number /= push.n_splits;
    uint set = number % n_sets, kv = number / n_sets % (push.count / push.per_kv);
    uint t = push.first_row + number / n_sets / (push.count / push.per_kv);
    if (t >= min(PM_ROWS_NOW(push), push.end_row))
        return;
    uvec3 span = pm_kv_span(t);
    uvec2 range = pm_kv_range(span, split);
    if (range.x >= range.y)
        return;
    uint sequence = pm_kv_sequence(t), member = lane % PM_LANES, n_teams = size / PM_LANES;
    bool mine = 8 * member < push.n_head;
    uint own = mine ? 8 * member : 0;
    first = push.first_head + kv * push.per_kv + set * PM_HEADS;
    n = min(PM_HEADS, push.per_kv - set * PM_HEADS);

#define PM_BEGIN_HEAD(h) begin_head(h, t, own, mine);
    PM_EACH_HEAD(PM_BEGIN_HEAD)
    for (uint j = range.x + lane / PM_LANES; j < range.y; j += 2 * n_teams) { // two positions are on their way at once
        uint next = j + n_teams;
        uint row = kv * push.n_ctx + pm_kv_slot(sequence, j);
        uint row_next = kv * push.n_ctx + pm_kv_slot(sequence, min(next, range.y - 1));
        pm_raw k = load_key(row, own / 8), k_next = load_key(row_next, own / 8);
        pm_raw v = load_value(row, own / 8), v_next = load_value(row_next, own / 8);
        take_position(j, span.x, k, v);
        if (next < range.y)
            take_position(next, span.x, k_next, v_next);
    }

    // How many parts there are: all but the last are of one size, and begin at multiples of it.
    uint n_seen = span.z - span.y + 1, part = split > 0 ? (range.x - span.y) / split : range.y - range.x;
    uint n_parts = (n_seen + part - 1) / part, which = n_parts == 1 ? 0 : 1 + split;
#define PM_END_HEAD(h) end_head(h, t, own, mine, which);
    PM_EACH_HEAD(PM_END_HEAD)
    if (n_parts == 1)
        return;
    memoryBarrierBuffer();
    barrier();
    if (lane == 0)
        n_done = atomicAdd(counters[t * push.n_heads + first], 1) + 1;
    barrier();
    if (n_done < n_parts)
        return;
    memoryBarrierBuffer();
    if (lane == 0)
        counters[t * push.n_heads + first] = 0;
    join_parts(t, n_parts);
}
