/* GGUF files: opening, looking up, closing (pumice/gguf.h). The layout, from the GGUF specification:
 *
 *   "GGUF" | u32 version | u64 n_tensors | u64 n_entries | entries | tensor descriptions | padding | tensor data
 *
 * The file is read once from front to back, in that order, by the functions of gguf_metadata.c and gguf_tensors.c;
 * all fields are little-endian and may lie at any address. After a successful open the record is immutable.
 */
#include "formats/gguf_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum {
    MIN_ENTRY_BYTES = 8 + 1 + 4 + 1,          /* key length, key, type, smallest value */
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* name length, name, n_dims, one dim, type, offset */
    MEMORY_ALIGNMENT = 8,                     /* what pm_gguf_open_memory asks of its bytes */
    SHOWN_PATH_BYTES = 160                    /* the end of a longer path, so that the message keeps its point */
};

/* "key "general.name"", "tensor 3" or "header". */
static void describe_subject(const pm_gguf_reader *r, char *dst, size_t capacity)
{
    char quoted[112];
    if (r->name)
        snprintf(dst, capacity, "%s %s", r->kind, pm_quote(r->name->data, r->name->size, quoted, sizeof quoted));
    else if (strcmp(r->kind, "header") == 0)
        snprintf(dst, capacity, "header");
    else
        snprintf(dst, capacity, "%s number %llu", r->kind, (unsigned long long)r->index);
}

pm_status pm_gguf_fail(const pm_gguf_reader *r, pm_status status, uint64_t offset, const char *format, ...)
{
    if (!r->err)
        return status;
    char subject[144];
    describe_subject(r, subject, sizeof subject);
    const char *path = r->file->path;
    size_t length = strlen(path);
    int cut = length > SHOWN_PATH_BYTES;
    va_list args;
    va_start(args, format);
    char problem[sizeof r->err->message];
    vsnprintf(problem, sizeof problem, format, args);
    va_end(args);
    return pm_fail(r->err, status, "%s%s: %s at byte %llu: %s", cut ? "..." : "",
                   cut ? path + length - SHOWN_PATH_BYTES : path, subject, (unsigned long long)offset, problem);
}

static pm_status take(pm_gguf_reader *r, const char *what, uint64_t size, const uint8_t **bytes)
{
    uint64_t left = r->file->size - r->at;
    if (size > left)
        return pm_gguf_fail(r, PM_ERR_FORMAT, r->at, "the file ends inside %s: %llu bytes needed, %llu left", what,
                            (unsigned long long)size, (unsigned long long)left);
    *bytes = r->file->bytes + r->at;
    r->at += size;
    return PM_OK;
}

pm_status pm_gguf_read_u32(pm_gguf_reader *r, const char *what, uint32_t *out)
{
    const uint8_t *bytes = NULL;
    PM_TRY(take(r, what, 4, &bytes));
    *out = pm_gguf_load_u32(bytes);
    return PM_OK;
}

pm_status pm_gguf_read_u64(pm_gguf_reader *r, const char *what, uint64_t *out)
{
    const uint8_t *bytes = NULL;
    PM_TRY(take(r, what, 8, &bytes));
    *out = pm_gguf_load_u64(bytes);
    return PM_OK;
}

pm_status pm_gguf_read_str(pm_gguf_reader *r, const char *what, pm_str *out)
{
    uint64_t start = r->at;
    uint64_t size;
    const uint8_t *bytes = NULL;
    PM_TRY(pm_gguf_read_u64(r, what, &size));
    uint64_t left = r->file->size - r->at;
    if (size > left)
        return pm_gguf_fail(r, PM_ERR_FORMAT, start, "the length of %s is %llu bytes, but only %llu bytes follow",
                            what, (unsigned long long)size, (unsigned long long)left);
    PM_TRY(take(r, what, size, &bytes));
    *out = (pm_str){(const char *)bytes, (size_t)size};
    return PM_OK;
}

