/* Writing GGUF files for tests: see gguf_builder.h. Three growing buffers, joined at the end. */
#include "tests/gguf_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/block_types.h"

typedef struct buffer {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
} buffer;

struct gguf_builder {
    uint32_t version;
    uint64_t alignment;
    uint64_t n_entries;
    uint64_t n_tensors;
    buffer entries;
    buffer tensors;
    buffer data;
};

static void *need(void *memory)
{
    if (!memory) {
        fprintf(stderr, "gguf_builder: out of memory\n");
        abort();
    }
    return memory;
}

static void append(buffer *dst, const void *bytes, size_t size)
{
    if (dst->capacity - dst->size < size) {
        dst->capacity = (dst->size + size) * 2;
        dst->bytes = need(realloc(dst->bytes, dst->capacity));
    }
    if (size > 0)
        memcpy(dst->bytes + dst->size, bytes, size);
    dst->size += size;
}

static void append_u32(buffer *dst, uint32_t value)
{
    append(dst, &value, sizeof value);
}

static void append_u64(buffer *dst, uint64_t value)
{
    append(dst, &value, sizeof value);
}

static void append_str(buffer *dst, pm_str text)
{
    append_u64(dst, text.size);
    append(dst, text.data, text.size);
}

static pm_str str_of(const char *text)
{
    return (pm_str){text, strlen(text)};
}

static void pad(buffer *dst, uint64_t alignment)
{
    static const uint8_t zeros[64] = {0};
    while (dst->size % alignment != 0) {
        uint64_t missing = alignment - dst->size % alignment;
        append(dst, zeros, missing < sizeof zeros ? missing : sizeof zeros);
    }
}

gguf_builder *gguf_builder_create(uint32_t version)
{
    gguf_builder *b = need(calloc(1, sizeof *b));
    b->version = version;
    b->alignment = 32;
    return b;
}

void gguf_builder_destroy(gguf_builder *b)
{
    if (!b)
        return;
    free(b->entries.bytes);
    free(b->tensors.bytes);
    free(b->data.bytes);
    free(b);
}

void gguf_builder_set_alignment(gguf_builder *b, uint32_t alignment)
{
    gguf_builder_add_u32(b, "general.alignment", alignment);
    b->alignment = alignment;
}

void gguf_builder_add_raw(gguf_builder *b, pm_str key, uint32_t type, const void *value, size_t size)
{
    append_str(&b->entries, key);
    append_u32(&b->entries, type);
    append(&b->entries, value, size);
    b->n_entries++;
}

void gguf_builder_add_u32(gguf_builder *b, const char *key, uint32_t value)
{
    gguf_builder_add_raw(b, str_of(key), PM_GGUF_UINT32, &value, sizeof value);
}

void gguf_builder_add_i32(gguf_builder *b, const char *key, int32_t value)
{
    gguf_builder_add_raw(b, str_of(key), PM_GGUF_INT32, &value, sizeof value);
}

void gguf_builder_add_u64(gguf_builder *b, const char *key, uint64_t value)
{
    gguf_builder_add_raw(b, str_of(key), PM_GGUF_UINT64, &value, sizeof value);
}

void gguf_builder_add_i64(gguf_builder *b, const char *key, int64_t value)
{
    gguf_builder_add_raw(b, str_of(key), PM_GGUF_INT64, &value, sizeof value);
}

void gguf_builder_add_f32(gguf_builder *b, const char *key, float value)
{
    gguf_builder_add_raw(b, str_of(key), PM_GGUF_FLOAT32, &value, sizeof value);
}

void gguf_builder_add_f64(gguf_builder *b, const char *key, double value)
{
    gguf_builder_add_raw(b, str_of(key), PM_GGUF_FLOAT64, &value, sizeof value);
}

void gguf_builder_add_bool(gguf_builder *b, const char *key, int value)
{
    uint8_t byte = value != 0;
    gguf_builder_add_raw(b, str_of(key), PM_GGUF_BOOL, &byte, 1);
}

void gguf_builder_add_str(gguf_builder *b, const char *key, const char *value)
{
    gguf_builder_add_raw(b, str_of(key), PM_GGUF_STRING, NULL, 0);
    append_str(&b->entries, str_of(value));
}

static void begin_array(gguf_builder *b, pm_str key, pm_gguf_type elem_type, uint64_t count)
{
    gguf_builder_add_raw(b, key, PM_GGUF_ARRAY, NULL, 0);
    append_u32(&b->entries, (uint32_t)elem_type);
    append_u64(&b->entries, count);
}

static size_t number_bytes(pm_gguf_type type)
{
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return sizes[type];
}

void gguf_builder_add_array(gguf_builder *b, const char *key, pm_gguf_type elem_type, const void *values,
                            uint64_t count)
{
    begin_array(b, str_of(key), elem_type, count);
    append(&b->entries, values, (size_t)count * number_bytes(elem_type));
}

