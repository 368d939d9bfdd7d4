// Unsigned integers in the order of floats: a larger value has a larger key, -0 and 0 have the same, and NaN has that of
// `nan_key`. Made from bits alone, as compilers may take arithmetic on NaN and zeros lightly.
#ifndef PM_FLOAT_KEYS_GLSL
#define PM_FLOAT_KEYS_GLSL

const uint PM_KEY_LOWEST = 0x007fffffu; // of -Inf

uint pm_key(float value, uint nan_key)
{
    uint bits = floatBitsToUint(value), magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return nan_key;
    if (magnitude == 0u)
        return 0x80000000u;
    return (bits & 0x80000000u) != 0u ? ~bits : bits | 0x80000000u;
}

#endif
