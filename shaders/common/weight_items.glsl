// Weights by items of 16 values, as products by tiles load them: half h of the block of a row, its values 8 h .. 8 h + 7 and
// 16 + 8 h .. 16 + 8 h + 7. An invocation loads an item (pm_load_item), and makes floats of it later (pm_item_values), so
// that it can do something else meanwhile. Wants common/weights.glsl, whose drawing of the planes holds; here the planes are
// seen as smaller elements as well.
#ifndef PM_WEIGHT_ITEMS_GLSL
#define PM_WEIGHT_ITEMS_GLSL

layout(set = 1, binding = PM_WEIGHT_BIND) readonly buffer w_pairs_block { uvec2 w_pairs[]; };
#ifndef W_PLAIN
layout(set = 1, binding = PM_WEIGHT_BIND + 1) readonly buffer w_scale_words_block { uint w_scale_words[]; };
#endif
#ifdef W_K
layout(set = 1, binding = PM_WEIGHT_BIND + 2) readonly buffer w_super_words_block { uint w_super_words[]; };
#endif

struct pm_item {
#if defined(W_F32)
    uvec4 raw[4];
#elif defined(W_PLAIN)
    uvec4 raw[2];
#else
    uvec2 low, high; // Q8_0: bytes; others: nibbles, and in `high` what is above them
    uint scales, super;
#endif
};

pm_item pm_load_item(uint unit, uint r, uint h)
{
    pm_item item;
#if defined(W_F32)
    [[unroll]] for (int i = 0; i < 4; i++)
        item.raw[i] = w_quants[unit * W_UNIT + 8 * r + 2 * h + i / 2 * 4 + i % 2];
#elif defined(W_PLAIN)
    item.raw[0] = w_quants[unit * W_UNIT + 4 * r + h];
    item.raw[1] = w_quants[unit * W_UNIT + 4 * r + 2 + h];
#elif defined(W_SIGNED)
    item.low = w_pairs[unit * 2 * W_UNIT + 4 * r + h];
    item.high = w_pairs[unit * 2 * W_UNIT + 4 * r + 2 + h];
#else
    item.low = w_pairs[unit * 2 * W_UNIT + 2 * r + h];
#if W_UNIT == 5
    item.high.x = w_quants[unit * W_UNIT + 4][r];
#elif W_UNIT == 6
    item.high = w_pairs[unit * 2 * W_UNIT + 8 + r];
#endif
#endif
#if defined(W_HALF_SCALES) || defined(W_K)
    item.scales = w_scale_words[2 * unit + r / 2] >> 16 * (r % 2);
#elif !defined(W_PLAIN)
    item.scales = w_scale_words[4 * unit + r];
#endif
#ifdef W_K
    item.super = w_super_words[(unit >> 3) * 4 + r];
#endif
    return item;
}

#ifndef W_PLAIN
// Four bytes below 2^W_BITS as floats in [1, 2): see pm_quants_mantissa.
vec4 pm_mantissas(uint q)
{
    const uint mask = ((1u << W_BITS) - 1u) << (23 - W_BITS), one = 0x3f800000u;
    const int to = 23 - W_BITS;
    return uintBitsToFloat(uvec4((pm_shift(q, to) & mask) | one, (pm_shift(q, to - 8) & mask) | one,
                                 (pm_shift(q, to - 16) & mask) | one, (pm_shift(q, to - 24) & mask) | one));
}
#endif

#ifndef W_PLAIN
// Words of four quants each: q[0], q[1]: 8 h and on; q[2], q[3]: 16 + 8 h and on. Signed bytes where W_SIGNED.
void pm_item_quants(const pm_item item, uint h, out uint q[4])
{
#ifdef W_SIGNED
    q[0] = item.low.x;
    q[1] = item.low.y;
    q[2] = item.high.x;
    q[3] = item.high.y;
#else
    [[unroll]] for (int i = 0; i < 4; i++) {
        q[i] = item.low[i % 2] >> i / 2 * 4 & 0x0f0f0f0fu;
#if W_UNIT == 5
        q[i] |= (item.high.x >> (2 * h + uint(i % 2 + i / 2 * 4)) & 0x01010101u) << 4;
#elif W_UNIT == 6
        q[i] |= (item.high[i / 2] >> 2 * (2 * h + uint(i % 2)) & 0x03030303u) << 4;
#endif
    }
#endif
}

// d and m of the first half of the row's block, then of the other: value = d q + m.
vec4 pm_item_scales(const pm_item item)
{
#if defined(W_HALF_SCALES)
    float d = unpackHalf2x16(item.scales).x;
#ifdef W_SIGNED
    return vec4(d, 0.0, d, 0.0);
#else
    return vec2(d, -W_OFFSET * d).xyxy;
#endif
#elif defined(W_Q6_K)
    float super = unpackHalf2x16(item.super).x;
    vec2 d = super * vec2(bitfieldExtract(int(item.scales), 0, 8), bitfieldExtract(int(item.scales), 8, 8));
    return vec4(d.x, -32.0 * d.x, d.y, -32.0 * d.y);
#elif defined(W_K)
    vec2 super = unpackHalf2x16(item.super);
    return vec2(super.x * float(item.scales & 255u), -super.y * float(item.scales >> 8 & 255u)).xyxy;
#else
    return unpackHalf2x16(item.scales).xyxy;
#endif
}
#endif

// values[0], values[1]: 8 h and on; values[2], values[3]: 16 + 8 h and on.
void pm_item_values(const pm_item item, uint h, out vec4 values[4])
{
#if defined(W_F32)
    [[unroll]] for (int i = 0; i < 4; i++)
        values[i] = uintBitsToFloat(item.raw[i]);
#elif defined(W_PLAIN)
    [[unroll]] for (int i = 0; i < 4; i++) {
        uvec2 bits = i % 2 == 0 ? item.raw[i / 2].xy : item.raw[i / 2].zw;
#ifdef W_F16
        values[i] = vec4(unpackHalf2x16(bits.x), unpackHalf2x16(bits.y));
#else
        values[i] = uintBitsToFloat(uvec4(bits.x << 16, bits.x & 0xffff0000u, bits.y << 16, bits.y & 0xffff0000u));
#endif
    }
#else
    uint q[4];
    pm_item_quants(item, h, q);
    vec4 scales = pm_item_scales(item);
    [[unroll]] for (int i = 0; i < 4; i++) {
#ifdef W_SIGNED
        q[i] ^= 0x80808080u;
#endif
        float d = scales[i / 2 * 2], m = scales[i / 2 * 2 + 1] - W_MANTISSA_ZERO * d;
        values[i] = W_MANTISSA_SCALE * d * pm_mantissas(q[i]) + m;
    }
#endif
}

#endif
