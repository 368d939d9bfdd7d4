// Weights in every type behind one interface. -DW_<TYPE> chooses the type, PM_WEIGHT_BIND is the binding of the first
// plane, PM_WEIGHT_PLANES (below) says how many there are. engine/backends/vulkan/weight_layout.c packs them:
//
//   A unit is 4 consecutive rows times a block of 32 consecutive values. The units of a block of PM_INTERLEAVE groups of
//   4 rows are neighbours (pm_unit_at), and their elements of plane 0 take turns (pm_quants_at): what invocations that make
//   a group each load together lies together.
//   plane 0, W_UNIT uvec4 a unit:
//     Q4_*   4 of nibbles, one a row: byte b of word j holds value 4 j + b (low) and 16 + 4 j + b (high)
//     Q5_*   the same, and 1 of fifth bits, a word a row: bit 8 b + j belongs to value 4 j + b
//     Q6_K   the same, and 2 of bit pairs, two words a row: bits 8 b + 2 j of word h to value 16 h + 4 j + b
//     Q8_0   8 of bytes, two a row, values in order;  F16, BF16: 16, four a row;  F32: 32, eight a row
//   plane 1, scales of a unit, row after row:
//     Q8_0, Q4_0, Q5_0  uvec2: d as f16;  Q4_1, Q5_1  uvec4: (d, m) as f16 pair
//     Q4_K, Q5_K  uvec2: bytes (scale, minimum);  Q6_K  uvec2: signed bytes, the scales of values 0-15 and 16-31
//   plane 2, K types: uvec4 for 8 blocks (256 values) of a group: (d, dmin) as f16 pair of each row
//
// With -DPM_TEXEL the planes are bound as texel buffers of their types, d of plane 1 as four f16.
//
// pm_unit holds what was loaded of a unit; arrays are only ever indexed by constants once loops are unrolled.
#ifndef PM_WEIGHTS_GLSL
#define PM_WEIGHTS_GLSL

#extension GL_EXT_control_flow_attributes : require

#if defined(W_Q4_0)
#define W_UNIT 4
#define W_OFFSET 8.0
#define W_HALF_SCALES
#elif defined(W_Q5_0)
#define W_UNIT 5
#define W_OFFSET 16.0
#define W_HALF_SCALES
#elif defined(W_Q8_0)
#define W_UNIT 8
#define W_SIGNED
#define W_HALF_SCALES
#elif defined(W_Q4_1)
#define W_UNIT 4
#elif defined(W_Q5_1)
#define W_UNIT 5
#elif defined(W_Q4_K)
#define W_UNIT 4
#define W_K
#elif defined(W_Q5_K)
#define W_UNIT 5
#define W_K
#elif defined(W_Q6_K)
#define W_UNIT 6
#define W_K
#elif defined(W_F16) || defined(W_BF16)
#define W_UNIT 16
#define W_PLAIN
#elif defined(W_F32)
#define W_UNIT 32
#define W_PLAIN
#endif

#ifdef W_PLAIN
#define PM_WEIGHT_PLANES 1
#elif defined(W_K)
#define PM_WEIGHT_PLANES 3
#else
#define PM_WEIGHT_PLANES 2
#endif

layout(constant_id = 6) const uint PM_INTERLEAVE = 1;

uint pm_unit_at(uint group, uint block, uint n_blocks)
{
    return (group / PM_INTERLEAVE * n_blocks + block) * PM_INTERLEAVE + group % PM_INTERLEAVE;
}

// The first element of a unit in plane 0; the others follow at steps of PM_INTERLEAVE.
uint pm_quants_at(uint unit)
{
    return unit / PM_INTERLEAVE * PM_INTERLEAVE * W_UNIT + unit % PM_INTERLEAVE;
}

#ifdef PM_TEXEL
layout(set = 1, binding = PM_WEIGHT_BIND) uniform usamplerBuffer w_quants_texels;
#define W_QUANTS(i) texelFetch(w_quants_texels, int(i))
#if defined(W_HALF_SCALES)
layout(set = 1, binding = PM_WEIGHT_BIND + 1) uniform samplerBuffer w_scales_texels;
#elif !defined(W_PLAIN)
layout(set = 1, binding = PM_WEIGHT_BIND + 1) uniform usamplerBuffer w_scales_texels;
#endif
#define W_SCALES(i) texelFetch(w_scales_texels, int(i))
#ifdef W_K
layout(set = 1, binding = PM_WEIGHT_BIND + 2) uniform usamplerBuffer w_super_texels;
#endif
#define W_SUPER(i) texelFetch(w_super_texels, int(i))
#else
layout(set = 1, binding = PM_WEIGHT_BIND) readonly restrict buffer w_quants_block { uvec4 w_quants[]; };
#define W_QUANTS(i) w_quants[i]
#define W_SCALES(i) w_scales[i]
#define W_SUPER(i) w_super[i]
#if defined(W_HALF_SCALES) || defined(W_K)
layout(set = 1, binding = PM_WEIGHT_BIND + 1) readonly restrict buffer w_scales_block { uvec2 w_scales[]; };
#elif !defined(W_PLAIN)
layout(set = 1, binding = PM_WEIGHT_BIND + 1) readonly restrict buffer w_scales_block { uvec4 w_scales[]; };
#endif
#ifdef W_K
layout(set = 1, binding = PM_WEIGHT_BIND + 2) readonly restrict buffer w_super_block { uvec4 w_super[]; };
#endif
#endif

