// Which positions of the cache a token attends to, how they are split into parts, and what is done to a score. Wants
// push.n_ctx, .window, .n_splits, .least, .n_bias, .softcap and the buffers positions and bias.
#ifndef PM_KV_RANGE_GLSL
#define PM_KV_RANGE_GLSL

#include "common/special_functions.glsl"

// Token t's own position, and the first and the last that it sees.
uvec3 pm_kv_span(uint t)
{
    int highest = int(push.n_ctx) - 1;
    if (PM_SPANS != 0) {
        uvec3 span = uvec3(clamp(ivec3(positions[3 * t], positions[3 * t + 1], positions[3 * t + 2]), 0, highest));
        return uvec3(span.x, min(span.y, span.z), span.z);
    }
    uint last = uint(clamp(positions[t], 0, highest));
    return uvec3(last, push.window > 0 && last >= push.window ? last - push.window + 1 : 0, last);
}

// [x, y): the positions of part `split` of push.n_splits; empty where there are fewer parts.
uvec2 pm_kv_range(uvec3 span, uint split)
{
    uint n = span.z - span.y + 1;
    uint part = max((n + push.n_splits - 1) / push.n_splits, push.least);
    uint begin = span.y + min(split * part, n);
    return uvec2(begin, min(begin + part, span.z + 1));
}

// Soft cap and relative positions on the score of position j.
float pm_kv_adjust(float score, uint head, uint own, uint j)
{
    if (push.softcap > 0.0)
        score = push.softcap * pm_tanh(score / push.softcap);
    if (PM_HAS_BIAS != 0) {
        int most = int(push.n_bias) / 2;
        score += bias[head * push.n_bias + uint(clamp(int(j) - int(own), -most, most) + most)];
    }
    return score;
}

#endif
