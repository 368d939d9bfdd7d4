/* The table of kernels for NEON (any AArch64 processor): the templates with simd_neon.h. */
#include "backends/cpu/simd_neon.h"

#define KERNELS_ISA    neon
#define KERNELS_TITLE  "NEON"
#define FLOAT_ROWS     4
#define ATTENTION_ROWS 8
#define MEASURE_DOT    NULL
#include "backends/cpu/kernels_template.h"
