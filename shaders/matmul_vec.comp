// out_i[n, t] = sum_k w_i[k, n] h[k, t] (+ bias_i[n]) (+ residual[n, t]) for up to three weights i and few rows t of x;
// h = x, or (PM_NORM) RMSNorm(x) with a weight; or (PM_GATED) out[n, t] = silu(w_0[:, n] . h) * (w_1[:, n] . h).
//
// For GPUs, where such a product takes as long as its weights take to arrive, and a small one as long as a dispatch:
// all that reads the same x is one dispatch, and x is normalised on the way: sum w x = s sum w x, and the sum of squares
// that s needs falls out of the reading of x.
//
// One workgroup makes a group of 4 weight rows (of both weights, if gated) with each of its teams of PM_TEAM invocations,
// for PM_ROWS rows of x. x is brought to shared memory by all of them, PM_CHUNK blocks of 32 values at a time, read as it
// lies in memory; then the invocations of a team take turns at the blocks along K, so that each unit of weights is read
// once, by one invocation, and decoded in registers. The next unit is asked for before the last is used, and the first
// before x is. Sums of a team are reduced at the end.
//
// -DW_<TYPE>; -DPM_FEW_ROWS: PM_ROWS is 2, 4 or 8, not 1; -DPM_SUBGROUP reduces with subgroup arithmetic; -DPM_I8 (for
// quantised types, with subgroups of 8 or more) makes x blocks of 8 bits on
// the way to shared memory and multiplies with integer dot products over packed bytes:
//     sum (d q + m) (e p) = d e sum q p + m e sum p     over a block, e and p of x
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef PM_I8
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "common/rows.glsl"
#include "common/reduce.glsl"
#include "matmul_vec.push.h"
#define PM_WEIGHT_BIND 2
#include "common/weights.glsl"
#ifdef PM_I8
#include "common/i8_products.glsl"
#endif

layout(constant_id = 2) const uint PM_NORM = 0; // 1: RMSNorm, 2: RMSNorm with a weight
layout(constant_id = 3) const uint PM_GATED = 0;
layout(constant_id = 4) const uint PM_HAS_BIAS = 0;
layout(constant_id = 5) const uint PM_HAS_RESIDUAL = 0;
layout(constant_id = 7) const uint PM_TEAM = 32; // invocations that share the blocks of a group along K
layout(constant_id = 8) const uint PM_ROWS = 1;  // of x, at most PM_MOST_ROWS
layout(constant_id = 9) const uint PM_CHUNK = 8; // blocks of each row that are in shared memory at once
layout(constant_id = 10) const uint PM_ALIGNED = 1; // K is a multiple of 32 and N one of 4
// do(t) for each row of x. Written out, so that arrays by row are indexed by constants and stay in registers; what is
// beyond PM_ROWS falls away when the pipeline is made.
#ifdef PM_FEW_ROWS
#define PM_MOST_ROWS 8
#define PM_EACH_ROW(do)                                                                                            \
    do(0) do(1)                                                                                                    \
    if (PM_ROWS > 2) { do(2) do(3) }                                                                               \
    if (PM_ROWS > 4) { do(4) do(5) do(6) do(7) }
#else
#define PM_MOST_ROWS 1
#define PM_EACH_ROW(do) do(0)
#endif

#define PM_OUT_BIND (PM_WEIGHT_BIND + PM_WEIGHT_PLANES)
layout(push_constant) uniform push_block { pm_matmul_vec_push push; };
layout(set = 1, binding = 0) readonly restrict buffer x_block { vec4 x[]; };
layout(set = 1, binding = 1) readonly restrict buffer norm_block { vec4 norm[]; };
layout(set = 1, binding = PM_OUT_BIND) readonly restrict buffer residual_block { vec4 residual[]; };
layout(set = 1, binding = PM_OUT_BIND + 1) readonly restrict buffer bias_block { vec4 bias[]; };
layout(set = 1, binding = PM_OUT_BIND + 2) writeonly restrict buffer out0_block { vec4 result0[]; };
layout(set = 1, binding = PM_OUT_BIND + 3) writeonly restrict buffer out1_block { vec4 result1[]; };
layout(set = 1, binding = PM_OUT_BIND + 4) writeonly restrict buffer out2_block { vec4 result2[]; };

#ifdef PM_SUBGROUP
uint lane = gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID;
#else
uint lane = gl_LocalInvocationID.x;
#endif
uint t0, rows; // the first row of x of this workgroup, and the end of all

