/* Element types of tensors: plain numbers and block-quantised weights.
 *
 * A block-quantised row stores fixed groups of `block_elems` consecutive values in `block_bytes` bytes. The byte
 * layouts are those of the GGUF specification (ggml types of the same names); little-endian.
 */
#ifndef PUMICE_TYPES_H
#define PUMICE_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The one list of types: name, number in a GGUF file, elements a block, bytes a block. */
#define PM_TYPE_LIST(X)                                                                                           \
    X(F32, 0, 1, 4)                                                                                               \
    X(F16, 1, 1, 2)                                                                                               \
    X(BF16, 30, 1, 2)                                                                                             \
    X(I32, 26, 1, 4)                                                                                              \
    X(Q8_0, 8, 32, 34)                                                                                            \
    X(Q4_0, 2, 32, 18)                                                                                            \
    X(Q4_1, 3, 32, 20)                                                                                            \
    X(Q5_0, 6, 32, 22)                                                                                            \
    X(Q5_1, 7, 32, 24)                                                                                            \
    X(Q4_K, 12, 256, 144)                                                                                         \
    X(Q5_K, 13, 256, 176)                                                                                         \
    X(Q6_K, 14, 256, 210)

typedef enum pm_type {
#define PM_TYPE_ENUM(name, gguf_id, block_elems, block_bytes) PM_TYPE_##name,
    PM_TYPE_LIST(PM_TYPE_ENUM)
#undef PM_TYPE_ENUM
    PM_TYPE_COUNT
} pm_type;

typedef struct pm_type_info {
    const char *name;     /* "Q4_K" */
    uint32_t gguf_id;     /* the number that stands for it in a GGUF file */
    uint32_t block_elems; /* values in a block; 1 for plain numbers */
    uint32_t block_bytes; /* bytes of a block */
} pm_type_info;

/* Facts about a type; NULL for a value outside the list. Static storage. */
const pm_type_info *pm_type_get(pm_type type);

/* The name of a type ("Q8_0"), or "?" for a value outside the list. */
const char *pm_type_name(pm_type type);

/* Finds the type with this number in GGUF files. Returns 1 and sets *out if it is one of ours, else 0. */
int pm_type_from_gguf(uint32_t gguf_id, pm_type *out);

/* Bytes of a row of n_elems values, or SIZE_MAX where n_elems is no multiple of the block or the size overflows. */
size_t pm_type_row_bytes(pm_type type, int64_t n_elems);

#ifdef __cplusplus
}
#endif
#endif
