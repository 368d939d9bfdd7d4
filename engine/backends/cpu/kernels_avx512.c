/* The table of kernels for AVX-512 with VNNI: the templates with simd_avx512.h. */
#include "backends/cpu/simd_avx512.h"

/* Eight sums, so that none waits for the one before. */
static int32_t measure_dot(int64_t n, double *ops)
{
    enum { CHAINS = 8 };
    __m512i chain[CHAINS], a = _mm512_set1_epi32((int)n), b = _mm512_set1_epi8(3), sum = _mm512_setzero_si512();
    for (int i = 0; i < CHAINS; i++)
        chain[i] = _mm512_set1_epi32(i);
    for (int64_t at = 0; at < n; at++)
        for (int i = 0; i < CHAINS; i++)
            chain[i] = _mm512_dpbusd_epi32(chain[i], a, b);
    for (int i = 0; i < CHAINS; i++)
        sum = _mm512_add_epi32(sum, chain[i]);
    *ops = 2.0 * CHAINS * 64 * (double)n;
    return _mm_cvtsi128_si32(_mm512_castsi512_si128(sum)); /* all lanes are alike */
}

#define KERNELS_ISA    avx512
#define KERNELS_TITLE  "AVX-512 VNNI"
#define FLOAT_ROWS     16
#define ATTENTION_ROWS 8
#define MEASURE_DOT    measure_dot
#include "backends/cpu/kernels_template.h"
