/* The table of kernels for AVX2, FMA and F16C: the templates with simd_avx2.h. */
#include "backends/cpu/simd_avx2.h"

#define KERNELS_ISA    avx2
#define KERNELS_TITLE  "AVX2"
#define FLOAT_ROWS     4
#define ATTENTION_ROWS 4
#define MEASURE_DOT    NULL
#include "backends/cpu/kernels_template.h"
