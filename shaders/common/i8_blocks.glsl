// Activations in 8 bits: blocks of 32 values, each three uvec4: value i is signed byte i % 4 of word i / 4 of the first
// two; the third holds floats: the scale d, and d times the sums of the first 16, the last 16, and all 32 bytes.
#ifndef PM_I8_BLOCKS_GLSL
#define PM_I8_BLOCKS_GLSL

struct pm_i8_block {
    uvec4 low, high; // values 0-15 and 16-31
    vec4 scales;     // d, d sum low, d sum high, d sum
};

#define PM_I8_BLOCK(array, number)                                                                                 \
    pm_i8_block(array[(number) * 3], array[(number) * 3 + 1], uintBitsToFloat(array[(number) * 3 + 2]))

// The largest magnitude of four values as bits, which are in the order of the magnitudes: Inf and NaN above all others.
uint pm_i8_widest(vec4 v)
{
    uvec4 bits = floatBitsToUint(v) & 0x7fffffffu;
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// (d, 1 / d) of a block whose largest magnitude has these bits: d = max |x| / 127, q = round(x / d). A block with an Inf
// or NaN gets a NaN for its d, so that products with it are NaN.
vec2 pm_i8_scale(uint widest)
{
    if (widest >= 0x7f800000u)
        return vec2(uintBitsToFloat(0x7fc00000u), 0.0);
    float most = uintBitsToFloat(widest);
    return vec2(most / 127.0, most > 1e-36 ? 127.0 / most : 0.0); // smaller ones: the inverse would overflow
}

// Four values as a word, and the sum of its bytes.
uint pm_i8_word(vec4 v, float inverse, out float sum)
{
    ivec4 q = ivec4(roundEven(v * inverse));
    sum = float(q.x + q.y + q.z + q.w);
    return uint(q.x & 255) | uint(q.y & 255) << 8 | uint(q.z & 255) << 16 | uint(q.w) << 24;
}

#endif
