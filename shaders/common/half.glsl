// float to binary16 bits, rounded to nearest, ties to even, on every device alike: packHalf2x16 may round otherwise and
// may drop subnormal numbers.
#ifndef PM_HALF_GLSL
#define PM_HALF_GLSL

uint pm_half_bits(float value)
{
    uint bits = floatBitsToUint(value), sign = bits >> 16 & 0x8000u, a = bits & 0x7fffffffu, h;
    if (a > 0x7f800000u) {
        h = 0x7e00u; // NaN
    } else if (a >= 0x47800000u) {
        h = 0x7c00u; // 65536 and more
    } else if (a >= 0x38800000u) {
        h = (a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13;
    } else { // a multiple of 2^-24 below 2^-14
        uint shift = min(126u - (a >> 23), 31u), m = (a & 0x7fffffu) | 0x800000u;
        h = (m + (1u << (shift - 1u)) - 1u + (m >> shift & 1u)) >> shift;
    }
    return sign | h;
}

// Eight floats as halves, rounded as the device does it, where the exact direction does not matter.
uvec4 pm_eight_halves(vec4 a, vec4 b)
{
    return uvec4(packHalf2x16(a.xy), packHalf2x16(a.zw), packHalf2x16(b.xy), packHalf2x16(b.zw));
}

#endif
