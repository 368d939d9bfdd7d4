/* The formats of quantised weights that matrix products tell apart, once for every instruction set. A file of
 * kernels defines all_panels (always inlined) and names its function:
 *
 *     void pm_cpu_matmul_int_avx2(...) { FOR_INT_FORMAT(all_panels, job, panel_begin, panel_end) }
 */
#ifndef PUMICE_MATMUL_INT_FORMATS_H
#define PUMICE_MATMUL_INT_FORMATS_H

#include <stdbool.h>

typedef struct int_format {
    bool nibbles, wide /* all 8 bits are used */, byte_scales, has_mins, halves;
    int offset_shift; /* weights are their bits less 1 << offset_shift; -1: no offset */
    int high_bits;    /* beyond nibbles */
} int_format;

#define INT_FORMAT_CASE(type, panels, job, begin, end, ...)                                                       \
    case PM_TYPE_##type:                                                                                          \
        panels(job, begin, end, (int_format){__VA_ARGS__});                                                       \
        break;

/* Calls panels with the format of the job's weight as a constant; no other type is packed with integer layouts. */
#define FOR_INT_FORMAT(panels, job, begin, end)                                                                   \
    switch ((job)->weight->type) {                                                                                \
        INT_FORMAT_CASE(Q4_0, panels, job, begin, end, .nibbles = true, .offset_shift = 3)                        \
        INT_FORMAT_CASE(Q4_1, panels, job, begin, end, .nibbles = true, .has_mins = true, .offset_shift = -1)     \
        INT_FORMAT_CASE(Q4_K, panels, job, begin, end, .nibbles = true, .byte_scales = true, .has_mins = true,    \
                        .offset_shift = -1)                                                                       \
        INT_FORMAT_CASE(Q8_0, panels, job, begin, end, .wide = true, .offset_shift = 7)                           \
        INT_FORMAT_CASE(Q5_0, panels, job, begin, end, .nibbles = true, .high_bits = 1, .offset_shift = 4)        \
        INT_FORMAT_CASE(Q5_1, panels, job, begin, end, .nibbles = true, .high_bits = 1, .has_mins = true,         \
                        .offset_shift = -1)                                                                       \
        INT_FORMAT_CASE(Q5_K, panels, job, begin, end, .nibbles = true, .high_bits = 1, .byte_scales = true,      \
                        .has_mins = true, .offset_shift = -1)                                                     \
        INT_FORMAT_CASE(Q6_K, panels, job, begin, end, .nibbles = true, .high_bits = 2, .byte_scales = true,      \
                        .halves = true, .offset_shift = 5)                                                        \
    default:                                                                                                      \
        break;                                                                                                    \
    }

#endif
