/* What block_quantize.c and block_quantize_k.c have in common: little-endian numbers at any address, and the
 * 256-value blocks of the latter. */
#ifndef PUMICE_FORMATS_BLOCK_QUANTIZE_H
#define PUMICE_FORMATS_BLOCK_QUANTIZE_H

#include <stdint.h>

#include "formats/block_types.h"

static inline void pm_store_u16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void pm_store_u32(uint8_t *p, uint32_t value)
{
    pm_store_u16(p, (uint16_t)value);
    pm_store_u16(p + 2, (uint16_t)(value >> 16));
}

static inline void pm_store_f16(uint8_t *p, float value)
{
    pm_store_u16(p, pm_f32_to_f16(value));
}

/* 256 values to one block. */
void pm_quantize_q4_k(const float *src, uint8_t *block);
void pm_quantize_q5_k(const float *src, uint8_t *block);
void pm_quantize_q6_k(const float *src, uint8_t *block);

#endif
