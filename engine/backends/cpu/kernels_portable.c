/* The table of kernels with the compiler's generic vectors, for any processor: the templates with simd_portable.h.
 */
#include "backends/cpu/simd_portable.h"
#include "backends/cpu/simd_math.h"
#include "backends/cpu/rows_template.h"

#define FLOAT_ROWS     2
#define ATTENTION_ROWS 2
#include "backends/cpu/matmul_float_template.h"
#include "backends/cpu/attention_template.h"

const pm_cpu_kernels pm_cpu_kernels_portable = {
    .name = "portable",
    .title = "portable C",
    .matmul_int = pm_cpu_matmul_int_portable,
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
