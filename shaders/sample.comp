// One draw from each row of logits; the contract is in engine/ops/ops.h, to the letter. One workgroup per row.
//
// The sets that top-k and top-p keep are {key >= theta} in the order-preserving integers of common/float_keys.glsl.
// theta is found two bits at a time from the count, or the sum of weights, at or above three candidates: 16 passes over
// the row, no sorting and no scratch memory. To draw, invocations add up the weights of consecutive stretches, so that
// the walk in order of index needs to enter only one of them.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common/rows.glsl"
#ifdef PM_SUBGROUP
#define PM_MAX_LOCAL 512
#endif
#include "common/reduce.glsl"
#include "common/float_keys.glsl"
#include "argmax.push.h"
#include "ops/random_unit.h"

layout(push_constant) uniform push_block { pm_argmax_push push; };
layout(set = 1, binding = 0) readonly restrict buffer logits_block { float logits[]; };
layout(set = 1, binding = 1) readonly restrict buffer settings_block { int settings[]; };
layout(set = 1, binding = 2) writeonly restrict buffer out_block { int result[]; };

#include "common/row_sampling.glsl"

PM_REDUCE(pm_largest, uint, subgroupMax, max)
PM_REDUCE(pm_smallest, uint, subgroupMin, min)
PM_REDUCE(pm_sum3, vec3, subgroupAdd, PM_JOIN_ADD)

shared float stretch_sum[PM_MAX_LOCAL];
shared int stretch_last[PM_MAX_LOCAL]; // the last index with a weight, or -1

uint lane = gl_LocalInvocationID.x, size = gl_WorkGroupSize.x;
uint first;           // of this row's logits
float highest;        // largest logit
uint highest_key, theta;
pm_row_sampling own;  // settings

// Several logits are asked for at once: a load takes a hundred times as long as what is done with it.
#define PM_AHEAD 8

// Logits i, i + size, ..., the last one where there are no more.
void load_ahead(uint i, out float values[PM_AHEAD])
{
    [[unroll]] for (uint a = 0; a < PM_AHEAD; a++)
        values[a] = logits[first + min(i + a * size, push.n_row - 1)];
}

uint key_at(uint i)
{
    return pm_key(logits[first + i], PM_KEY_LOWEST);
}

// exp((logit - highest) / temperature); 1 for the highest, 0 for what is too far below to matter.
float weight_of_value(float value, uint key, float temperature)
{
    if (key == highest_key)
        return 1.0;
    float below = key <= PM_KEY_LOWEST ? -1e30 : (value - highest) / temperature;
    return below < -100.0 ? 0.0 : exp(below);
}

float weight_of(uint i, uint key, float temperature)
{
    return weight_of_value(logits[first + i], key, temperature);
}

// How much lies at or above each of three thresholds: tokens, or weight among those kept so far.
vec3 amount_above(uvec3 thresholds, bool count)
{
    vec3 amount = vec3(0.0);
    for (uint i = lane; i < push.n_row; i += PM_AHEAD * size) {
        float values[PM_AHEAD];
        load_ahead(i, values);
        [[unroll]] for (uint a = 0; a < PM_AHEAD; a++) {
            uint key = pm_key(values[a], PM_KEY_LOWEST);
            if (i + a * size < push.n_row && key >= theta && key >= thresholds.x)
                amount += (count ? 1.0 : weight_of_value(values[a], key, 1.0)) *
                          vec3(greaterThanEqual(uvec3(key), thresholds));
        }
    }
    return pm_sum3(amount);
}

// The largest threshold that still has `wanted` at or above it.
uint largest_theta(float wanted, bool count)
{
    uint found = 0;
    for (int shift = 30; shift >= 0; shift -= 2) {
        vec3 amount = amount_above(found + (uvec3(1, 2, 3) << shift), count);
        found += (amount.z >= wanted ? 3u : amount.y >= wanted ? 2u : amount.x >= wanted ? 1u : 0u) << shift;
    }
    return found;
}

bool kept(uint i, uint key)
{
    return key >= theta && weight_of(i, key, 1.0) >= own.min_p;
}

void draw(uint row)
{
    uint stretch = (push.n_row + size - 1) / size;
    uint begin = min(lane * stretch, push.n_row), end = min(begin + stretch, push.n_row);
    float sum = 0.0;
    int last = -1;
    for (uint i = begin; i < end; i++) {
        uint key = key_at(i);
        if (kept(i, key)) {
            float weight = weight_of(i, key, own.temperature);
            sum += weight;
            last = weight > 0.0 ? int(i) : last;
        }
    }
    stretch_sum[lane] = sum;
    stretch_last[lane] = last;
    barrier();
    float whole = 0.0, u = float(pm_random_bits(own.seed_lo, own.seed_hi, own.draw) >> 8) * 5.9604644775390625e-8;
    for (uint l = 0; l < size; l++)
        whole += stretch_sum[l];
    float left = u * whole; // what is still to be walked over
    uint chosen = size;
    for (uint l = 0; l < size && chosen == size; l++) {
        if (stretch_sum[l] > left)
            chosen = l;
        else
            left -= stretch_sum[l];
    }
    if (lane == 0 && chosen == size) { // rounding: nothing exceeded u times the whole
        int fallback = 0;
        for (uint l = 0; l < size; l++)
            fallback = max(fallback, stretch_last[l]);
        result[row] = fallback;
    }
    if (lane != chosen)
        return;
    float running = 0.0;
    for (uint i = begin; i < end; i++) {
        uint key = key_at(i);
        if (kept(i, key)) {
            running += weight_of(i, key, own.temperature);
            if (running > left) {
                result[row] = int(i);
                return;
            }
        }
    }
    result[row] = last;
}

void main()
{
    uint row = pm_group();
    if (row >= PM_ROWS_NOW(push))
        return;
    first = row * push.n_row;
    own = pm_row_settings(row);
    theta = 0;
    uint best = 0, index = push.n_row;
    for (uint i = lane; i < push.n_row; i += PM_AHEAD * size) {
        float values[PM_AHEAD];
        load_ahead(i, values);
        [[unroll]] for (uint a = 0; a < PM_AHEAD; a++) {
            uint key = pm_key(values[a], PM_KEY_LOWEST);
            if (key > best) {
                best = key;
                index = min(i + a * size, push.n_row - 1);
            }
        }
    }
    highest_key = pm_largest(best);
    index = pm_smallest(best == highest_key ? index : 0xffffffffu);
    if (!(own.temperature > 0.0) || highest_key <= PM_KEY_LOWEST) {
        if (lane == 0)
            result[row] = int(min(index, push.n_row - 1));
        return;
    }
    highest = logits[first + index];
    if (own.top_k > 0 && uint(own.top_k) < push.n_row)
        theta = min(largest_theta(float(own.top_k), true), highest_key);
    if (own.top_p < 1.0) {
        float total = amount_above(uvec3(theta), false).x;
        theta = max(theta, min(largest_theta(own.top_p * total, false), highest_key));
    }
    draw(row);
}
