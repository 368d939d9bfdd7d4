/* The table of kernels for NEON with dot products (ARMv8.2): the templates with simd_neon.h. */
#include "backends/cpu/simd_neon.h"

/* Eight sums, so that none waits for the one before. */
static int32_t measure_dot(int64_t n, double *ops)
{
    enum { CHAINS = 8 };
    int32x4_t chain[CHAINS], sum = vdupq_n_s32(0);
    int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32((int32_t)n)), b = vdupq_n_s8(3);
    for (int i = 0; i < CHAINS; i++)
        chain[i] = vdupq_n_s32(i);
    for (int64_t at = 0; at < n; at++)
        for (int i = 0; i < CHAINS; i++)
            chain[i] = vdotq_s32(chain[i], a, b);
    for (int i = 0; i < CHAINS; i++)
        sum = vaddq_s32(sum, chain[i]);
    *ops = 2.0 * CHAINS * 16 * (double)n;
    return vaddvq_s32(sum);
}

#define KERNELS_ISA    neon_dotprod
#define KERNELS_TITLE  "NEON with dot products"
#define FLOAT_ROWS     4
#define ATTENTION_ROWS 8
#define MEASURE_DOT    measure_dot
#include "backends/cpu/kernels_template.h"
