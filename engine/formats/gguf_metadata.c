/* GGUF metadata: reading every key and value while the file is opened (gguf_internal.h).
 *
 *   entry:  string key | u32 type | value          string: u64 length | bytes
 *   array:  u32 element type | u64 count | elements
 *
 * Values stay in the file; an entry remembers where. Only arrays of strings need more, because their elements have
 * different sizes: a table of 8 bytes a string, no more than the length fields that it points to.
 */
#include "formats/gguf_internal.h"

#include <stdlib.h>

enum {
    MAX_KEY_BYTES = 65535, /* by the specification */
    MIN_ALIGNMENT = 8,     /* by the specification: a multiple of 8 */
    MAX_ALIGNMENT = 1 << 20,
    DEFAULT_ALIGNMENT = 32
};

size_t pm_gguf_scalar_bytes(pm_gguf_type type)
{
    switch (type) {
    case PM_GGUF_UINT8:
    case PM_GGUF_INT8:
    case PM_GGUF_BOOL:
        return 1;
    case PM_GGUF_UINT16:
    case PM_GGUF_INT16:
        return 2;
    case PM_GGUF_UINT32:
    case PM_GGUF_INT32:
    case PM_GGUF_FLOAT32:
        return 4;
    case PM_GGUF_UINT64:
    case PM_GGUF_INT64:
    case PM_GGUF_FLOAT64:
        return 8;
    case PM_GGUF_STRING:
    case PM_GGUF_ARRAY:
        break;
    }
    return 0;
}

const char *pm_gguf_type_name(pm_gguf_type type)
{
    static const char *const names[] = {"uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                        "bool",  "string", "array",  "uint64", "int64",  "float64"};
    unsigned index = (unsigned)type;
    return index < sizeof names / sizeof names[0] ? names[index] : "?";
}

static pm_status read_type(pm_gguf_reader *r, const char *what, pm_gguf_type *out)
{
    uint64_t start = r->at;
    uint32_t number;
    PM_TRY(pm_gguf_read_u32(r, what, &number));
    if (number > PM_GGUF_FLOAT64)
        return pm_gguf_fail(r, PM_ERR_FORMAT, start, "%s is %u, which is no GGUF value type (0 to %d)", what,
                            number, PM_GGUF_FLOAT64);
    *out = (pm_gguf_type)number;
    return PM_OK;
}

/* Checks that `count` values of `elem_bytes` follow, and steps over them; bools must be 0 or 1. */
static pm_status skip_scalars(pm_gguf_reader *r, pm_gguf_type type, uint64_t count)
{
    uint64_t elem_bytes = pm_gguf_scalar_bytes(type);
    uint64_t left = r->file->size - r->at;
    if (count > left / elem_bytes)
        return pm_gguf_fail(r, PM_ERR_FORMAT, r->at, "%llu values of type %s need more than the %llu bytes left",
                            (unsigned long long)count, pm_gguf_type_name(type), (unsigned long long)left);
    if (type == PM_GGUF_BOOL) {
        const uint8_t *values = r->file->bytes + r->at;
        for (uint64_t i = 0; i < count; i++)
            if (values[i] > 1)
                return pm_gguf_fail(r, PM_ERR_FORMAT, r->at + i, "a bool is %u; only 0 and 1 are allowed",
                                    values[i]);
    }
    r->at += count * elem_bytes;
    return PM_OK;
}

/* Steps over `count` strings and remembers where each starts, counted from the first. */
static pm_status index_strings(pm_gguf_reader *r, uint64_t count, uint32_t **offsets)
{
    uint64_t most = (r->file->size - r->at) / 8;
    if (count > most)
        return pm_gguf_fail(r, PM_ERR_FORMAT, r->at,
                            "the array has %llu strings, but the file has room for %llu at most",
                            (unsigned long long)count, (unsigned long long)most);
    if (count == 0)
        return PM_OK;
    /* count * 4 <= file size, so neither the product nor the allocation can get out of hand. */
    uint32_t *table = malloc((size_t)count * sizeof *table);
    if (!table)
        return pm_fail_memory(r->err, (size_t)count * sizeof *table, "an index of strings");
    *offsets = table;
    const uint8_t *bytes = r->file->bytes;
    uint64_t size = r->file->size;
    uint64_t at = r->at;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t length = size - at >= 8 ? pm_gguf_load_u64(bytes + at) : UINT64_MAX;
        if (size - at < 8 || length > size - at - 8)
            return pm_gguf_fail(r, PM_ERR_FORMAT, at,
                                "string %llu of %llu in the array reaches past the end of the file",
                                (unsigned long long)i, (unsigned long long)count);
        if (at - r->at > UINT32_MAX)
            return pm_gguf_fail(r, PM_ERR_UNSUPPORTED, at, "the strings of an array are more than 4 GiB");
        table[i] = (uint32_t)(at - r->at);
        at += 8 + length;
    }
    r->at = at;
    return PM_OK;
}

