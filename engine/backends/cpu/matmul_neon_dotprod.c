/* Matrix products with quantised weights for NEON with dot products (ARMv8.2): sdot multiplies signed bytes and
 * adds four products to each 32-bit lane, a lane being a row of the panel; the four activations that every lane
 * needs are one lane of the other operand.
 */
#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

typedef int32x4_t int_sums;

INLINE int_sums no_sums(void)
{
    return vdupq_n_s32(0);
}

INLINE int_sums add_16(int_sums sums, const int8x16_t *w, int8x16_t acts)
{
    sums = vdotq_laneq_s32(sums, w[0], acts, 0);
    sums = vdotq_laneq_s32(sums, w[1], acts, 1);
    sums = vdotq_laneq_s32(sums, w[2], acts, 2);
    return vdotq_laneq_s32(sums, w[3], acts, 3);
}

INLINE int32x4_t sums_of(int_sums sums)
{
    return sums;
}

#define MATMUL_INT pm_cpu_matmul_int_neon_dotprod
enum { MOST_ROWS = 4 };
#include "backends/cpu/matmul_neon_template.h"
