/* Builds GGUF files in memory for tests: model files of any shape, vocabularies, seeds for mutation.
 *
 * Entries and tensors appear in the order in which they are added; tensor data is placed one after the other,
 * padded to the alignment. The builder writes what it is told: with the raw calls also files that no reader should
 * accept. Out of memory ends the test program.
 */
#ifndef PUMICE_TESTS_GGUF_BUILDER_H
#define PUMICE_TESTS_GGUF_BUILDER_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/gguf.h"

typedef struct gguf_builder gguf_builder;

gguf_builder *gguf_builder_create(uint32_t version); /* free with gguf_builder_destroy */
void gguf_builder_destroy(gguf_builder *b);

/* Adds the key general.alignment and pads tensor data to it (else 32). Call before the first tensor. */
void gguf_builder_set_alignment(gguf_builder *b, uint32_t alignment);

void gguf_builder_add_u32(gguf_builder *b, const char *key, uint32_t value);
void gguf_builder_add_i32(gguf_builder *b, const char *key, int32_t value);
void gguf_builder_add_u64(gguf_builder *b, const char *key, uint64_t value);
void gguf_builder_add_i64(gguf_builder *b, const char *key, int64_t value);
void gguf_builder_add_f32(gguf_builder *b, const char *key, float value);
void gguf_builder_add_f64(gguf_builder *b, const char *key, double value);
void gguf_builder_add_bool(gguf_builder *b, const char *key, int value);
void gguf_builder_add_str(gguf_builder *b, const char *key, const char *value);

/* Numbers of any type, `count` of them at `values` in the machine's (little-endian) layout. */
void gguf_builder_add_array(gguf_builder *b, const char *key, pm_gguf_type elem_type, const void *values,
                            uint64_t count);
void gguf_builder_add_str_array(gguf_builder *b, const char *key, const char *const *values, uint64_t count);
void gguf_builder_add_strs(gguf_builder *b, const char *key, const pm_str *values, uint64_t count);

/* A key of any bytes, a type number and the bytes of its value, whatever they are. */
void gguf_builder_add_raw(gguf_builder *b, pm_str key, uint32_t type, const void *value, size_t size);

/* Copies an entry of an open file; of an array only the first max_elems elements. */
void gguf_builder_copy_entry(gguf_builder *b, const pm_gguf *file, const pm_gguf_entry *entry, uint64_t max_elems);

/* A tensor with its data: n_dims sizes in `dim`, the bytes of pm_type `type` at `data`. */
void gguf_builder_add_tensor(gguf_builder *b, const char *name, pm_type type, int n_dims, const int64_t *dim,
                             const void *data);

/* The same, quantising the floats at `values` to `type`. */
void gguf_builder_add_floats(gguf_builder *b, const char *name, pm_type type, int n_dims, const int64_t *dim,
                             const float *values);

/* A tensor description alone, whatever it says; no data is added. */
void gguf_builder_add_raw_tensor(gguf_builder *b, pm_str name, uint32_t type, uint32_t n_dims, const uint64_t *dim,
                                 uint64_t offset);

/* The offset that the next tensor's data will have. */
uint64_t gguf_builder_data_size(const gguf_builder *b);

/* The file so far, in memory of exactly *size bytes for the caller to free(). */
uint8_t *gguf_builder_finish(const gguf_builder *b, size_t *size);

/* Writes the file to `path`; returns 1, or 0 where that fails. */
int gguf_builder_write(const gguf_builder *b, const char *path);

#endif
