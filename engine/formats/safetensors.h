/* Reading safetensors files through a memory map. Source: https://huggingface.co/docs/safetensors, "Format":
 *
 *   u64 header length (little-endian) | header: one JSON object | data
 *
 * The header names each tensor with its dtype, shape and where its bytes are in the data. Every byte is checked
 * while opening: what opens has unique names, sizes that follow from dtype and shape, and data that cover the rest
 * of the file without gap or overlap. No allocation is larger than a small multiple of the header.
 */
#ifndef PUMICE_FORMATS_SAFETENSORS_H
#define PUMICE_FORMATS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/gguf.h"
#include "pumice/status.h"

enum { PM_SAFETENSORS_MAX_DIMS = 8 };

typedef struct pm_safetensor {
    pm_str name;                            /* escapes undone */
    const char *dtype;                      /* "F32", as the format spells it; static */
    size_t element_bytes;                   /* of the dtype */
    int n_dims;                             /* 0 for a single number */
    int64_t shape[PM_SAFETENSORS_MAX_DIMS]; /* as in the file: the last one is contiguous */
    const void *data;                       /* at any alignment; lives as long as the file */
    size_t n_bytes;
    uint64_t file_offset; /* of the data, from the start of the file */
} pm_safetensor;

typedef struct pm_safetensors pm_safetensors; /* immutable once open */

/* Errors: PM_ERR_IO, PM_ERR_FORMAT (malformed, with the byte offset), PM_ERR_UNSUPPORTED (an unknown dtype, too
 * many dimensions), PM_ERR_LIMIT (a header of more than 100 MB), PM_ERR_MEMORY. */
pm_status pm_safetensors_open(const char *path, pm_safetensors **out, pm_error *err);
/* The same for bytes in memory, which must stay valid until the close; `name` stands for the path in messages. */
pm_status pm_safetensors_open_memory(const void *data, size_t size, const char *name, pm_safetensors **out,
                                     pm_error *err);
void pm_safetensors_close(pm_safetensors *file); /* NULL is fine */

const char *pm_safetensors_path(const pm_safetensors *file);
size_t pm_safetensors_n(const pm_safetensors *file);
const pm_safetensor *pm_safetensors_at(const pm_safetensors *file, size_t index); /* in the order of their data */
const pm_safetensor *pm_safetensors_find(const pm_safetensors *file, const char *name); /* NULL: there is none */

#endif