void gguf_builder_add_str_array(gguf_builder *b, const char *key, const char *const *values, uint64_t count)
{
    begin_array(b, str_of(key), PM_GGUF_STRING, count);
    for (uint64_t i = 0; i < count; i++)
        append_str(&b->entries, str_of(values[i]));
}

void gguf_builder_add_strs(gguf_builder *b, const char *key, const pm_str *values, uint64_t count)
{
    begin_array(b, str_of(key), PM_GGUF_STRING, count);
    for (uint64_t i = 0; i < count; i++)
        append_str(&b->entries, values[i]);
}

void gguf_builder_copy_entry(gguf_builder *b, const pm_gguf *file, const pm_gguf_entry *entry, uint64_t max_elems)
{
    uint64_t count = entry->count < max_elems ? entry->count : max_elems;
    pm_str text;
    /* The reader gives no raw bytes; a key's bytes lie in the file, so its start gives the file's. */
    const uint8_t *bytes = (const uint8_t *)entry->key.data + entry->key.size + 4;
    if (entry->type == PM_GGUF_STRING) {
        uint64_t size;
        memcpy(&size, bytes, sizeof size);
        gguf_builder_add_raw(b, entry->key, PM_GGUF_STRING, bytes, 8 + (size_t)size);
    } else if (entry->type != PM_GGUF_ARRAY) {
        gguf_builder_add_raw(b, entry->key, (uint32_t)entry->type, bytes, number_bytes(entry->type));
    } else if (entry->elem_type != PM_GGUF_STRING) {
        begin_array(b, entry->key, entry->elem_type, count);
        append(&b->entries, bytes + 12, (size_t)count * number_bytes(entry->elem_type));
    } else {
        begin_array(b, entry->key, PM_GGUF_STRING, count);
        for (uint64_t i = 0; i < count; i++)
            if (pm_gguf_elem_str(file, entry, i, &text, NULL) == PM_OK)
                append_str(&b->entries, text);
    }
}

void gguf_builder_add_raw_tensor(gguf_builder *b, pm_str name, uint32_t type, uint32_t n_dims, const uint64_t *dim,
                                 uint64_t offset)
{
    append_str(&b->tensors, name);
    append_u32(&b->tensors, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        append_u64(&b->tensors, dim[i]);
    append_u32(&b->tensors, type);
    append_u64(&b->tensors, offset);
    b->n_tensors++;
}

void gguf_builder_add_tensor(gguf_builder *b, const char *name, pm_type type, int n_dims, const int64_t *dim,
                             const void *data)
{
    uint64_t sizes[4] = {1, 1, 1, 1};
    size_t n_rows = 1;
    for (int i = 0; i < n_dims; i++) {
        sizes[i] = (uint64_t)dim[i];
        n_rows *= i > 0 ? (size_t)dim[i] : 1;
    }
    gguf_builder_add_raw_tensor(b, str_of(name), pm_type_get(type)->gguf_id, (uint32_t)n_dims, sizes,
                                b->data.size);
    append(&b->data, data, n_rows * pm_type_row_bytes(type, dim[0]));
    pad(&b->data, b->alignment);
}

void gguf_builder_add_floats(gguf_builder *b, const char *name, pm_type type, int n_dims, const int64_t *dim,
                             const float *values)
{
    int64_t n_elems = 1;
    for (int i = 0; i < n_dims; i++)
        n_elems *= dim[i];
    uint8_t *row = need(malloc(pm_type_row_bytes(type, n_elems)));
    pm_quantize_row(type, values, row, n_elems);
    gguf_builder_add_tensor(b, name, type, n_dims, dim, row);
    free(row);
}

uint64_t gguf_builder_data_size(const gguf_builder *b)
{
    return b->data.size;
}

uint8_t *gguf_builder_finish(const gguf_builder *b, size_t *size)
{
    buffer file = {0};
    append(&file, "GGUF", 4);
    append_u32(&file, b->version);
    append_u64(&file, b->n_tensors);
    append_u64(&file, b->n_entries);
    append(&file, b->entries.bytes, b->entries.size);
    append(&file, b->tensors.bytes, b->tensors.size);
    if (b->n_tensors > 0)
        pad(&file, b->alignment);
    append(&file, b->data.bytes, b->data.size);
    *size = file.size;
    return need(realloc(file.bytes, file.size)); /* exact, so that sanitizers see reads past the end */
}

int gguf_builder_write(const gguf_builder *b, const char *path)
{
    size_t size;
    uint8_t *bytes = gguf_builder_finish(b, &size);
    FILE *out = fopen(path, "wb");
    int ok = out && fwrite(bytes, 1, size, out) == size;
    if (out && fclose(out) != 0)
        ok = 0;
    free(bytes);
    return ok;
}
