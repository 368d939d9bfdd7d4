/* GGUF writer: see pumice/gguf_writer.h. Metadata and tensor declarations gather in two byte buffers until the data
 * begin; the data go straight to the file. */
#include "pumice/gguf_writer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "formats/gguf_internal.h"

enum { WRITER_ALIGNMENT = 32, MAGIC = 0x46554747 /* "GGUF" */, VERSION = 3 };

typedef struct byte_buffer {
    unsigned char *bytes;
    size_t size, capacity;
} byte_buffer;

struct pm_gguf_writer {
    char *path, *temporary;
    FILE *file;
    byte_buffer metadata, declarations;
    uint64_t n_entries, n_tensors;
    size_t *tensor_bytes;
    size_t cap_tensors;
    uint64_t data_offset;      /* of the next tensor declared, from the start of the data */
    uint64_t current, written; /* the tensor whose data come next, and how much of it is there */
    bool in_data;
    pm_error error; /* the first mistake */
};

static void put(pm_gguf_writer *w, byte_buffer *b, const void *data, size_t size)
{
    if (w->error.status != PM_OK)
        return;
    if (b->capacity - b->size < size) {
        size_t capacity = b->capacity ? b->capacity : 4096;
        while (capacity - b->size < size)
            capacity *= 2;
        unsigned char *grown = realloc(b->bytes, capacity);
        if (!grown) {
            pm_fail_memory(&w->error, capacity, "the header of a GGUF file");
            return;
        }
        b->bytes = grown;
        b->capacity = capacity;
    }
    memcpy(b->bytes + b->size, data, size);
    b->size += size;
}

static void put_u32(pm_gguf_writer *w, byte_buffer *b, uint32_t value)
{
    put(w, b, &value, sizeof value);
}

static void put_u64(pm_gguf_writer *w, byte_buffer *b, uint64_t value)
{
    put(w, b, &value, sizeof value);
}

static void put_bytes(pm_gguf_writer *w, byte_buffer *b, pm_str text)
{
    put_u64(w, b, text.size);
    if (text.size > 0)
        put(w, b, text.data, text.size);
}

static void put_str(pm_gguf_writer *w, byte_buffer *b, const char *text)
{
    put_bytes(w, b, (pm_str){text, strlen(text)});
}

pm_status pm_gguf_writer_create(const char *path, pm_gguf_writer **out, pm_error *err)
{
    *out = NULL;
    pm_gguf_writer *w = calloc(1, sizeof *w);
    size_t size = path ? strlen(path) + 32 : 0;
    if (w && !path) {
        *out = w;
        return PM_OK;
    }
    struct stat info;
    if (w && stat(path, &info) == 0 && !S_ISREG(info.st_mode)) { /* what is put in place would take a device's */
        pm_gguf_writer_destroy(w);
        return pm_fail(err, PM_ERR_IO, "%s: there is %s of that name; give another", path,
                       S_ISDIR(info.st_mode) ? "a directory" : "something other than a file");
    }
    if (w) {
        w->path = strdup(path);
        w->temporary = malloc(size);
    }
    if (!w || !w->path || !w->temporary) {
        pm_gguf_writer_destroy(w);
        return pm_fail_memory(err, size, "a GGUF writer");
    }
    bool in_place = strncmp(path, "/dev/fd/", 8) == 0; /* nothing can be renamed to a file that is open already */
    if (in_place) {
        free(w->temporary);
        w->temporary = NULL;
    } else
        snprintf(w->temporary, size, "%s.%ld.part", path, (long)getpid());
    w->file = fopen(in_place ? path : w->temporary, "wb");
    if (!w->file) {
        pm_status status = pm_fail(err, PM_ERR_IO, "%s: the file cannot be created: %s", path, strerror(errno));
        free(w->temporary);
        w->temporary = NULL;
        pm_gguf_writer_destroy(w);
        return status;
    }
    *out = w;
    return PM_OK;
}

void pm_gguf_writer_destroy(pm_gguf_writer *w)
{
    if (!w)
        return;
    if (w->file)
        fclose(w->file);
    if (w->temporary)
        remove(w->temporary);
    free(w->temporary);
    free(w->path);
    free(w->metadata.bytes);
    free(w->declarations.bytes);
    free(w->tensor_bytes);
    free(w);
}

static void begin_entry(pm_gguf_writer *w, const char *key, pm_gguf_type type)
{
    put_str(w, &w->metadata, key);
    put_u32(w, &w->metadata, (uint32_t)type);
    w->n_entries++;
}

static void begin_array(pm_gguf_writer *w, const char *key, pm_gguf_type elem_type, size_t n)
{
    begin_entry(w, key, PM_GGUF_ARRAY);
    put_u32(w, &w->metadata, (uint32_t)elem_type);
    put_u64(w, &w->metadata, n);
}