// ---- x in shared memory ---------------------------------------------------------------------------------------

float squares[PM_MOST_ROWS]; // this invocation's share of the sum of squares of each row

#ifdef PM_I8
// Low and high words of each block apart, so that neighbours read neighbouring banks.
shared uvec4 x_words[2 * PM_CHUNK * PM_ROWS];
shared vec4 x_scales[PM_CHUNK * PM_ROWS];

// Eight neighbours hold a block, four values each.
void keep(uint t, uint block, uint j, vec4 v)
{
    uint widest = pm_i8_widest(v);
    widest = max(widest, subgroupShuffleXor(widest, 1));
    widest = max(widest, subgroupShuffleXor(widest, 2));
    widest = max(widest, subgroupShuffleXor(widest, 4));
    vec2 scale = pm_i8_scale(widest);
    float low;
    uint word = pm_i8_word(v, scale.y, low);
    low += subgroupShuffleXor(low, 1);
    low += subgroupShuffleXor(low, 2);
    float high = subgroupShuffleXor(low, 4);
    x_words[(j / 4 * PM_ROWS + t) * PM_CHUNK + block][j & 3u] = word;
    if (j == 0)
        x_scales[t * PM_CHUNK + block] = scale.x * vec4(1.0, low, high, low + high);
}

pm_i8_block kept(uint t, uint block)
{
    return pm_i8_block(x_words[t * PM_CHUNK + block], x_words[(PM_ROWS + t) * PM_CHUNK + block],
                       x_scales[t * PM_CHUNK + block]);
}
#else
shared vec4 x_values[8 * PM_CHUNK * PM_ROWS];

// Value j of neighbouring blocks is eight apart: turned by the block's number, they are in different banks.
uint kept_at(uint t, uint block, uint j)
{
    return (t * PM_CHUNK + block) * 8 + (j ^ (block & 7u));
}

void keep(uint t, uint block, uint j, vec4 v)
{
    x_values[kept_at(t, block, j)] = v;
}
#endif

#define PM_GUARDED(to, array, from, i) if (k + i < push.n_k) to = PM_AT(array, from + i);

// Values k .. k + 3 of row t of x, zeros beyond its end; k a multiple of 4.
vec4 x_at(uint t, uint k)
{
    uint at = t * push.n_k + k;
#ifdef W_PLAIN
    if (PM_ALIGNED == 0) {
        vec4 v = vec4(0.0);
        PM_GUARDED(v.x, x, at, 0) PM_GUARDED(v.y, x, at, 1) PM_GUARDED(v.z, x, at, 2) PM_GUARDED(v.w, x, at, 3)
        return v;
    }
#endif
    return x[at >> 2];
}

vec4 norm_at(uint k)
{
#ifdef W_PLAIN
    if (PM_ALIGNED == 0) {
        vec4 v = vec4(0.0);
        PM_GUARDED(v.x, norm, k, 0) PM_GUARDED(v.y, norm, k, 1) PM_GUARDED(v.z, norm, k, 2) PM_GUARDED(v.w, norm, k, 3)
        return v;
    }
#endif
    return norm[k >> 2];
}

void stage_row(uint t, uint base, uint first, uint end, vec4 weights[4])
{
    vec4 v[4]; // four loads are on their way at once
    [[unroll]] for (uint i = 0; i < 4; i++)
        v[i] = x_at(min(t0 + t, rows - 1), 32 * base + 4 * min(first + i * gl_WorkGroupSize.x, end - 1));
    [[unroll]] for (uint i = 0; i < 4; i++) {
        uint at = first + i * gl_WorkGroupSize.x;
        if (at < end) {
            if (PM_NORM != 0)
                squares[t] += dot(v[i], v[i]);
            keep(t, at / 8, at % 8, PM_NORM == 2 ? v[i] * weights[i] : v[i]);
        }
    }
}

// Blocks [base, base + n) of each row.
void stage(uint base, uint n)
{
    uint end = 8 * n;
    for (uint first = lane; first < end; first += 4 * gl_WorkGroupSize.x) {
        vec4 weights[4];
        [[unroll]] for (uint i = 0; i < 4; i++)
            weights[i] = PM_NORM == 2 ? norm_at(32 * base + 4 * min(first + i * gl_WorkGroupSize.x, end - 1)) : vec4(1.0);
#define PM_STAGE_ROW(t) stage_row(t, base, first, end, weights);
        PM_EACH_ROW(PM_STAGE_ROW)
    }
}

