// out_i[n] = sum_k w_i[k, n] h[k] (+ bias_i[n]) (+ residual[n]) for up to three weights i and a single row of x;
// h = x, or (PM_NORM) RMSNorm(x) with a weight; or (PM_GATED) out[n] = silu(w_0[:, n] . h) * (w_1[:, n] . h).
//
// For devices where a dispatch costs as much as a small product, and loads cost by their number: all that reads the same
// x is one dispatch, and x is normalised on the way: sum w x s = s sum w x, and the sum of squares that s needs falls out
// of the same loop. One invocation makes 4 rows of one weight (of both, if gated) in registers; one workgroup is a
// subgroup of 8 or more, whose invocations read 4 of a block's 32 values of x each and hand them round. -DW_<TYPE>. The
// weights lie in one buffer, and each of their planes is the same view of all of it.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common/rows.glsl"
#include "matmul_row.push.h"
#define PM_TEXEL
#define PM_WEIGHT_BIND 2
#include "common/weights.glsl"

layout(constant_id = 1) const uint PM_NORM = 0; // 1: RMSNorm, 2: RMSNorm with a weight
layout(constant_id = 2) const uint PM_GATED = 0;
layout(constant_id = 3) const uint PM_HAS_BIAS = 0;
layout(constant_id = 4) const uint PM_HAS_RESIDUAL = 0;
layout(constant_id = 5) const uint PM_PARTS = 1;

#define PM_OUT_BIND (PM_WEIGHT_BIND + PM_WEIGHT_PLANES)
layout(push_constant) uniform push_block { pm_matmul_row_push push; };
layout(set = 1, binding = 0) uniform samplerBuffer x_texels;
layout(set = 1, binding = 1) uniform samplerBuffer norm_texels;
layout(set = 1, binding = PM_OUT_BIND) readonly restrict buffer residual_block { vec4 residual[]; };
layout(set = 1, binding = PM_OUT_BIND + 1) readonly restrict buffer bias0_block { vec4 bias0[]; };
layout(set = 1, binding = PM_OUT_BIND + 2) readonly restrict buffer bias1_block { vec4 bias1[]; };
layout(set = 1, binding = PM_OUT_BIND + 3) readonly restrict buffer bias2_block { vec4 bias2[]; };
layout(set = 1, binding = PM_OUT_BIND + 4) writeonly restrict buffer out0_block { vec4 result0[]; };
layout(set = 1, binding = PM_OUT_BIND + 5) writeonly restrict buffer out1_block { vec4 result1[]; };
layout(set = 1, binding = PM_OUT_BIND + 6) writeonly restrict buffer out2_block { vec4 result2[]; };

#ifdef W_PLAIN
#define PM_ROW_VALUES(r, j) pm_values_at(quants + pm_quants_at(unit), r, j)
#else
#define PM_ROW_VALUES(r, j) pm_quants_mantissa(u, r, j)
#endif
#define PM_ROW_STEP(j, sum)                                                                                        \
    {                                                                                                              \
        vec4 w0 = PM_ROW_VALUES(0, j), w1 = PM_ROW_VALUES(1, j), w2 = PM_ROW_VALUES(2, j);                         \
        vec4 w3 = PM_ROW_VALUES(3, j), v = subgroupShuffle(part, j);                                               \
        sum += vec4(w0.x, w1.x, w2.x, w3.x) * v.x;                                                                 \
        sum += vec4(w0.y, w1.y, w2.y, w3.y) * v.y;                                                                 \
        sum += vec4(w0.z, w1.z, w2.z, w3.z) * v.z;                                                                 \
        sum += vec4(w0.w, w1.w, w2.w, w3.w) * v.w;                                                                 \
    }