void pm_gguf_writer_u32(pm_gguf_writer *w, const char *key, uint32_t value)
{
    begin_entry(w, key, PM_GGUF_UINT32);
    put_u32(w, &w->metadata, value);
}

void pm_gguf_writer_f32(pm_gguf_writer *w, const char *key, float value)
{
    begin_entry(w, key, PM_GGUF_FLOAT32);
    put(w, &w->metadata, &value, sizeof value);
}

void pm_gguf_writer_bool(pm_gguf_writer *w, const char *key, int value)
{
    unsigned char byte = value ? 1 : 0;
    begin_entry(w, key, PM_GGUF_BOOL);
    put(w, &w->metadata, &byte, 1);
}

void pm_gguf_writer_str(pm_gguf_writer *w, const char *key, const char *value)
{
    begin_entry(w, key, PM_GGUF_STRING);
    put_str(w, &w->metadata, value);
}

void pm_gguf_writer_str_array(pm_gguf_writer *w, const char *key, const char *const *values, size_t n)
{
    begin_array(w, key, PM_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_str(w, &w->metadata, values[i]);
}

void pm_gguf_writer_f32_array(pm_gguf_writer *w, const char *key, const float *values, size_t n)
{
    begin_array(w, key, PM_GGUF_FLOAT32, n);
    put(w, &w->metadata, values, n * sizeof *values);
}

void pm_gguf_writer_i32_array(pm_gguf_writer *w, const char *key, const int32_t *values, size_t n)
{
    begin_array(w, key, PM_GGUF_INT32, n);
    put(w, &w->metadata, values, n * sizeof *values);
}

void pm_gguf_writer_u8_array(pm_gguf_writer *w, const char *key, const uint8_t *values, size_t n)
{
    begin_array(w, key, PM_GGUF_UINT8, n);
    if (n > 0)
        put(w, &w->metadata, values, n);
}

void pm_gguf_writer_bytes(pm_gguf_writer *w, const char *key, pm_str value)
{
    begin_entry(w, key, PM_GGUF_STRING);
    put_bytes(w, &w->metadata, value);
}

void pm_gguf_writer_bytes_array(pm_gguf_writer *w, const char *key, const pm_str *values, size_t n)
{
    begin_array(w, key, PM_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_bytes(w, &w->metadata, values[i]);
}

/* Where a value ends that opening the file has checked. */
static uint64_t end_of_value(const pm_gguf *file, const pm_gguf_entry *entry)
{
    uint64_t at = entry->file_offset;
    if (entry->type == PM_GGUF_STRING)
        return at + 8 + pm_gguf_load_u64(file->bytes + at);
    if (entry->type != PM_GGUF_ARRAY)
        return at + pm_gguf_scalar_bytes(entry->type);
    if (entry->elem_type != PM_GGUF_STRING || entry->count == 0)
        return at + PM_GGUF_ARRAY_HEADER + entry->count * pm_gguf_scalar_bytes(entry->elem_type);
    uint64_t last = pm_gguf_string_at(file, entry, entry->count - 1);
    return last + 8 + pm_gguf_load_u64(file->bytes + last);
}

void pm_gguf_writer_copy(pm_gguf_writer *w, const pm_gguf *file, const pm_gguf_entry *entry)
{
    put_bytes(w, &w->metadata, entry->key);
    put_u32(w, &w->metadata, (uint32_t)entry->type);
    put(w, &w->metadata, file->bytes + entry->file_offset, (size_t)(end_of_value(file, entry) - entry->file_offset));
    w->n_entries++;
}

static uint64_t aligned(uint64_t offset)
{
    return (offset + WRITER_ALIGNMENT - 1) / WRITER_ALIGNMENT * WRITER_ALIGNMENT;
}

void pm_gguf_writer_tensor(pm_gguf_writer *w, const char *name, pm_type type, int n_dims, const int64_t *dims)
{
    if (w->error.status != PM_OK)
        return;
    size_t bytes = n_dims >= 1 && n_dims <= 4 ? pm_type_row_bytes(type, dims[0]) : SIZE_MAX;
    for (int d = 1; d < n_dims && bytes != SIZE_MAX; d++)
        bytes = dims[d] > 0 && bytes <= SIZE_MAX / 2 / (size_t)dims[d] ? bytes * (size_t)dims[d] : SIZE_MAX;
    if (bytes == SIZE_MAX) {
        pm_fail(&w->error, PM_ERR_ARGUMENT, "%s: tensor '%s': its dimensions are not whole blocks of %s", w->path, name,
                pm_type_name(type));
        return;
    }
    if (w->n_tensors == w->cap_tensors) {
        size_t cap = w->cap_tensors ? 2 * w->cap_tensors : 64;
        size_t *grown = realloc(w->tensor_bytes, cap * sizeof *grown);
        if (!grown) {
            pm_fail_memory(&w->error, cap * sizeof *grown, "the header of a GGUF file");
            return;
        }
        w->tensor_bytes = grown;
        w->cap_tensors = cap;
    }
    put_str(w, &w->declarations, name);
    put_u32(w, &w->declarations, (uint32_t)n_dims);
    for (int d = 0; d < n_dims; d++)
        put_u64(w, &w->declarations, (uint64_t)dims[d]);
    put_u32(w, &w->declarations, pm_type_get(type)->gguf_id);
    put_u64(w, &w->declarations, w->data_offset);
    w->tensor_bytes[w->n_tensors++] = bytes;
    w->data_offset = aligned(w->data_offset + bytes);
}

static pm_status write_bytes(pm_gguf_writer *w, const void *data, size_t size, pm_error *err)
{
    if (fwrite(data, 1, size, w->file) != size)
        return pm_fail(err, PM_ERR_IO, "%s: writing failed: %s", w->path, strerror(errno));
    return PM_OK;
}

/* Zero bytes up to the next multiple of the alignment. */
static pm_status write_padding(pm_gguf_writer *w, uint64_t offset, pm_error *err)
{
    static const unsigned char zeros[WRITER_ALIGNMENT];
    return write_bytes(w, zeros, (size_t)(aligned(offset) - offset), err);
}

pm_status pm_gguf_writer_header(pm_gguf_writer *w, void **bytes, size_t *size, pm_error *err)
{
    const uint32_t magic_version[2] = {MAGIC, VERSION};
    const uint64_t counts[2] = {0, w->n_entries};
    if (w->error.status != PM_OK)
        return pm_fail(err, w->error.status, "%s", w->error.message);
    *size = sizeof magic_version + sizeof counts + w->metadata.size;
    char *header = malloc(*size);
    if (!header)
        return pm_fail_memory(err, *size, "the header of a GGUF file");
    memcpy(header, magic_version, sizeof magic_version);
    memcpy(header + sizeof magic_version, counts, sizeof counts);
    if (w->metadata.size > 0)
        memcpy(header + sizeof magic_version + sizeof counts, w->metadata.bytes, w->metadata.size);
    *bytes = header;
    return PM_OK;
}

pm_status pm_gguf_writer_begin_data(pm_gguf_writer *w, pm_error *err)
{
    if (w->error.status != PM_OK)
        return pm_fail(err, w->error.status, "%s", w->error.message);
    if (!w->file)
        return pm_fail(err, PM_ERR_ARGUMENT, "a GGUF writer without a path takes no tensors");
    const uint32_t magic_version[2] = {MAGIC, VERSION};
    const uint64_t counts[2] = {w->n_tensors, w->n_entries};
    PM_TRY(write_bytes(w, magic_version, sizeof magic_version, err));
    PM_TRY(write_bytes(w, counts, sizeof counts, err));
    PM_TRY(write_bytes(w, w->metadata.bytes, w->metadata.size, err));
    PM_TRY(write_bytes(w, w->declarations.bytes, w->declarations.size, err));
    PM_TRY(write_padding(w, sizeof magic_version + sizeof counts + w->metadata.size + w->declarations.size, err));
    w->in_data = true;
    return PM_OK;
}

pm_status pm_gguf_writer_data(pm_gguf_writer *w, const void *data, size_t size, pm_error *err)
{
    if (!w->in_data || w->current >= w->n_tensors || size > w->tensor_bytes[w->current] - w->written)
        return pm_fail(err, PM_ERR_ARGUMENT, "%s: more data than the tensors declared hold", w->path);
    PM_TRY(write_bytes(w, data, size, err));
    w->written += size;
    if (w->written == w->tensor_bytes[w->current]) {
        PM_TRY(write_padding(w, w->written, err));
        w->current++;
        w->written = 0;
    }
    return PM_OK;
}

pm_status pm_gguf_writer_finish(pm_gguf_writer *w, pm_error *err)
{
    pm_status status = PM_OK;
    if (!w->in_data || w->current != w->n_tensors)
        status = pm_fail(err, PM_ERR_ARGUMENT, "%s: %llu of %llu tensors were written", w->path,
                         (unsigned long long)w->current, (unsigned long long)w->n_tensors);
    FILE *file = w->file;
    w->file = NULL;
    if (fclose(file) != 0 && status == PM_OK)
        status = pm_fail(err, PM_ERR_IO, "%s: writing failed: %s", w->path, strerror(errno));
    if (status == PM_OK && w->temporary && rename(w->temporary, w->path) != 0)
        status = pm_fail(err, PM_ERR_IO, "%s: the finished file could not be put in place: %s", w->path,
                         strerror(errno));
    if (status == PM_OK) {
        free(w->temporary);
        w->temporary = NULL;
    }
    pm_gguf_writer_destroy(w);
    return status;
}
