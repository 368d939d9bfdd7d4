/* The table of kernels with the compiler's generic vectors, for any processor: the templates with simd_portable.h. */
#include "backends/cpu/simd_portable.h"

#define KERNELS_ISA    portable
#define KERNELS_TITLE  "portable C"
#define FLOAT_ROWS     2
#define ATTENTION_ROWS 2
#define MEASURE_DOT    NULL
#include "backends/cpu/kernels_template.h"