// ---- products -------------------------------------------------------------------------------------------------

vec4 sums[PM_MOST_ROWS], sums_up[PM_MOST_ROWS];

#ifdef W_PLAIN
#define PM_UNIT uint // its number: loaded as a whole it would take too many registers
#define PM_GET_UNIT(part, number) (number)

void add_unit(inout vec4 to[PM_MOST_ROWS], uint part, uint unit, uint block)
{
    for (int j = 0; j < 8; j++) {
        vec4 w[4];
        [[unroll]] for (int r = 0; r < 4; r++)
            w[r] = pm_values_at(push.quants[part] + pm_quants_at(unit), r, j);
#define PM_ADD_FOUR(t)                                                                                             \
    {                                                                                                              \
        vec4 v = x_values[kept_at(t, block, j)];                                                                   \
        to[t] += vec4(dot(w[0], v), dot(w[1], v), dot(w[2], v), dot(w[3], v));                                     \
    }
        PM_EACH_ROW(PM_ADD_FOUR)
    }
}
#else
#define PM_UNIT pm_unit
#define PM_GET_UNIT(part, number) get_unit(part, number)

pm_unit get_unit(uint part, uint number)
{
    pm_unit u = pm_load_scales(number, push.scales[part], push.super[part]);
    pm_load_quants(u, number, push.quants[part], 0, 1);
    return u;
}

#ifdef PM_I8
vec4 unit_times(const pm_unit u, uint t, uint block)
{
    return pm_unit_times(u, kept(t, block));
}
#else
// sum (d q + m) x = d sum q x + m sum x
vec4 unit_times(const pm_unit u, uint t, uint block)
{
    vec4 low = vec4(0.0), high = vec4(0.0), q_low = vec4(0.0), q_high = vec4(0.0);
    [[unroll]] for (int j = 0; j < 4; j++) {
        vec4 a = x_values[kept_at(t, block, j)], b = x_values[kept_at(t, block, j + 4)];
        low += a;
        high += b;
        [[unroll]] for (int r = 0; r < 4; r++) {
            q_low[r] += dot(pm_quants_float(u, r, j), a);
            q_high[r] += dot(pm_quants_float(u, r, j + 4), b);
        }
    }
    float sum_low = low.x + low.y + low.z + low.w, sum_high = high.x + high.y + high.z + high.w;
#ifdef W_Q6_K
    return u.d * q_low + u.m * sum_low + u.d_high * q_high + u.m_high * sum_high;
#else
    return u.d * (q_low + q_high) + u.m * (sum_low + sum_high);
#endif
}
#endif

void add_unit(inout vec4 to[PM_MOST_ROWS], uint part, const pm_unit u, uint block)
{
#define PM_ADD_ROW(t) to[t] += unit_times(u, t, block);
    PM_EACH_ROW(PM_ADD_ROW)
}
#endif

// ---- the end --------------------------------------------------------------------------------------------------

PM_REDUCE(pm_sum4, vec4, subgroupAdd, PM_JOIN_ADD)

// The sum over a team, for each of its invocations.
shared vec4 team_parts[PM_MAX_LOCAL];
vec4 team_sum(vec4 value)
{
#ifdef PM_SUBGROUP
    value = subgroupAdd(value);
    if (PM_TEAM > gl_SubgroupSize) {
        if (subgroupElect())
            team_parts[gl_SubgroupID] = value;
        barrier();
        uint n = PM_TEAM / gl_SubgroupSize, first = gl_SubgroupID / n * n;
        value = team_parts[first];
        for (uint i = 1; i < n; i++)
            value += team_parts[first + i];
        barrier();
    }
#else
    team_parts[lane] = value;
    barrier();
    for (uint step = PM_TEAM / 2; step > 0; step /= 2) {
        if (lane % PM_TEAM < step)
            team_parts[lane] += team_parts[lane + step];
        barrier();
    }
    value = team_parts[lane / PM_TEAM * PM_TEAM];
    barrier();
#endif
    return value;
}

void put(uint part, uint at, vec4 value)
{
    if (part == 0)
        result0[at] = value;
    else if (part == 1)
        result1[at] = value;
    else
        result2[at] = value;
}

