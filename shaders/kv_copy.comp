// cache[:, to[i], h] = cache[:, from[i], h], word by word, whatever a word holds. One workgroup per copy: its invocations
// share the words of all heads. No word is both read and written: see engine/ops/ops.h.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"
#include "kv_copy.push.h"

layout(push_constant) uniform push_block { pm_kv_copy_push push; };
layout(set = 1, binding = 0) readonly restrict buffer from_block { int from[]; };
layout(set = 1, binding = 1) readonly restrict buffer to_block { int to[]; };
layout(set = 1, binding = 2) restrict buffer cache_block { uint cache[]; };

void main()
{
    uint i = pm_group();
    if (i >= PM_ROWS_NOW(push))
        return;
    int highest = int(push.n_ctx) - 1;
    uint source = uint(clamp(from[i], 0, highest)), target = uint(clamp(to[i], 0, highest));
    for (uint w = gl_LocalInvocationID.x; w < push.n_words * push.n_heads; w += gl_WorkGroupSize.x) {
        uint head = w / push.n_words * push.n_ctx, at = w % push.n_words;
        cache[(head + target) * push.n_words + at] = cache[(head + source) * push.n_words + at];
    }
}
