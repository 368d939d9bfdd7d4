/* The table of kernels for AVX2, FMA and F16C: the templates with simd_avx2.h. */
#include "backends/cpu/simd_avx2.h"
#include "backends/cpu/simd_math.h"
#include "backends/cpu/rows_template.h"

#define FLOAT_ROWS     4
#define ATTENTION_ROWS 4
#include "backends/cpu/matmul_float_template.h"
#include "backends/cpu/attention_template.h"

const pm_cpu_kernels pm_cpu_kernels_avx2 = {
    .name = "avx2",
    .title = "AVX2",
    .matmul_int = pm_cpu_matmul_int_avx2,
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
    .measure_dot = NULL,
};
