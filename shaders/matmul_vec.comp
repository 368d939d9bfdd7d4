// out[n, t] = sum_k w[k, n] x[k, t] (+ bias[n]) (+ residual[n, t]) for few rows t: matrix times vector, fp32.
// One workgroup per group of 4 weight rows and row of x; its invocations share the blocks of 32 values along K, so that
// neighbours read neighbouring memory, and their sums are reduced at the end. Each value of x serves 4 rows.
// -DW_<TYPE>; -DPM_SUBGROUP reduces with subgroup arithmetic.
#version 450
#extension GL_GOOGLE_include_directive : require
#define PM_X_TYPE vec4
#define PM_X_FLOAT
#include "common/matmul.glsl"
#include "common/reduce.glsl"

PM_REDUCE(pm_sum4, vec4, subgroupAdd, PM_JOIN_ADD)

void main()
{
    uint n_groups = push.end_group - push.first_group, number = pm_group();
    uint t = number / n_groups, group = push.first_group + number % n_groups;
    if (t >= PM_ROWS_NOW(push))
        return;
    vec4 sum = vec4(0.0);
    for (uint block = gl_LocalInvocationID.x; block < push.n_blocks; block += gl_WorkGroupSize.x) {
        pm_unit u = pm_load_unit(pm_unit_at(group, block, push.n_blocks));
        vec4 xs[8];
        [[unroll]] for (int j = 0; j < 8; j++)
            xs[j] = pm_x4(t, block * 32 + 4 * j);
#ifdef W_PLAIN
        [[unroll]] for (int r = 0; r < 4; r++)
            [[unroll]] for (int j = 0; j < 8; j++)
                sum[r] += dot(pm_values(u, r, j), xs[j]);
#else
        // sum (d q + m) x = d sum q x + m sum x
        vec4 low = xs[0] + xs[1] + xs[2] + xs[3], high = xs[4] + xs[5] + xs[6] + xs[7];
        float sum_low = low.x + low.y + low.z + low.w, sum_high = high.x + high.y + high.z + high.w;
        vec4 q_low = vec4(0.0), q_high = vec4(0.0);
        [[unroll]] for (int r = 0; r < 4; r++) {
            [[unroll]] for (int j = 0; j < 4; j++) {
                q_low[r] += dot(pm_quants_float(u, r, j), xs[j]);
                q_high[r] += dot(pm_quants_float(u, r, j + 4), xs[j + 4]);
            }
        }
#ifdef W_Q6_K
        sum += u.d * q_low + u.m * sum_low + u.d_high * q_high + u.m_high * sum_high;
#else
        sum += u.d * (q_low + q_high) + u.m * (sum_low + sum_high);
#endif
#endif
    }
    sum = pm_sum4(sum);
    if (gl_LocalInvocationID.x == 0)
        pm_matmul_finish(group, t, sum);
}