// Rows 4 group .. 4 group + 3 of a weight (chunk) for row t of x: adds bias and residual, writes.
void finish(uint part, uint group, uint t, vec4 sum)
{
    uint n = push.first_row + 4 * group, at = t * push.n_out[part] + n, from = push.bias[part] + n;
    if (PM_ALIGNED != 0) {
        if (PM_HAS_BIAS != 0)
            sum += bias[from >> 2];
        if (PM_HAS_RESIDUAL != 0)
            sum += residual[at >> 2];
        put(part, at >> 2, sum);
        return;
    }
    [[unroll]] for (uint i = 0; i < 4; i++) { // one weight only: see matmul_vec_vk.c
        if (n + i < push.n_out[0]) {
            float value = sum[i];
            if (PM_HAS_BIAS != 0)
                value += PM_AT(bias, from + i);
            if (PM_HAS_RESIDUAL != 0)
                value += PM_AT(residual, at + i);
            PM_AT(result0, at + i) = value;
        }
    }
}

vec4 inverse_rms(vec4 sum_of_squares)
{
    return 1.0 / sqrt(sum_of_squares / float(push.n_k) + push.eps);
}

// Row t of what this team has made.
void finish_row(uint t, uint part, uint group, bool mine, float scale)
{
    vec4 sum = team_sum(sums[t]) * scale;
    if (PM_GATED != 0)
        sum = sum / (1.0 + exp(-sum)) * (team_sum(sums_up[t]) * scale);
    if (mine && lane % PM_TEAM == t && t0 + t < rows)
        finish(part, group, t0 + t, sum);
}

void main()
{
    rows = PM_ROWS_NOW(push);
    uint number = pm_group(), n_passes = (push.n_rows + PM_ROWS - 1) / PM_ROWS;
    t0 = number % n_passes * PM_ROWS;
    if (t0 >= rows)
        return;
    number /= n_passes;
    // Which weight, and which 4 rows of it.
    uint n_teams = gl_WorkGroupSize.x / PM_TEAM, part = 0, first = push.first_group, end = push.end_group;
    while (PM_GATED == 0 && part < 2 && number >= (end - first + n_teams - 1) / n_teams) {
        number -= (end - first + n_teams - 1) / n_teams;
        part++;
        first = 0;
        end = push.n_out[part] / 4;
    }
    first += number * n_teams;
    if (first >= end)
        return;
    uint group = first + lane / PM_TEAM, member = lane % PM_TEAM;
    bool mine = group < end;
    uint begin = min(group, end - 1) * push.n_blocks; // all stay active: they bring x and meet at barriers

    [[unroll]] for (uint t = 0; t < PM_MOST_ROWS; t++) {
        sums[t] = sums_up[t] = vec4(0.0);
        squares[t] = 0.0;
    }
    for (uint base = 0; base < push.n_blocks; base += PM_CHUNK) {
        uint n = min(PM_CHUNK, push.n_blocks - base), block = member;
        PM_UNIT u = PM_GET_UNIT(part, begin + base + min(block, n - 1)), up = u;
        if (PM_GATED != 0)
            up = PM_GET_UNIT(1, begin + base + min(block, n - 1));
        if (base > 0)
            barrier();
        stage(base, n);
        barrier();
        while (block < n) {
            uint next = block + PM_TEAM;
            PM_UNIT u_next = PM_GET_UNIT(part, begin + base + min(next, n - 1)), up_next = u_next;
            if (PM_GATED != 0)
                up_next = PM_GET_UNIT(1, begin + base + min(next, n - 1));
            add_unit(sums, part, u, block);
            if (PM_GATED != 0)
                add_unit(sums_up, 1, up, block);
            u = u_next;
            up = up_next;
            block = next;
        }
    }

    vec4 scale0 = vec4(1.0), scale1 = vec4(1.0); // of rows 0 to 3, 4 to 7
    if (PM_NORM != 0) {
#ifdef PM_FEW_ROWS
        scale0 = inverse_rms(pm_sum4(vec4(squares[0], squares[1], squares[2], squares[3])));
        if (PM_ROWS > 4)
            scale1 = inverse_rms(pm_sum4(vec4(squares[4], squares[5], squares[6], squares[7])));
#else
        scale0 = inverse_rms(pm_sum4(vec4(squares[0])));
#endif
    }
#define PM_FINISH_ROW(t) finish_row(t, part, group, mine, t < 4 ? scale0[t % 4] : scale1[t % 4]);
    PM_EACH_ROW(PM_FINISH_ROW)
}