pm_status pm_gguf_read_name(pm_gguf_reader *r, size_t max_size, pm_str *out)
{
    uint64_t start = r->at;
    size_t bad;
    r->name = NULL;
    PM_TRY(pm_gguf_read_str(r, "the name", out));
    if (out->size == 0)
        return pm_gguf_fail(r, PM_ERR_FORMAT, start, "the name is empty");
    r->name = out;
    if (out->size > max_size)
        return pm_gguf_fail(r, PM_ERR_FORMAT, start, "the name has %zu bytes, more than the %zu that GGUF allows",
                            out->size, max_size);
    if (!pm_utf8_check(out->data, out->size, &bad))
        return pm_gguf_fail(r, PM_ERR_FORMAT, start + 8 + bad, "the name is not valid UTF-8 from its byte %zu on",
                            bad);
    if (memchr(out->data, 0, out->size))
        return pm_gguf_fail(r, PM_ERR_FORMAT, start, "the name contains a zero byte");
    return PM_OK;
}

int pm_gguf_compare(pm_str a, pm_str b)
{
    size_t shared = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, shared);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static pm_status check_magic(pm_gguf_reader *r)
{
    static const char lfs_pointer[] = "version https://git-lfs";
    const pm_gguf *file = r->file;
    const uint8_t *b = file->bytes;
    if (file->size < 4)
        return pm_gguf_fail(r, PM_ERR_FORMAT, 0, "the file has %zu bytes, too few for a GGUF file", file->size);
    if (memcmp(b, "GGUF", 4) == 0) {
        r->at = 4;
        return PM_OK;
    }
    if (memcmp(b, "FUGG", 4) == 0)
        return pm_gguf_fail(r, PM_ERR_UNSUPPORTED, 0,
                            "this is a big-endian GGUF file; convert it to little-endian first");
    if (file->size >= sizeof lfs_pointer - 1 && memcmp(b, lfs_pointer, sizeof lfs_pointer - 1) == 0)
        return pm_gguf_fail(r, PM_ERR_FORMAT, 0,
                            "this is a Git LFS pointer, not the model itself; fetch it with `git lfs pull`");
    return pm_gguf_fail(r, PM_ERR_FORMAT, 0, "not a GGUF file: it starts with bytes %02x %02x %02x %02x", b[0],
                        b[1], b[2], b[3]);
}

static pm_status check_version(const pm_gguf_reader *r)
{
    uint32_t version = r->file->version;
    if (version == 2 || version == 3)
        return PM_OK;
    if (version != 0 && (version & 0xFFFFu) == 0)
        return pm_gguf_fail(r, PM_ERR_UNSUPPORTED, 4,
                            "this is a big-endian GGUF file; convert it to little-endian first");
    return pm_gguf_fail(r, PM_ERR_UNSUPPORTED, 4, "GGUF version %u; pumice reads versions 2 and 3%s", version,
                        version == 1 ? "; convert the model again with a current tool" : "");
}

/* Reads a count and checks that so many records can be in the rest of the file at all: what is allocated for them
 * later is then bounded by the file. */
static pm_status read_count(pm_gguf_reader *r, const char *what, uint64_t record_bytes, size_t *out)
{
    uint64_t start = r->at;
    uint64_t count;
    PM_TRY(pm_gguf_read_u64(r, what, &count));
    uint64_t most = (r->file->size - r->at) / record_bytes;
    if (count > most)
        return pm_gguf_fail(r, PM_ERR_FORMAT, start, "%s is %llu, but the file has room for %llu at most", what,
                            (unsigned long long)count, (unsigned long long)most);
    *out = (size_t)count;
    return PM_OK;
}

static pm_status read_file(pm_gguf *file, pm_error *err)
{
    pm_gguf_reader r = {.file = file, .kind = "header", .err = err};
    PM_TRY(check_magic(&r));
    PM_TRY(pm_gguf_read_u32(&r, "the version", &file->version));
    PM_TRY(check_version(&r));
    PM_TRY(read_count(&r, "the number of tensors", MIN_TENSOR_BYTES, &file->n_tensors));
    PM_TRY(read_count(&r, "the number of keys", MIN_ENTRY_BYTES, &file->n_entries));
    PM_TRY(pm_gguf_read_metadata(&r));
    return pm_gguf_read_tensors(&r);
}

