// out[c, t] = table[c, ids[t]] for tables laid out in units (common/weights.glsl), -DW_<TYPE>.
// One invocation a block of 32 values of one row: it decodes what the scales of the block belong to.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "embedding.push.h"
#define PM_WEIGHT_BIND 1
#include "common/weights.glsl"

layout(push_constant) uniform push_block { pm_embedding_push push; };
layout(set = 1, binding = 0) readonly restrict buffer ids_block { int ids[]; };
layout(set = 1, binding = 1 + PM_WEIGHT_PLANES) writeonly restrict buffer out_block { float result[]; };

void put(uint to, uint c, vec4 v)
{
    [[unroll]] for (int i = 0; i < 4; i++)
        if (c + i < push.n_row)
            result[to + c + i] = v[i];
}

void main()
{
    uint i = pm_invocation();
    uint t = i / push.n_blocks, block = i % push.n_blocks;
    if (t >= PM_ROWS_NOW(push))
        return;
    uint row = uint(clamp(ids[t], 0, int(push.n_table) - 1)) - push.first; // wraps round below first
    if (row >= push.count)
        return;
    pm_unit u = pm_load_unit(pm_unit_at(row / 4, block, push.n_blocks));
    uint r = row % 4, to = t * push.n_row;
    [[unroll]] for (int j = 0; j < 8; j++) {
        vec4 v = r < 2 ? (r == 0 ? pm_values(u, 0, j) : pm_values(u, 1, j))
                       : (r == 2 ? pm_values(u, 2, j) : pm_values(u, 3, j));
        put(to, block * 32 + 4 * j, v);
    }
}
