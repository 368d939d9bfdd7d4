/* Matrix products with quantised weights for NEON without dot products (ARMv8.0). smull and smlal multiply bytes
 * and add two products of each place in 16 bits, which cannot overflow: 2 * 128 * 127 < 2^15. sadalp adds
 * neighbours to 32 bits, so that two sums a row remain, which are added at the end of a block.
 */
#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

typedef int32x4x2_t int_sums;

INLINE int_sums no_sums(void)
{
    return (int_sums){{vdupq_n_s32(0), vdupq_n_s32(0)}};
}

/* Two of the four groups of activations, `a` and `b` in every lane. */
INLINE int_sums add_8(int_sums sums, int8x16_t w0, int8x16_t w1, int8x16_t a, int8x16_t b)
{
    int16x8_t low = vmull_s8(vget_low_s8(w0), vget_low_s8(a)), high = vmull_high_s8(w0, a);
    low = vmlal_s8(low, vget_low_s8(w1), vget_low_s8(b));
    high = vmlal_high_s8(high, w1, b);
    sums.val[0] = vpadalq_s16(sums.val[0], low);
    sums.val[1] = vpadalq_s16(sums.val[1], high);
    return sums;
}

INLINE int_sums add_16(int_sums sums, const int8x16_t *w, int8x16_t acts)
{
    int32x4_t four = vreinterpretq_s32_s8(acts);
#define GROUP(j) vreinterpretq_s8_s32(vdupq_laneq_s32(four, j))
    sums = add_8(sums, w[0], w[1], GROUP(0), GROUP(1));
    return add_8(sums, w[2], w[3], GROUP(2), GROUP(3));
#undef GROUP
}

INLINE int32x4_t sums_of(int_sums sums)
{
    return vpaddq_s32(sums.val[0], sums.val[1]);
}

#define MATMUL_INT pm_cpu_matmul_int_neon
enum { MOST_ROWS = 2 };
#include "backends/cpu/matmul_neon_template.h"
