// out[n, t] = sum_k w[k, n] x[k, t] (+ bias[n]) (+ residual[n, t]), fp32.
// One invocation makes a tile of 4 weight rows x PM_TILE rows of x in registers: weights are decoded once for the tile,
// and there is neither shared memory nor a barrier. One workgroup per (as many groups of 4 weight rows as it has
// invocations) x (PM_TILE rows of x); tiles of the same weights are neighbours, so that they meet in the cache.
// All invocations of a workgroup read the same x. -DW_<TYPE>. With -DPM_SUBGROUP each reads a different 4 of the 32
// values of a block and subgroup shuffles hand them round (subgroups of 8 or more): an eighth of the loads, for devices
// where every invocation's load costs by itself. With -DPM_TEXEL x and the weight are texel buffers, whose loads such
// devices do for a whole subgroup at once.
#version 450
#extension GL_GOOGLE_include_directive : require
#define PM_X_TYPE vec4
#define PM_X_FLOAT
#include "common/matmul.glsl"
#ifdef PM_SUBGROUP
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

#ifdef PM_SUBGROUP
#define PM_X(t, j) subgroupShuffle(part[t], j)
#else
#define PM_X(t, j) pm_x4(min(t0 + t, rows - 1), block * 32 + 4 * j)
#endif

#if defined(W_PLAIN)
#define PM_UNIT_VALUES(r, j) pm_values_at(pm_quants_at(unit), r, j) // a unit at once takes too many registers
#else
#define PM_UNIT_VALUES(r, j) pm_values(u, r, j)
#endif

// One row of x and quantised weights: sum (d q + m) x = d sum q x + m sum x, which decodes with fewer instructions; the
// sums are of the block's first 16 values and of its last.
#if PM_TILE == 1 && !defined(W_PLAIN)
#define PM_ONE_ROW
#define PM_STEP(j)                                                                                                 \
    {                                                                                                              \
        vec4 q0 = pm_quants_float(u, 0, j), q1 = pm_quants_float(u, 1, j), q2 = pm_quants_float(u, 2, j);          \
        vec4 q3 = pm_quants_float(u, 3, j), v = PM_X(0, j);                                                        \
        q_sums[j / 4] += vec4(q0.x, q1.x, q2.x, q3.x) * v.x;                                                       \
        q_sums[j / 4] += vec4(q0.y, q1.y, q2.y, q3.y) * v.y;                                                       \
        q_sums[j / 4] += vec4(q0.z, q1.z, q2.z, q3.z) * v.z;                                                       \
        q_sums[j / 4] += vec4(q0.w, q1.w, q2.w, q3.w) * v.w;                                                       \
        x_sums[j / 4] += v;                                                                                        \
    }
#else
// Values 4 j .. 4 j + 3 of the block; j is a literal, so that shuffles are known when the shader is compiled.
#define PM_STEP(j)                                                                                                 \
    {                                                                                                              \
        vec4 w0 = PM_UNIT_VALUES(0, j), w1 = PM_UNIT_VALUES(1, j), w2 = PM_UNIT_VALUES(2, j);                      \
        vec4 w3 = PM_UNIT_VALUES(3, j);                                                                            \
        [[unroll]] for (int t = 0; t < PM_TILE; t++) {                                                             \
            vec4 v = PM_X(t, j);                                                                                   \
            sums[t] += vec4(w0.x, w1.x, w2.x, w3.x) * v.x;                                                         \
            sums[t] += vec4(w0.y, w1.y, w2.y, w3.y) * v.y;                                                         \
            sums[t] += vec4(w0.z, w1.z, w2.z, w3.z) * v.z;                                                         \
            sums[t] += vec4(w0.w, w1.w, w2.w, w3.w) * v.w;                                                         \
        }                                                                                                          \
    }
#endif

void main()
{
    uint n_tiles = (push.n_rows + PM_TILE - 1) / PM_TILE, number = pm_group();
    uint t0 = number % n_tiles * PM_TILE, rows = PM_ROWS_NOW(push);
    uint group = push.first_group + number / n_tiles * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    if (t0 >= rows)
        return;
    bool mine = group < push.end_group;
    group = min(group, push.end_group - 1); // all stay active: shuffles need them
    vec4 sums[PM_TILE];
    [[unroll]] for (int t = 0; t < PM_TILE; t++)
        sums[t] = vec4(0.0);
    for (uint block = 0; block < push.n_blocks; block++) {
        uint unit = pm_unit_at(group, block, push.n_blocks);
#if defined(W_PLAIN) && !defined(PM_SUBGROUP)
        for (int j = 0; j < 8; j++) // unrolled, weak compilers take seconds
            PM_STEP(j)
#else
#ifndef W_PLAIN
        pm_unit u = pm_load_unit(unit);
#endif
#ifdef PM_SUBGROUP
        vec4 part[PM_TILE];
        [[unroll]] for (int t = 0; t < PM_TILE; t++)
            part[t] = pm_x4(min(t0 + t, rows - 1), block * 32 + (gl_SubgroupInvocationID & 7u) * 4);
#endif
#ifdef PM_ONE_ROW
        vec4 q_sums[2] = {vec4(0.0), vec4(0.0)}, x_sums[2] = {vec4(0.0), vec4(0.0)};
#endif
        PM_STEP(0) PM_STEP(1) PM_STEP(2) PM_STEP(3) PM_STEP(4) PM_STEP(5) PM_STEP(6) PM_STEP(7)
#ifdef PM_ONE_ROW
        float x_low = dot(x_sums[0], vec4(1.0)), x_high = dot(x_sums[1], vec4(1.0));
#ifdef W_Q6_K
        sums[0] += u.d * q_sums[0] + u.m * x_low + u.d_high * q_sums[1] + u.m_high * x_high;
#else
        sums[0] += u.d * (q_sums[0] + q_sums[1]) + u.m * (x_low + x_high);
#endif
#endif
#endif
    }
    [[unroll]] for (int t = 0; t < PM_TILE; t++)
        if (mine && t0 + t < rows)
            pm_matmul_finish(group, t0 + t, sums[t]);
}