static pm_status read_array(pm_gguf_reader *r, pm_gguf_entry *entry, uint32_t **string_offsets)
{
    uint64_t start = r->at;
    PM_TRY(read_type(r, "the element type of the array", &entry->elem_type));
    if (entry->elem_type == PM_GGUF_ARRAY)
        return pm_gguf_fail(r, PM_ERR_UNSUPPORTED, start, "arrays of arrays are not supported");
    PM_TRY(pm_gguf_read_u64(r, "the length of the array", &entry->count));
    if (entry->elem_type == PM_GGUF_STRING)
        return index_strings(r, entry->count, string_offsets);
    return skip_scalars(r, entry->elem_type, entry->count);
}

static pm_status read_entry(pm_gguf_reader *r, pm_gguf_entry *entry, uint32_t **string_offsets)
{
    PM_TRY(pm_gguf_read_name(r, MAX_KEY_BYTES, &entry->key));
    PM_TRY(read_type(r, "the type of the value", &entry->type));
    entry->file_offset = r->at;
    entry->elem_type = entry->type;
    entry->count = 1;
    if (entry->type == PM_GGUF_ARRAY)
        return read_array(r, entry, string_offsets);
    if (entry->type == PM_GGUF_STRING) {
        pm_str ignored;
        return pm_gguf_read_str(r, "the value", &ignored);
    }
    return skip_scalars(r, entry->type, 1);
}

/* By key, equal keys in the order of the file. */
static int compare_entries(const void *a, const void *b)
{
    const pm_gguf_entry *x = *(const pm_gguf_entry *const *)a;
    const pm_gguf_entry *y = *(const pm_gguf_entry *const *)b;
    int order = pm_gguf_compare(x->key, y->key);
    return order != 0 ? order : (x->file_offset > y->file_offset) - (x->file_offset < y->file_offset);
}

/* Where the key's length field is. */
static uint64_t key_offset(const pm_gguf *file, const pm_gguf_entry *entry)
{
    return (uint64_t)((const uint8_t *)entry->key.data - file->bytes) - 8;
}

static pm_status index_keys(pm_gguf_reader *r)
{
    pm_gguf *file = r->file;
    for (size_t i = 0; i < file->n_entries; i++)
        file->entries_by_key[i] = &file->entries[i];
    qsort(file->entries_by_key, file->n_entries, sizeof file->entries_by_key[0], compare_entries);
    for (size_t i = 1; i < file->n_entries; i++) {
        const pm_gguf_entry *first = file->entries_by_key[i - 1];
        const pm_gguf_entry *again = file->entries_by_key[i];
        if (pm_gguf_compare(first->key, again->key) == 0) {
            r->name = &again->key;
            return pm_gguf_fail(r, PM_ERR_FORMAT, key_offset(file, again), "the key is already there at byte %llu",
                                (unsigned long long)key_offset(file, first));
        }
    }
    return PM_OK;
}

static pm_status find_alignment(pm_gguf_reader *r)
{
    const pm_gguf_entry *entry = pm_gguf_find(r->file, "general.alignment");
    r->file->alignment = DEFAULT_ALIGNMENT;
    if (!entry)
        return PM_OK;
    r->name = &entry->key;
    if (entry->type != PM_GGUF_UINT32)
        return pm_gguf_fail(r, PM_ERR_FORMAT, entry->file_offset, "the value is of type %s instead of uint32",
                            pm_gguf_type_name(entry->type));
    uint32_t alignment = pm_gguf_load_u32(r->file->bytes + entry->file_offset);
    if (alignment < MIN_ALIGNMENT || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0)
        return pm_gguf_fail(r, PM_ERR_FORMAT, entry->file_offset,
                            "the alignment is %u; it must be a power of two from %d to %d", alignment,
                            MIN_ALIGNMENT, MAX_ALIGNMENT);
    r->file->alignment = alignment;
    return PM_OK;
}

pm_status pm_gguf_read_metadata(pm_gguf_reader *r)
{
    pm_gguf *file = r->file;
    size_t n = file->n_entries;
    r->kind = "key";
    if (n > 0) {
        file->entries = calloc(n, sizeof *file->entries);
        file->entries_by_key = calloc(n, sizeof *file->entries_by_key);
        file->string_offsets = calloc(n, sizeof *file->string_offsets);
        if (!file->entries || !file->entries_by_key || !file->string_offsets)
            return pm_fail_memory(r->err, n * sizeof *file->entries, "the keys of a GGUF file");
    }
    for (size_t i = 0; i < n; i++) {
        r->index = i;
        PM_TRY(read_entry(r, &file->entries[i], &file->string_offsets[i]));
    }
    if (n > 0)
        PM_TRY(index_keys(r));
    return find_alignment(r);
}