/* Takes over `map`, which may be empty. */
static pm_status open_bytes(const void *data, size_t size, pm_mapped_file map, const char *path, pm_gguf **out,
                            pm_error *err)
{
    pm_gguf *file = calloc(1, sizeof *file);
    char *path_copy = strdup(path);
    if (!file || !path_copy) {
        free(file);
        free(path_copy);
        pm_unmap_file(&map);
        return pm_fail_memory(err, sizeof *file + strlen(path) + 1, "the GGUF reader");
    }
    *file = (pm_gguf){.path = path_copy, .bytes = data, .size = size, .map = map};
    pm_status status = read_file(file, err);
    if (status != PM_OK) {
        pm_gguf_close(file);
        return status;
    }
    *out = file;
    return PM_OK;
}

pm_status pm_gguf_open(const char *path, pm_gguf **out, pm_error *err)
{
    pm_mapped_file map = {0};
    if (!path || !out)
        return pm_fail(err, PM_ERR_ARGUMENT, "pm_gguf_open needs a path and a place for the result");
    *out = NULL;
    PM_TRY(pm_map_file(path, &map, err));
    return open_bytes(map.data, map.size, map, path, out, err);
}

pm_status pm_gguf_open_memory(const void *data, size_t size, const char *name, pm_gguf **out, pm_error *err)
{
    if ((!data && size > 0) || !name || !out)
        return pm_fail(err, PM_ERR_ARGUMENT, "pm_gguf_open_memory needs bytes, a name and a place for the result");
    *out = NULL;
    if ((uintptr_t)data % MEMORY_ALIGNMENT != 0)
        return pm_fail(err, PM_ERR_ARGUMENT,
                       "%s: the bytes of a GGUF file in memory must start at a multiple of %d", name,
                       MEMORY_ALIGNMENT);
    return open_bytes(data, size, (pm_mapped_file){0}, name, out, err);
}

void pm_gguf_close(pm_gguf *file)
{
    if (!file)
        return;
    for (size_t i = 0; file->string_offsets && i < file->n_entries; i++)
        free(file->string_offsets[i]);
    free(file->string_offsets);
    free(file->entries_by_key);
    free(file->entries);
    free(file->tensors_by_name);
    free(file->tensors);
    pm_unmap_file(&file->map);
    if (file->release)
        file->release(file->owner);
    free(file->path);
    free(file);
}

const char *pm_gguf_path(const pm_gguf *file)
{
    return file->path;
}

uint32_t pm_gguf_version(const pm_gguf *file)
{
    return file->version;
}

uint64_t pm_gguf_alignment(const pm_gguf *file)
{
    return file->alignment;
}

uint64_t pm_gguf_file_size(const pm_gguf *file)
{
    return file->size;
}

size_t pm_gguf_n_entries(const pm_gguf *file)
{
    return file->n_entries;
}

const pm_gguf_entry *pm_gguf_entry_at(const pm_gguf *file, size_t index)
{
    return index < file->n_entries ? &file->entries[index] : NULL;
}

size_t pm_gguf_n_tensors(const pm_gguf *file)
{
    return file->n_tensors;
}

const pm_gguf_tensor *pm_gguf_tensor_at(const pm_gguf *file, size_t index)
{
    return index < file->n_tensors ? &file->tensors[index] : NULL;
}

const pm_gguf_entry *pm_gguf_find(const pm_gguf *file, const char *key)
{
    pm_str wanted = {key, strlen(key)};
    size_t low = 0, high = file->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = pm_gguf_compare(wanted, file->entries_by_key[middle]->key);
        if (order == 0)
            return file->entries_by_key[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const pm_gguf_tensor *pm_gguf_find_tensor(const pm_gguf *file, const char *name)
{
    pm_str wanted = {name, strlen(name)};
    size_t low = 0, high = file->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = pm_gguf_compare(wanted, file->tensors_by_name[middle]->name);
        if (order == 0)
            return file->tensors_by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
