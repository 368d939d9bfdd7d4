/* Reading and writing rows of every element type, one plain scalar definition each.
 *
 * These are the meaning of the types: reference kernels use them as they are, and every fast kernel is tested
 * against them. Layouts: the GGUF specification's ggml block types. Values are converted in float arithmetic in
 * the order that the layout's definition gives, so results are the same on every machine.
 */
#ifndef PUMICE_FORMATS_BLOCK_TYPES_H
#define PUMICE_FORMATS_BLOCK_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/types.h"

/* IEEE binary16 and bfloat16 to and from binary32; to: round to nearest, ties to even; NaN stays NaN. */
float pm_f16_to_f32(uint16_t bits);
uint16_t pm_f32_to_f16(float value);
float pm_bf16_to_f32(uint16_t bits);
uint16_t pm_f32_to_bf16(float value);

/* Converts n values (a multiple of the type's block) from src, any alignment, to float. Not for I32. */
void pm_dequantize_row(pm_type type, const void *src, float *dst, int64_t n);

/* Element i of rows that begin at src. I32 too. */
double pm_element(pm_type type, const void *src, int64_t i);

/* Converts n floats (a multiple of the type's block) to a row of `type` at dst: F32, F16, BF16, the 32-value blocks
 * Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 (round to nearest with the block's scale) and, by a search for the scales of least
 * squared error, Q4_K, Q5_K, Q6_K. Not for I32. */
void pm_quantize_row(pm_type type, const float *src, void *dst, int64_t n);

#endif
