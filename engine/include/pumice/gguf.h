/* GGUF model files, versions 2 and 3, read through a memory map.
 *
 * Source: the GGUF specification (ggml/docs/gguf.md). Every byte of the file is checked before it is used: opening
 * either gives a file whose keys, tensors and data ranges are all valid, or an error that names the file, the key or
 * tensor and the byte offset.
 */
#ifndef PUMICE_GGUF_H
#define PUMICE_GGUF_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/status.h"
#include "pumice/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_gguf pm_gguf; /* immutable once open: may be read from any number of threads */

/* Types of metadata values, numbered as in the file. */
typedef enum pm_gguf_type {
    PM_GGUF_UINT8 = 0,
    PM_GGUF_INT8 = 1,
    PM_GGUF_UINT16 = 2,
    PM_GGUF_INT16 = 3,
    PM_GGUF_UINT32 = 4,
    PM_GGUF_INT32 = 5,
    PM_GGUF_FLOAT32 = 6,
    PM_GGUF_BOOL = 7,
    PM_GGUF_STRING = 8,
    PM_GGUF_ARRAY = 9,
    PM_GGUF_UINT64 = 10,
    PM_GGUF_INT64 = 11,
    PM_GGUF_FLOAT64 = 12
} pm_gguf_type;

/* Bytes that are not NUL-terminated; they live as long as the open file. */
typedef struct pm_str {
    const char *data;
    size_t size;
} pm_str;

/* One metadata entry. Values are read with the pm_gguf_get_* functions. */
typedef struct pm_gguf_entry {
    pm_str key;
    pm_gguf_type type;      /* PM_GGUF_ARRAY for arrays */
    pm_gguf_type elem_type; /* of an array; else equal to type */
    uint64_t count;         /* elements of an array; else 1 */
    uint64_t file_offset;   /* of the value, in bytes */
} pm_gguf_entry;

typedef struct pm_gguf_tensor {
    pm_str name;
    pm_type type;
    int n_dims;         /* 1 to 4 */
    int64_t dim[4];     /* dim[0] is the contiguous one; unused ones are 1 */
    const void *data;   /* n_bytes bytes inside the map, at a multiple of the file's alignment from its start;
                         * lives as long as the file */
    size_t n_bytes;     /* exact size of the data, without padding */
    uint64_t file_offset; /* of the data, from the start of the file */
    int is_mapped; /* 1: the data lie in a mapped file, 0: in memory that is the caller's or the reader's own */
} pm_gguf_tensor;

/* Maps and checks a file. Errors: PM_ERR_IO (cannot be opened or mapped), PM_ERR_FORMAT (malformed),
 * PM_ERR_UNSUPPORTED (version, endianness, nested array or tensor type that pumice does not read), PM_ERR_MEMORY. */
pm_status pm_gguf_open(const char *path, pm_gguf **out, pm_error *err);

/* The same for bytes in memory, which must start at a multiple of 8 (as those of malloc do) and stay valid until the
 * close. `name` stands for the path in messages. */
pm_status pm_gguf_open_memory(const void *data, size_t size, const char *name, pm_gguf **out, pm_error *err);

void pm_gguf_close(pm_gguf *file); /* NULL is fine */

const char *pm_gguf_path(const pm_gguf *file);
uint32_t pm_gguf_version(const pm_gguf *file);
uint64_t pm_gguf_alignment(const pm_gguf *file);
uint64_t pm_gguf_file_size(const pm_gguf *file);

size_t pm_gguf_n_entries(const pm_gguf *file);
const pm_gguf_entry *pm_gguf_entry_at(const pm_gguf *file, size_t index); /* NULL past the end */
const pm_gguf_entry *pm_gguf_find(const pm_gguf *file, const char *key);  /* NULL where there is none */

size_t pm_gguf_n_tensors(const pm_gguf *file);
const pm_gguf_tensor *pm_gguf_tensor_at(const pm_gguf *file, size_t index);          /* NULL past the end */
const pm_gguf_tensor *pm_gguf_find_tensor(const pm_gguf *file, const char *name);    /* NULL where there is none */

/* Scalar readers. A missing key is PM_ERR_NOT_FOUND, another kind of value PM_ERR_FORMAT, a number that does not fit
 * PM_ERR_LIMIT; *out is then left as it was, so a default set before the call survives. Integers of any width and
 * signedness are accepted where their value fits; floats of either width. */
pm_status pm_gguf_get_i64(const pm_gguf *file, const char *key, int64_t *out, pm_error *err);
pm_status pm_gguf_get_u32(const pm_gguf *file, const char *key, uint32_t *out, pm_error *err);
pm_status pm_gguf_get_f32(const pm_gguf *file, const char *key, float *out, pm_error *err);
pm_status pm_gguf_get_bool(const pm_gguf *file, const char *key, int *out, pm_error *err);
pm_status pm_gguf_get_str(const pm_gguf *file, const char *key, pm_str *out, pm_error *err);

/* Element `index` of an array entry. The same errors; PM_ERR_LIMIT past the end. Strings take constant time. */
pm_status pm_gguf_elem_i64(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index, int64_t *out,
                           pm_error *err);
pm_status pm_gguf_elem_bool(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index, int *out,
                            pm_error *err);
pm_status pm_gguf_elem_f64(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index, double *out,
                           pm_error *err);
pm_status pm_gguf_elem_str(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index, pm_str *out,
                           pm_error *err);

/* The name of a metadata type ("uint32"), or "?" for a value outside the list. */
const char *pm_gguf_type_name(pm_gguf_type type);

#ifdef __cplusplus
}
#endif
#endif
