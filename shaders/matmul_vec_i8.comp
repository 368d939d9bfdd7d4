// out[n, t] = sum_k w[k, n] x[k, t] (+ bias[n]) (+ residual[n, t]) for few rows t, x in 8 bits (quantize_i8.comp).
// The shape of matmul_vec.comp: one workgroup per group of 4 weight rows and row of x, blocks shared along K, sums
// reduced. With integer dot products over packed bytes:
//     sum (d q + m) (e p) = d e sum q p + m e sum p     over a block, e and p of x
// -DW_<TYPE> of a quantised type; -DPM_SUBGROUP reduces with subgroup arithmetic.
#version 450
#extension GL_GOOGLE_include_directive : require
#define PM_X_TYPE uvec4
#include "common/matmul.glsl"
#include "common/reduce.glsl"
#include "common/i8_products.glsl"

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
        sum += pm_unit_times(u, PM_I8_BLOCK(x, t * push.n_blocks + block));
    }
    sum = pm_sum4(sum);
    if (gl_LocalInvocationID.x == 0)
        pm_matmul_finish(group, t, sum);
}
