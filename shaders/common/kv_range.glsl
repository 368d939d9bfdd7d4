// Which positions of the cache a token attends to, where they lie, how they are split into parts, and what is done to a score.
// Wants pm_attention_push as `push`, the constants PM_SPANS, PM_HAS_BIAS and PM_PAGED and the buffers positions
// and table (which is the bias or the pages: no attention has both).
#ifndef PM_KV_RANGE_GLSL
#define PM_KV_RANGE_GLSL

#include "common/special_functions.glsl"

// Token t's own position, and the first and the last that it sees.
uvec3 pm_kv_span(uint t)
{
    int highest = int(PM_PAGED != 0 ? push.n_pages * push.page : push.n_ctx) - 1;
    if (PM_SPANS != 0) {
        uvec3 span = uvec3(clamp(ivec3(positions[3 * t], positions[3 * t + 1], positions[3 * t + 2]), 0, highest));
        return uvec3(span.x, min(span.y, span.z), span.z);
    }
    uint last = uint(clamp(positions[PM_PAGED != 0 ? 2 * t : t], 0, highest));
    return uvec3(last, push.window > 0 && last >= push.window ? last - push.window + 1 : 0, last);
}

// The sequence that token t belongs to.
uint pm_kv_sequence(uint t)
{
    return PM_PAGED != 0 ? uint(clamp(positions[2 * t + 1], 0, int(push.n_sequences) - 1)) : 0;
}

// The slot of position j of a sequence.
uint pm_kv_slot(uint sequence, uint j)
{
    if (PM_PAGED == 0)
        return j;
    int page = table[sequence * push.n_pages + j / push.page];
    return uint(clamp(page, 0, int(push.n_ctx / push.page) - 1)) * push.page + j % push.page;
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
        score += intBitsToFloat(table[head * push.n_bias + uint(clamp(int(j) - int(own), -most, most) + most)]);
    }
    return score;
}

#endif
