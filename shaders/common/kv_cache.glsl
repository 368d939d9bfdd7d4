// Eight numbers of a row of a KV cache at a time, whatever it keeps them in: -DCACHE_F32, -DCACHE_F16 or -DCACHE_Q8_0. A
// row is push.n_head numbers: a multiple of 8, in Q8_0 of 64, so that its blocks of 34 bytes make whole words.
//
//     buffer k_block { PM_CACHE_UNIT keys[]; };
//     PM_CACHE_LOADER(load_key, keys)          // pm_raw load_key(uint row, uint octet)
//     pm_eight key = pm_decoded(load_key(row, octet));
#ifndef PM_KV_CACHE_GLSL
#define PM_KV_CACHE_GLSL

struct pm_eight {
    vec4 low, high;
};

#if defined(CACHE_F16)
#define PM_CACHE_UNIT uvec4
#define pm_raw uvec4
#define PM_NO_RAW uvec4(0)
#define PM_CACHE_LOADER(name, cache)                                                                               \
    uvec4 name(uint row, uint octet)                                                                               \
    {                                                                                                              \
        return cache[row * push.n_head / 8 + octet];                                                               \
    }

pm_eight pm_decoded(uvec4 raw)
{
    return pm_eight(vec4(unpackHalf2x16(raw.x), unpackHalf2x16(raw.y)), vec4(unpackHalf2x16(raw.z), unpackHalf2x16(raw.w)));
}
#elif defined(CACHE_Q8_0)
// Two blocks are 17 words: a half and 32 integers, in the second block on borders of words, in the first two bytes off.
struct pm_raw {
    uvec2 integers;
    uint scale; // bits of a half
};
#define PM_CACHE_UNIT uint
#define PM_NO_RAW pm_raw(uvec2(0), 0)
#define PM_CACHE_LOADER(name, cache)                                                                               \
    pm_raw name(uint row, uint octet)                                                                              \
    {                                                                                                              \
        bool second = octet % 8 >= 4;                                                                              \
        uint pair = 17 * (row * push.n_head / 64 + octet / 8), at = pair + 2 * (octet % 4) + (second ? 8 : 0);     \
        uint a = cache[at], b = cache[at + 1], c = cache[at + 2], scale = cache[pair + (second ? 8 : 0)];          \
        return second ? pm_raw(uvec2(b, c), scale >> 16)                                                           \
                      : pm_raw(uvec2(a >> 16 | b << 16, b >> 16 | c << 16), scale & 0xffffu);                      \
    }

vec4 pm_four_integers(uint word)
{
    int bits = int(word);
    return vec4(bitfieldExtract(bits, 0, 8), bitfieldExtract(bits, 8, 8), bitfieldExtract(bits, 16, 8), bits >> 24);
}

pm_eight pm_decoded(pm_raw raw)
{
    float scale = unpackHalf2x16(raw.scale).x;
    return pm_eight(scale * pm_four_integers(raw.integers.x), scale * pm_four_integers(raw.integers.y));
}
#else
#define PM_CACHE_UNIT uvec4
#define pm_raw pm_eight
#define PM_NO_RAW pm_eight(vec4(0.0), vec4(0.0))
#define PM_CACHE_LOADER(name, cache)                                                                               \
    pm_eight name(uint row, uint octet)                                                                            \
    {                                                                                                              \
        uint at = row * push.n_head / 4 + 2 * octet;                                                               \
        return pm_eight(uintBitsToFloat(cache[at]), uintBitsToFloat(cache[at + 1]));                               \
    }
#define pm_decoded(raw) raw
#endif

#endif
