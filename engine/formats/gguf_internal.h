/* What the files of the GGUF reader share: the open file and the reading position with its error texts.
 *
 * gguf.c opens and closes, gguf_metadata.c reads keys and values, gguf_tensors.c reads tensor descriptions and
 * checks their data ranges, gguf_values.c hands values out, gguf_assemble.c makes the same record of other files. Everything is checked while opening; later reads
 * cannot fail on the bytes. No allocation is larger than a small multiple of the part of the file that it
 * describes.
 */
#ifndef PUMICE_FORMATS_GGUF_INTERNAL_H
#define PUMICE_FORMATS_GGUF_INTERNAL_H

#include "base/error.h"
#include "base/mapped_file.h"
#include "pumice/gguf.h"

struct pm_gguf {
    char *path;
    const uint8_t *bytes; /* the whole file */
    size_t size;
    pm_mapped_file map; /* empty for a file in the caller's memory */
    uint32_t version;
    uint64_t alignment;

    size_t n_entries;
    pm_gguf_entry *entries;
    const pm_gguf_entry **entries_by_key; /* sorted by key */
    uint32_t **string_offsets; /* one pointer an entry: where each string of an array of strings starts (its length
                                * field), from the start of the first; NULL for other entries */
    size_t n_tensors;
    pm_gguf_tensor *tensors;
    const pm_gguf_tensor **tensors_by_name; /* sorted by name */
    void (*release)(void *owner); /* of what lies outside of the file's bytes: see gguf_assemble.h; or NULL */
    void *owner;
};

enum { PM_GGUF_ARRAY_HEADER = 12 }; /* u32 element type, u64 count */

/* Where string `index` of an array of strings starts, from the start of the file. */
static inline uint64_t pm_gguf_string_at(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index)
{
    return entry->file_offset + PM_GGUF_ARRAY_HEADER + file->string_offsets[entry - file->entries][index];
}

/* A position in the file and what is being read there, for messages. */
typedef struct pm_gguf_reader {
    pm_gguf *file;
    uint64_t at;        /* never beyond file->size */
    const char *kind;   /* "header", "key" or "tensor" */
    uint64_t index;     /* which one, from 0 */
    const pm_str *name; /* NULL until it is known */
    pm_error *err;
} pm_gguf_reader;

/* Fails with "PATH: key "k" at byte N: <format>". */
pm_status pm_gguf_fail(const pm_gguf_reader *r, pm_status status, uint64_t offset, const char *format, ...)
    PM_PRINTF(4, 5);

/* Read one little-endian number, or a string's length and bytes; `what` names it where the file ends too early. */
pm_status pm_gguf_read_u32(pm_gguf_reader *r, const char *what, uint32_t *out);
pm_status pm_gguf_read_u64(pm_gguf_reader *r, const char *what, uint64_t *out);
pm_status pm_gguf_read_str(pm_gguf_reader *r, const char *what, pm_str *out);

/* Reads a key or tensor name: 1 to max_size bytes of UTF-8 without NUL. Sets r->name to out from then on. */
pm_status pm_gguf_read_name(pm_gguf_reader *r, size_t max_size, pm_str *out);

/* Reads r->file->n_entries entries, and the alignment that they may set; builds the index by key. */
pm_status pm_gguf_read_metadata(pm_gguf_reader *r);

/* Reads r->file->n_tensors descriptions, places their data and builds the index by name. */
pm_status pm_gguf_read_tensors(pm_gguf_reader *r);


/* Bytes of a value of a number type or bool; 0 for strings, arrays and values outside the list. */
size_t pm_gguf_scalar_bytes(pm_gguf_type type);

/* Order of the bytes as unsigned numbers, a prefix before what it starts. */
int pm_gguf_compare(pm_str a, pm_str b);

/* Little-endian numbers anywhere in memory. (Vocabularies have some hundred thousand.) */
static inline uint32_t pm_gguf_load_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline uint64_t pm_gguf_load_u64(const uint8_t *bytes)
{
    return (uint64_t)pm_gguf_load_u32(bytes) | (uint64_t)pm_gguf_load_u32(bytes + 4) << 32;
}

#endif
