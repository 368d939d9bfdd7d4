/* The table of kernels of one instruction set, from the templates: the file that includes this has included its
 * simd_<isa>.h and defines
 *
 *     KERNELS_ISA      what the table and the file names end in: avx2
 *     KERNELS_TITLE    for people
 *     FLOAT_ROWS       rows that the float product and attention take at a time
 *     ATTENTION_ROWS
 *     MEASURE_DOT      the function that measures 8-bit dot products, or NULL
 */
/* clang-format off: simd_math.h is what the others are made of */
#include "backends/cpu/simd_math.h"
#include "backends/cpu/rows_template.h"
#include "backends/cpu/matmul_float_template.h"
#include "backends/cpu/attention_template.h"
/* clang-format on */

#define KERNELS_JOIN_(a, b) a##b
#define KERNELS_JOIN(a, b)  KERNELS_JOIN_(a, b)
#define KERNELS_TEXT_(a)    #a
#define KERNELS_TEXT(a)     KERNELS_TEXT_(a)

const pm_cpu_kernels KERNELS_JOIN(pm_cpu_kernels_, KERNELS_ISA) = {
    .name = KERNELS_TEXT(KERNELS_ISA),
    .title = KERNELS_TITLE,
    .matmul_int = KERNELS_JOIN(pm_cpu_matmul_int_, KERNELS_ISA),
    .matmul_float = matmul_float,
    .quantize = rows_quantize,
    .rms_norm = rows_rms_norm,
    .layer_norm = rows_layer_norm,
    .add = rows_add,
    .silu = rows_silu,
    .swiglu = rows_swiglu,
    .mul = rows_mul,
    .scale = rows_scale,
    .relu = rows_relu,
    .gelu = rows_gelu,
    .softcap = rows_softcap,
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
    .measure_dot = MEASURE_DOT,
};
