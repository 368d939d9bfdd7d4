/* The table of kernels for AVX-512 with VNNI: the templates with simd_avx512.h. */
#include "backends/cpu/simd_avx512.h"
#include "backends/cpu/simd_math.h"
#include "backends/cpu/rows_template.h"

#define FLOAT_ROWS     16
#define ATTENTION_ROWS 8
#include "backends/cpu/matmul_float_template.h"
#include "backends/cpu/attention_template.h"

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
    return _mm512_reduce_add_epi32(sum);
}

const pm_cpu_kernels pm_cpu_kernels_avx512 = {
    .name = "avx512",
    .title = "AVX-512 VNNI",
    .matmul_int = pm_cpu_matmul_int_avx512,
    .matmul_float = matmul_float,
    .quantize = rows_quantize,
    .rms_norm = rows_rms_norm,
    .add = rows_add,
    .silu = rows_silu,
    .swiglu = rows_swiglu,
    .softmax = rows_softmax,
    .rope = rows_rope,
    .to_f16 = rows_to_f16,
    .highest = rows_highest,
    .exp_scaled = rows_exp_scaled,
    .attention_lanes = LANES,
    .attention_tile = attention_tile,
    .attention_part = attention_part,
    .attention_vector = VF_N,
    .measure_read = rows_measure_read,
    .measure_fma = rows_measure_fma,
    .measure_dot = measure_dot,
};