// Four rows times a block of x, of which this invocation holds `part`; x_sums: the sums of its first and last 16 values.
// quants, scales, super: where the planes of the weight begin.
vec4 times_block(uint unit, uint quants, uint scales, uint super, vec4 part, vec2 x_sums)
{
    vec4 low = vec4(0.0), high = vec4(0.0);
    pm_unit u = pm_load_scales(unit, scales, super);
#if defined(W_SIGNED)
    pm_load_quants(u, unit, quants, 0, 2); // the first half of each row
#elif !defined(W_PLAIN)
    pm_load_quants(u, unit, quants, 0, 1);
#endif
    PM_ROW_STEP(0, low) PM_ROW_STEP(1, low) PM_ROW_STEP(2, low) PM_ROW_STEP(3, low)
#if defined(W_SIGNED)
    pm_load_quants(u, unit, quants, 1, 2);
#endif
    PM_ROW_STEP(4, high) PM_ROW_STEP(5, high) PM_ROW_STEP(6, high) PM_ROW_STEP(7, high)
#if defined(W_PLAIN)
    return low + high;
#elif defined(W_Q6_K)
    vec4 d = W_MANTISSA_SCALE * u.d, d_high = W_MANTISSA_SCALE * u.d_high;
    return d * low + (u.m - W_MANTISSA_ZERO * u.d) * x_sums.x + d_high * high +
           (u.m_high - W_MANTISSA_ZERO * u.d_high) * x_sums.y;
#else
    return W_MANTISSA_SCALE * u.d * (low + high) + (u.m - W_MANTISSA_ZERO * u.d) * (x_sums.x + x_sums.y);
#endif
}

void put(uint part, uint group, vec4 sum)
{
    uint n_out = push.n_out[part];
    if (4 * group >= n_out)
        return;
    if (PM_HAS_BIAS != 0)
        sum += part == 0 ? bias0[group] : part == 1 ? bias1[group] : bias2[group];
    if (PM_HAS_RESIDUAL != 0)
        sum += residual[group];
    if (part == 0)
        result0[group] = sum;
    else if (part == 1)
        result1[group] = sum;
    else
        result2[group] = sum;
}

void main()
{
    if (PM_ROWS_NOW(push) == 0)
        return;
    // Which weight, and which 4 rows of it.
    uint number = pm_group(), part = 0, per = 4 * gl_WorkGroupSize.x;
    if (PM_GATED == 0 && PM_PARTS > 1) {
        uint n0 = (push.n_out[0] + per - 1) / per, n1 = (push.n_out[1] + per - 1) / per;
        if (number >= n0) {
            number -= n0;
            part = 1;
        }
        if (PM_PARTS > 2 && part == 1 && number >= n1) {
            number -= n1;
            part = 2;
        }
    }
    uint group = number * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    uint last = (push.n_out[part] + 3) / 4 - 1, lane = gl_SubgroupInvocationID & 7u;
    uint from = min(group, last); // all stay active: shuffles need them
    uint quants = push.quants[part], scales = push.scales[part], super = push.super[part];
    vec4 sum = vec4(0.0), sum_up = vec4(0.0);
    float squares = 0.0;
    uint n_blocks = push.n_blocks, up_quants = push.quants[1], up_scales = push.scales[1], up_super = push.super[1];
    for (uint block = 0; block < n_blocks; block++) {
        vec4 mine = texelFetch(x_texels, int(block * 8 + lane));
        if (PM_NORM != 0)
            squares += dot(mine, mine);
        if (PM_NORM == 2)
            mine *= texelFetch(norm_texels, int(block * 8 + lane));
        vec2 x_sums = vec2(0.0);
#ifndef W_PLAIN
        float four = mine.x + mine.y + mine.z + mine.w;
        x_sums.x = subgroupShuffle(four, 0) + subgroupShuffle(four, 1) + subgroupShuffle(four, 2) + subgroupShuffle(four, 3);
        x_sums.y = subgroupShuffle(four, 4) + subgroupShuffle(four, 5) + subgroupShuffle(four, 6) + subgroupShuffle(four, 7);
#endif
        uint unit = pm_unit_at(from, block, n_blocks);
        sum += times_block(unit, quants, scales, super, mine, x_sums);
        if (PM_GATED != 0)
            sum_up += times_block(unit, up_quants, up_scales, up_super, mine, x_sums);
    }
    if (PM_NORM != 0) {
        // Every eighth invocation holds the same values of x.
        float mean = subgroupAdd(squares) * 8.0 / (float(gl_SubgroupSize) * float(push.n_k));
        float scale = 1.0 / sqrt(mean + push.eps);
        sum *= scale;
        sum_up *= scale;
    }
    if (PM_GATED != 0)
        sum = sum / (1.0 + exp(-sum)) * sum_up;
    put(part, group, sum);
}
