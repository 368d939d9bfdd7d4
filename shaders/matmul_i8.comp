// out[n, t] = sum_k w[k, n] x[k, t] (+ bias[n]) (+ residual[n, t]), x in 8 bits (quantize_i8.comp), integer dot products.
// The shape of matmul.comp: an invocation makes a tile of 4 weight rows x PM_TILE rows of x in registers; packed weights
// are unpacked once for the tile. -DW_<TYPE> of a quantised type.
#version 450
#extension GL_GOOGLE_include_directive : require
#define PM_X_TYPE uvec4
#include "common/matmul.glsl"
#include "common/i8_products.glsl"

void main()
{
    uint n_tiles = (push.n_rows + PM_TILE - 1) / PM_TILE, number = pm_group();
    uint t0 = number % n_tiles * PM_TILE, rows = PM_ROWS_NOW(push);
    uint group = push.first_group + number / n_tiles * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    if (t0 >= rows || group >= push.end_group)
        return;
    vec4 sums[PM_TILE];
    [[unroll]] for (int t = 0; t < PM_TILE; t++)
        sums[t] = vec4(0.0);
    for (uint block = 0; block < push.n_blocks; block++) {
        pm_unit u = pm_load_unit(pm_unit_at(group, block, push.n_blocks));
        [[unroll]] for (int t = 0; t < PM_TILE; t++)
            sums[t] += pm_unit_times(u, PM_I8_BLOCK(x, min(t0 + t, rows - 1) * push.n_blocks + block));
    }
    [[unroll]] for (int t = 0; t < PM_TILE; t++)
        if (t0 + t < rows)
            pm_matmul_finish(group, t0 + t, sums[t]);
}
