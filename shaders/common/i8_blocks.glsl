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

#endif