struct pm_unit {
    uvec4 raw[W_UNIT];
#ifndef W_PLAIN
    vec4 d, m; // of the four rows: value = d q + m
#ifdef W_Q6_K
    vec4 d_high, m_high; // the same for values 16 to 31
#endif
#endif
};

#ifdef W_K
// Byte `which` (0 or 1) of each row's 16 bits.
vec4 pm_sub_scales(uvec2 s, int which)
{
    int at = 8 * which;
#ifdef W_Q6_K
    ivec2 t = ivec2(s);
    return vec4(bitfieldExtract(t.x, at, 8), bitfieldExtract(t.x, at + 16, 8), bitfieldExtract(t.y, at, 8),
                bitfieldExtract(t.y, at + 16, 8));
#else
    return vec4(bitfieldExtract(s.x, at, 8), bitfieldExtract(s.x, at + 16, 8), bitfieldExtract(s.y, at, 8),
                bitfieldExtract(s.y, at + 16, 8));
#endif
}
#endif

// Of a unit of a weight whose planes begin at these elements of what is bound: what scales its quants; and its quants,
// texels first, first + step, ... of them. Where invocations have few registers, loads next to their use are best.
void pm_load_quants(inout pm_unit u, uint unit, uint quants, int first, int step)
{
    [[unroll]] for (int i = first; i < W_UNIT; i += step)
        u.raw[i] = W_QUANTS(quants + pm_quants_at(unit) + i * PM_INTERLEAVE);
}

pm_unit pm_load_scales(uint unit, uint scales, uint first_super)
{
    pm_unit u;
#if defined(W_HALF_SCALES)
#ifdef PM_TEXEL
    u.d = W_SCALES(scales + unit);
#else
    uvec2 s = W_SCALES(scales + unit);
    u.d = vec4(unpackHalf2x16(s.x), unpackHalf2x16(s.y));
#endif
#ifdef W_SIGNED
    u.m = vec4(0.0);
#else
    u.m = -W_OFFSET * u.d;
#endif
#elif defined(W_K)
    uvec2 s = W_SCALES(scales + unit).xy;
    uvec4 super = W_SUPER(first_super + (unit / PM_INTERLEAVE >> 3) * PM_INTERLEAVE + unit % PM_INTERLEAVE);
    vec2 a = unpackHalf2x16(super.x), b = unpackHalf2x16(super.y), c = unpackHalf2x16(super.z),
         e = unpackHalf2x16(super.w);
    vec4 d = vec4(a.x, b.x, c.x, e.x);
#ifdef W_Q6_K
    u.d = d * pm_sub_scales(s, 0);
    u.m = -32.0 * u.d;
    u.d_high = d * pm_sub_scales(s, 1);
    u.m_high = -32.0 * u.d_high;
#else
    u.d = d * pm_sub_scales(s, 0);
    u.m = -vec4(a.y, b.y, c.y, e.y) * pm_sub_scales(s, 1);
#endif
#elif !defined(W_PLAIN)
    uvec4 s = W_SCALES(scales + unit);
    vec2 a = unpackHalf2x16(s.x), b = unpackHalf2x16(s.y), c = unpackHalf2x16(s.z), e = unpackHalf2x16(s.w);
    u.d = vec4(a.x, b.x, c.x, e.x);
    u.m = vec4(a.y, b.y, c.y, e.y);
#endif
    return u;
}

pm_unit pm_load_unit(uint unit)
{
    pm_unit u = pm_load_scales(unit, 0, 0);
    pm_load_quants(u, unit, 0, 0, 1);
    return u;
}

