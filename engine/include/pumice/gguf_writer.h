/* Writing GGUF files (version 3, little-endian): metadata first, then tensors in the order they were declared.
 *
 * Nothing is readable at `path` until pm_gguf_writer_finish: the file grows under a temporary name beside it and is
 * renamed at the end, so that an interrupted write never leaves half a model. A path /dev/fd/N, a file that is open
 * already and may have no name, is emptied and written in place. Source: the GGUF specification.
 */
#ifndef PUMICE_GGUF_WRITER_H
#define PUMICE_GGUF_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/gguf.h"
#include "pumice/status.h"
#include "pumice/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_gguf_writer pm_gguf_writer;

/* path NULL: only a header is wanted, in memory (pm_gguf_writer_header). */
pm_status pm_gguf_writer_create(const char *path, pm_gguf_writer **out, pm_error *err);
/* Gives up: removes the temporary file. NULL is fine. */
void pm_gguf_writer_destroy(pm_gguf_writer *writer);

/* Metadata; keys are copied. Errors are kept and reported by pm_gguf_writer_begin_data. */
void pm_gguf_writer_u32(pm_gguf_writer *writer, const char *key, uint32_t value);
void pm_gguf_writer_f32(pm_gguf_writer *writer, const char *key, float value);
void pm_gguf_writer_bool(pm_gguf_writer *writer, const char *key, int value);
void pm_gguf_writer_str(pm_gguf_writer *writer, const char *key, const char *value);
void pm_gguf_writer_str_array(pm_gguf_writer *writer, const char *key, const char *const *values, size_t n);
void pm_gguf_writer_f32_array(pm_gguf_writer *writer, const char *key, const float *values, size_t n);
void pm_gguf_writer_i32_array(pm_gguf_writer *writer, const char *key, const int32_t *values, size_t n);
void pm_gguf_writer_u8_array(pm_gguf_writer *writer, const char *key, const uint8_t *values, size_t n);
/* A string of any bytes, and an array of such. */
void pm_gguf_writer_bytes(pm_gguf_writer *writer, const char *key, pm_str value);
void pm_gguf_writer_bytes_array(pm_gguf_writer *writer, const char *key, const pm_str *values, size_t n);
/* An entry of an open file as it is. */
void pm_gguf_writer_copy(pm_gguf_writer *writer, const pm_gguf *file, const pm_gguf_entry *entry);

/* Declares the next tensor; dims[0] is the contiguous one and must be whole blocks of the type. */
void pm_gguf_writer_tensor(pm_gguf_writer *writer, const char *name, pm_type type, int n_dims, const int64_t *dims);

/* A file of the metadata so far and no tensors, malloc'ed. Reports the first mistake made so far. */
pm_status pm_gguf_writer_header(pm_gguf_writer *writer, void **bytes, size_t *size, pm_error *err);

/* Writes the header. From here on only data follows. Reports the first mistake made so far. */
pm_status pm_gguf_writer_begin_data(pm_gguf_writer *writer, pm_error *err);

/* The next bytes of the tensors' data, in the order declared, in pieces of any size that does not cross the end of a
 * tensor; padding is added between tensors. */
pm_status pm_gguf_writer_data(pm_gguf_writer *writer, const void *data, size_t size, pm_error *err);

/* Checks that every tensor is whole, renames the file into place and frees the writer, also on failure. */
pm_status pm_gguf_writer_finish(pm_gguf_writer *writer, pm_error *err);

#ifdef __cplusplus
}
#endif
#endif
