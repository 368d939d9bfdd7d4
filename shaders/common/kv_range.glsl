// Which positions of the cache a token attends to, and how they are split into parts.
#ifndef PM_KV_RANGE_GLSL
#define PM_KV_RANGE_GLSL

// [x, y): the positions of part `split` of push.n_splits for a token at `position`; empty where there are fewer parts.
uvec2 pm_kv_range(int position, uint split)
{
    uint last = uint(clamp(position, 0, int(push.n_ctx) - 1));
    uint first = push.window > 0 && last >= push.window ? last - push.window + 1 : 0;
    uint n = last - first + 1;
    uint part = max((n + push.n_splits - 1) / push.n_splits, push.least);
    uint begin = first + min(split * part, n);
    return uvec2(begin, min(begin + part, last + 1));
}

#endif