#ifndef W_PLAIN
// Values 4 j .. 4 j + 3 of row r as bytes, not scaled; j and r constants. Signed bytes for Q8_0.
uint pm_quants(const pm_unit u, int r, int j)
{
#ifdef W_SIGNED
    return u.raw[2 * r + j / 4][j % 4];
#else
    uint q = (j < 4 ? u.raw[r][j % 4] : u.raw[r][j % 4] >> 4) & 0x0f0f0f0fu;
#if W_UNIT == 5
    q |= ((u.raw[4][r] >> j) & 0x01010101u) << 4;
#elif W_UNIT == 6
    q |= ((u.raw[4 + r / 2][r % 2 * 2 + j / 4] >> (j % 4 * 2)) & 0x03030303u) << 4;
#endif
    return q;
#endif
}

// The same as floats, not scaled.
vec4 pm_quants_float(const pm_unit u, int r, int j)
{
    uint q = pm_quants(u, r, j);
#ifdef W_SIGNED
    int s = int(q);
    return vec4(bitfieldExtract(s, 0, 8), bitfieldExtract(s, 8, 8), bitfieldExtract(s, 16, 8), s >> 24);
#else
    return vec4(q & 255u, (q >> 8) & 255u, (q >> 16) & 255u, q >> 24);
#endif
}
#endif

#ifndef W_PLAIN
// The same as floats v in [1, 2) with q = W_MANTISSA_SCALE v - W_MANTISSA_ZERO: the bits of q at the top of a mantissa,
// which takes fewer instructions than a conversion.
#if defined(W_SIGNED)
#define W_BITS 8
#define W_MANTISSA_ZERO (256.0 + 128.0)
#else
#define W_BITS W_UNIT
#define W_MANTISSA_ZERO W_MANTISSA_SCALE
#endif
#define W_MANTISSA_SCALE float(1 << W_BITS)

uint pm_shift(uint word, int left)
{
    return left >= 0 ? word << left : word >> -left;
}

vec4 pm_quants_mantissa(const pm_unit u, int r, int j)
{
    const uint mask = ((1u << W_BITS) - 1u) << (23 - W_BITS), one = 0x3f800000u;
#if W_UNIT == 4
    uint q = u.raw[r][j % 4]; // nibbles are shifted into their places straight from here
    const int first = j < 4 ? 0 : 4;
#else
    uint q = pm_quants(u, r, j);
#ifdef W_SIGNED
    q ^= 0x80808080u;
#endif
    const int first = 0;
#endif
    const int to = 23 - W_BITS - first;
    return uintBitsToFloat(uvec4((pm_shift(q, to) & mask) | one, (pm_shift(q, to - 8) & mask) | one,
                                 (pm_shift(q, to - 16) & mask) | one, (pm_shift(q, to - 24) & mask) | one));
}
#endif

#ifdef W_PLAIN
// Values 4 j .. 4 j + 3 of row r of a unit that is not loaded as a whole, but begins at this element of plane 0; j and r
// need not be constants.
vec4 pm_values_at(uint quants, int r, int j)
{
#if defined(W_F32)
    return uintBitsToFloat(W_QUANTS(quants + (8 * r + j) * PM_INTERLEAVE));
#else
    uvec4 p = W_QUANTS(quants + (4 * r + j / 2) * PM_INTERLEAVE);
    uvec2 h = j % 2 == 0 ? p.xy : p.zw;
#if defined(W_F16)
    return vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y));
#else
    return uintBitsToFloat(uvec4(h.x << 16, h.x & 0xffff0000u, h.y << 16, h.y & 0xffff0000u));
#endif
#endif
}
#endif

// Values 4 j .. 4 j + 3 of row r; j and r constants.
vec4 pm_values(const pm_unit u, int r, int j)
{
#if defined(W_F32)
    return uintBitsToFloat(u.raw[8 * r + j]);
#elif defined(W_F16)
    uvec4 p = u.raw[4 * r + j / 2];
    return j % 2 == 0 ? vec4(unpackHalf2x16(p.x), unpackHalf2x16(p.y)) : vec4(unpackHalf2x16(p.z), unpackHalf2x16(p.w));
#elif defined(W_BF16)
    uvec4 p = u.raw[4 * r + j / 2];
    uvec2 h = j % 2 == 0 ? p.xy : p.zw;
    return uintBitsToFloat(uvec4(h.x << 16, h.x & 0xffff0000u, h.y << 16, h.y & 0xffff0000u));
#elif defined(W_Q6_K)
    return pm_quants_float(u, r, j) * (j < 4 ? u.d[r] : u.d_high[r]) + (j < 4 ? u.m[r] : u.m_high[r]);
#elif defined(W_SIGNED)
    return pm_quants_float(u, r, j) * u.d[r];
#else
    return pm_quants_float(u, r, j) * u.d[r] + u.m[r];
#endif
}

#endif
