// out[c, t] = table[c, ids[t]] for tables of plain F32 rows: activations and inputs. One invocation a value.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "embedding.push.h"

layout(push_constant) uniform push_block { pm_embedding_push push; };
layout(set = 1, binding = 0) readonly restrict buffer ids_block { int ids[]; };
layout(set = 1, binding = 1) readonly restrict buffer table_block { float table[]; };
layout(set = 1, binding = 2) writeonly restrict buffer out_block { float result[]; };

void main()
{
    uint i = pm_invocation();
    uint t = i / push.n_row;
    if (t >= PM_ROWS_NOW(push))
        return;
    uint row = uint(clamp(ids[t], 0, int(push.n_table) - 1)) - push.first;
    if (row < push.count)
        result[i] = table[row * push.n_row + i % push.n_row];
}
