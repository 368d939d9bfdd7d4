/* The reader of safetensors files: see safetensors.h.
 *
 * The header's JSON has one shape, an object of objects, so it is read by one pass over its bytes: nothing nests,
 * and what is not of that shape is an error at its offset. Names are kept where they are in the map; those with
 * escapes are undone into a copy.
 */
#include "formats/safetensors.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/utf8.h"

enum { LENGTH_BYTES = 8, MAX_HEADER_BYTES = 100000000, MAX_NAME_BYTES = 512 };

struct pm_safetensors {
    char *path;
    const char *bytes; /* the whole file */
    size_t size, header_end;
    pm_mapped_file map;     /* empty for a file in the caller's memory */
    pm_arena arena;         /* names with escapes */
    pm_safetensor *tensors; /* by place */
    size_t n, capacity;
    const pm_safetensor **by_name;
};

typedef struct header_reader {
    pm_safetensors *file;
    size_t at;   /* the next byte */
    pm_str name; /* of the tensor at hand */
    pm_error *err;
} header_reader;

static pm_status fail_at(const header_reader *r, pm_status status, size_t offset, const char *format, ...)
    PM_PRINTF(4, 5);

static pm_status fail_at(const header_reader *r, pm_status status, size_t offset, const char *format, ...)
{
    char problem[256], quoted[112];
    va_list args;
    va_start(args, format);
    vsnprintf(problem, sizeof problem, format, args);
    va_end(args);
    if (!r->name.data)
        return pm_fail(r->err, status, "%s: header at byte %zu: %s", r->file->path, offset, problem);
    return pm_fail(r->err, status, "%s: tensor %s at byte %zu: %s", r->file->path,
                   pm_quote(r->name.data, r->name.size, quoted, sizeof quoted), offset, problem);
}

/* ---- JSON ---- */

static void skip_space(header_reader *r)
{
    const char *bytes = r->file->bytes;
    while (r->at < r->file->header_end && memchr(" \t\r\n", bytes[r->at], 4))
        r->at++;
}

/* The next byte that is no white space; NUL at the end. */
static char peek(header_reader *r)
{
    skip_space(r);
    return r->at < r->file->header_end ? r->file->bytes[r->at] : '\0';
}

static pm_status expect(header_reader *r, char wanted, const char *where)
{
    if (peek(r) != wanted)
        return fail_at(r, PM_ERR_FORMAT, r->at, "'%c' is missing %s", wanted, where);
    r->at++;
    return PM_OK;
}

static int hex_digits(const char *text, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return 0;
        *out = *out << 4 | (unsigned)digit;
    }
    return 1;
}

static size_t put_utf8(unsigned code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00 >> n & 0xFF) | code);
    return n;
}

/* The escape at text[0, n), which begins behind the backslash: its bytes in out, and how much it takes; 0: wrong.
 */
static size_t undo_escape(const char *text, size_t n, char *out, size_t *n_out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *simple = n > 0 && text[0] ? strchr(from, text[0]) : NULL;
    unsigned code, low;
    if (simple) {
        out[0] = to[simple - from];
        *n_out = 1;
        return 1;
    }
    if (n < 5 || text[0] != 'u' || !hex_digits(text + 1, &code) || (code >= 0xDC00 && code < 0xE000))
        return 0;
    if (code < 0xD800 || code >= 0xE000) {
        *n_out = put_utf8(code, out);
        return 5;
    }
    if (n < 11 || text[5] != '\\' || text[6] != 'u' || !hex_digits(text + 7, &low) || low < 0xDC00 ||
        low >= 0xE000)
        return 0;
    *n_out = put_utf8(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), out);
    return 11;
}

static pm_status undo_escapes(header_reader *r, size_t begin, size_t end, pm_str *out)
{
    char *copy = pm_arena_alloc(&r->file->arena, end - begin + 1);
    size_t n = 0;
    if (!copy)
        return pm_fail_memory(r->err, end - begin, "a tensor's name");
    for (size_t at = begin; at < end;) {
        size_t n_put = 1, taken = 0;
        if (r->file->bytes[at] == '\\') {
            taken = undo_escape(r->file->bytes + at + 1, end - at - 1, copy + n, &n_put);
            if (taken == 0)
                return fail_at(r, PM_ERR_FORMAT, at, "a malformed escape in a string");
        } else {
            copy[n] = r->file->bytes[at];
        }
        at += 1 + taken;
        n += n_put;
    }
    *out = (pm_str){copy, n};
    return PM_OK;
}

static pm_status read_string(header_reader *r, const char *where, pm_str *out)
{
    PM_TRY(expect(r, '"', where));
    const char *bytes = r->file->bytes;
    size_t begin = r->at, end = begin, escapes = 0, bad;
    while (end < r->file->header_end && bytes[end] != '"') {
        if ((unsigned char)bytes[end] < 0x20)
            return fail_at(r, PM_ERR_FORMAT, end, "a control character in a string");
        if (bytes[end] == '\\') {
            escapes++;
            end++;
        }
        end++;
    }
    if (end >= r->file->header_end)
        return fail_at(r, PM_ERR_FORMAT, begin - 1, "a string without an end");
    if (!pm_utf8_check(bytes + begin, end - begin, &bad))
        return fail_at(r, PM_ERR_FORMAT, begin + bad, "a string that is not valid UTF-8");
    r->at = end + 1;
    *out = (pm_str){bytes + begin, end - begin};
    return escapes ? undo_escapes(r, begin, end, out) : PM_OK;
}

static pm_status read_integer(header_reader *r, const char *where, uint64_t *out)
{
    const char *bytes = r->file->bytes;
    peek(r);
    size_t begin = r->at;
    uint64_t value = 0;
    while (r->at < r->file->header_end && bytes[r->at] >= '0' && bytes[r->at] <= '9') {
        uint64_t digit = (uint64_t)(bytes[r->at] - '0');
        if (value > (INT64_MAX - digit) / 10)
            return fail_at(r, PM_ERR_FORMAT, begin, "a number that is too large %s", where);
        value = value * 10 + digit;
        r->at++;
    }
    char next = r->at < r->file->header_end ? bytes[r->at] : '\0';
    if (r->at == begin || (r->at - begin > 1 && bytes[begin] == '0') || next == '.' || next == 'e' || next == 'E')
        return fail_at(r, PM_ERR_FORMAT, begin, "a whole number is missing %s", where);
    *out = value;
    return PM_OK;
}

/* Between the parts of an object or a list: 1 where another one follows, 0 at its end, which is then read. */
static pm_status another(header_reader *r, char end, bool is_first, int *more)
{
    char c = peek(r);
    *more = 0;
    if (c == end) {
        r->at++;
        return PM_OK;
    }
    if (!is_first)
        PM_TRY(expect(r, ',', end == ']' ? "in a list" : "in an object"));
    *more = 1;
    return PM_OK;
}

/* ---- Tensors ---- */

static pm_status read_list(header_reader *r, const char *what, uint64_t *values, int most, int *n)
{
    int more;
    *n = 0;
    PM_TRY(expect(r, '[', what));
    for (;;) {
        PM_TRY(another(r, ']', *n == 0, &more));
        if (!more)
            return PM_OK;
        if (*n == most)
            return fail_at(r, PM_ERR_UNSUPPORTED, r->at, "more than %d numbers %s", most, what);
        PM_TRY(read_integer(r, what, &values[(*n)++]));
    }
}

static pm_status read_dtype(header_reader *r, pm_safetensor *t)
{
    static const struct {
        const char *name;
        size_t bytes;
    } known[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"I64", 8},
                 {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
                 {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
    pm_str name;
    char quoted[40];
    size_t at = r->at;
    PM_TRY(read_string(r, "before the dtype", &name));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (name.size == strlen(known[i].name) && memcmp(name.data, known[i].name, name.size) == 0) {
            t->dtype = known[i].name;
            t->element_bytes = known[i].bytes;
            return PM_OK;
        }
    return fail_at(r, PM_ERR_UNSUPPORTED, at, "the dtype %s is not known",
                   pm_quote(name.data, name.size, quoted, sizeof quoted));
}

static bool is_text(pm_str text, const char *other)
{
    return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

/* {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, in any order. */
static pm_status read_fields(header_reader *r, pm_safetensor *t, uint64_t offsets[2])
{
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    int seen = 0, more, n_offsets = 0, n_fields = 0;
    uint64_t shape[PM_SAFETENSORS_MAX_DIMS] = {0};
    PM_TRY(expect(r, '{', "before the tensor's description"));
    for (;; n_fields++) {
        pm_str key;
        PM_TRY(another(r, '}', n_fields == 0, &more));
        if (!more)
            break;
        size_t at = r->at;
        PM_TRY(read_string(r, "before a field", &key));
        PM_TRY(expect(r, ':', "behind a field's name"));
        int which = is_text(key, "dtype")          ? DTYPE
                    : is_text(key, "shape")        ? SHAPE
                    : is_text(key, "data_offsets") ? OFFSETS
                                                   : 0;
        if (which == 0 || seen & which)
            return fail_at(r, PM_ERR_FORMAT, at, "a field that %s",
                           which ? "is there twice" : "is not dtype, shape or data_offsets");
        seen |= which;
        if (which == DTYPE)
            PM_TRY(read_dtype(r, t));
        else if (which == SHAPE)
            PM_TRY(read_list(r, "in the shape", shape, PM_SAFETENSORS_MAX_DIMS, &t->n_dims));
        else
            PM_TRY(read_list(r, "in data_offsets", offsets, 2, &n_offsets));
    }
    if (seen != (DTYPE | SHAPE | OFFSETS) || n_offsets != 2)
        return fail_at(r, PM_ERR_FORMAT, r->at, "dtype, shape or one of two data_offsets is missing");
    for (int d = 0; d < t->n_dims; d++)
        t->shape[d] = (int64_t)shape[d];
    return PM_OK;
}

/* Places the data and checks their size. */
static pm_status place(header_reader *r, pm_safetensor *t, const uint64_t offsets[2], size_t at)
{
    const pm_safetensors *file = r->file;
    uint64_t n_data = file->size - file->header_end, wanted = t->element_bytes;
    if (offsets[0] > offsets[1] || offsets[1] > n_data)
        return fail_at(r, PM_ERR_FORMAT, at, "data_offsets %llu to %llu, but there are %llu bytes of data",
                       (unsigned long long)offsets[0], (unsigned long long)offsets[1], (unsigned long long)n_data);
    for (int d = 0; d < t->n_dims; d++) {
        if (t->shape[d] > 0 && wanted > UINT64_MAX / (uint64_t)t->shape[d])
            return fail_at(r, PM_ERR_FORMAT, at, "the product of the shape is too large");
        wanted *= (uint64_t)t->shape[d];
    }
    if (wanted != offsets[1] - offsets[0])
        return fail_at(r, PM_ERR_FORMAT, at, "%llu bytes of data, but dtype and shape make it %llu",
                       (unsigned long long)(offsets[1] - offsets[0]), (unsigned long long)wanted);
    t->n_bytes = (size_t)wanted;
    t->file_offset = file->header_end + offsets[0];
    t->data = file->bytes + t->file_offset;
    return PM_OK;
}

static pm_status add_tensor(header_reader *r, size_t at)
{
    pm_safetensors *file = r->file;
    pm_safetensor t = {.name = r->name};
    uint64_t offsets[2] = {0, 0};
    PM_TRY(read_fields(r, &t, offsets));
    PM_TRY(place(r, &t, offsets, at));
    if (file->n == file->capacity) {
        size_t capacity = file->capacity ? 2 * file->capacity : 64;
        pm_safetensor *grown = realloc(file->tensors, capacity * sizeof *grown);
        if (!grown)
            return pm_fail_memory(r->err, capacity * sizeof *grown, "the list of tensors");
        file->tensors = grown;
        file->capacity = capacity;
    }
    file->tensors[file->n++] = t;
    return PM_OK;
}

/* "__metadata__": strings by name, which nothing here needs. */
static pm_status skip_metadata(header_reader *r)
{
    int more;
    pm_str text;
    PM_TRY(expect(r, '{', "before __metadata__"));
    for (size_t n = 0;; n++) {
        PM_TRY(another(r, '}', n == 0, &more));
        if (!more)
            return PM_OK;
        PM_TRY(read_string(r, "in __metadata__", &text));
        PM_TRY(expect(r, ':', "in __metadata__"));
        PM_TRY(read_string(r, "in __metadata__, which holds strings alone", &text));
    }
}

static pm_status read_header(header_reader *r)
{
    int more, n_metadata = 0;
    PM_TRY(expect(r, '{', "at the beginning"));
    for (size_t n = 0;; n++) {
        pm_str name;
        r->name = (pm_str){NULL, 0};
        PM_TRY(another(r, '}', n == 0, &more));
        if (!more)
            break;
        size_t at = (peek(r), r->at);
        PM_TRY(read_string(r, "before a name", &name));
        PM_TRY(expect(r, ':', "behind a name"));
        if (is_text(name, "__metadata__")) {
            if (n_metadata++ > 0)
                return fail_at(r, PM_ERR_FORMAT, at, "__metadata__ is there twice");
            PM_TRY(skip_metadata(r));
            continue;
        }
        if (name.size == 0 || name.size > MAX_NAME_BYTES || memchr(name.data, 0, name.size))
            return fail_at(r, PM_ERR_FORMAT, at, "a name of %zu bytes (1 to %d are supported, none of them 0)",
                           name.size, MAX_NAME_BYTES);
        r->name = name;
        PM_TRY(add_tensor(r, at));
    }
    if (peek(r) != '\0' || r->at < r->file->header_end)
        return fail_at(r, PM_ERR_FORMAT, r->at, "something follows the header's object");
    return PM_OK;
}

/* ---- The whole ---- */

static int by_place(const void *a, const void *b)
{
    const pm_safetensor *x = a, *y = b;
    if (x->file_offset != y->file_offset)
        return x->file_offset < y->file_offset ? -1 : 1;
    if (x->n_bytes != y->n_bytes)
        return x->n_bytes < y->n_bytes ? -1 : 1;
    return 0;
}

static int compare_names(pm_str a, pm_str b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int by_name(const void *a, const void *b)
{
    return compare_names((*(const pm_safetensor *const *)a)->name, (*(const pm_safetensor *const *)b)->name);
}

/* The data begin with the first tensor, end with the last one, and each begins where the one before it ends. */
static pm_status check_cover(header_reader *r)
{
    pm_safetensors *file = r->file;
    uint64_t end = file->header_end;
    for (size_t i = 0; i < file->n; i++) {
        const pm_safetensor *t = &file->tensors[i];
        r->name = t->name;
        if (t->file_offset != end)
            return fail_at(r, PM_ERR_FORMAT, (size_t)t->file_offset,
                           t->file_offset < end ? "its data overlap with those of another tensor"
                                                : "there are %llu bytes before its data that belong to no tensor",
                           (unsigned long long)(t->file_offset - end));
        end = t->file_offset + t->n_bytes;
    }
    r->name = (pm_str){NULL, 0};
    if (end != file->size)
        return fail_at(r, PM_ERR_FORMAT, (size_t)end, "%llu bytes at the end of the file belong to no tensor",
                       (unsigned long long)(file->size - end));
    return PM_OK;
}

static pm_status index_names(header_reader *r)
{
    pm_safetensors *file = r->file;
    file->by_name = malloc((file->n + 1) * sizeof *file->by_name);
    if (!file->by_name)
        return pm_fail_memory(r->err, file->n * sizeof *file->by_name, "the index of tensors");
    for (size_t i = 0; i < file->n; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->n, sizeof *file->by_name, by_name);
    for (size_t i = 1; i < file->n; i++)
        if (compare_names(file->by_name[i - 1]->name, file->by_name[i]->name) == 0) {
            r->name = file->by_name[i]->name;
            return fail_at(r, PM_ERR_FORMAT, LENGTH_BYTES, "two tensors have this name");
        }
    return PM_OK;
}

static pm_status read_file(pm_safetensors *file, pm_error *err)
{
    header_reader r = {.file = file, .at = LENGTH_BYTES, .err = err};
    uint64_t length = 0;
    if (file->size < LENGTH_BYTES + 2)
        return pm_fail(err, PM_ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", file->path,
                       file->size);
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | (unsigned char)file->bytes[i];
    if (length > MAX_HEADER_BYTES && length <= file->size)
        return pm_fail(err, PM_ERR_LIMIT, "%s: the header has %llu bytes; the format allows %d", file->path,
                       (unsigned long long)length, MAX_HEADER_BYTES);
    if (length < 2 || length > file->size - LENGTH_BYTES)
        return pm_fail(err, PM_ERR_FORMAT,
                       "%s: the header's length at byte 0 is %llu, but the file has %zu bytes: no "
                       "safetensors file, or cut short",
                       file->path, (unsigned long long)length, file->size);
    file->header_end = LENGTH_BYTES + (size_t)length;
    PM_TRY(read_header(&r));
    if (file->n > 0)
        qsort(file->tensors, file->n, sizeof *file->tensors, by_place);
    PM_TRY(index_names(&r)); /* first: two tensors of one name have data that overlap as well */
    return check_cover(&r);
}

/* Takes over `map`, which may be empty. */
static pm_status open_bytes(const void *data, size_t size, pm_mapped_file map, const char *path,
                            pm_safetensors **out, pm_error *err)
{
    pm_safetensors *file = calloc(1, sizeof *file);
    char *path_copy = strdup(path);
    if (!file || !path_copy) {
        free(file);
        free(path_copy);
        pm_unmap_file(&map);
        return pm_fail_memory(err, sizeof *file, "the safetensors reader");
    }
    *file = (pm_safetensors){.path = path_copy, .bytes = data, .size = size, .map = map};
    pm_status status = read_file(file, err);
    if (status == PM_OK)
        *out = file;
    else
        pm_safetensors_close(file);
    return status;
}

pm_status pm_safetensors_open(const char *path, pm_safetensors **out, pm_error *err)
{
    pm_mapped_file map = {0};
    *out = NULL;
    PM_TRY(pm_map_file(path, &map, err));
    return open_bytes(map.data, map.size, map, path, out, err);
}

pm_status pm_safetensors_open_memory(const void *data, size_t size, const char *name, pm_safetensors **out,
                                     pm_error *err)
{
    *out = NULL;
    return open_bytes(data, size, (pm_mapped_file){0}, name, out, err);
}

void pm_safetensors_close(pm_safetensors *file)
{
    if (!file)
        return;
    pm_arena_free(&file->arena);
    pm_unmap_file(&file->map);
    free(file->by_name);
    free(file->tensors);
    free(file->path);
    free(file);
}

const char *pm_safetensors_path(const pm_safetensors *file)
{
    return file->path;
}

size_t pm_safetensors_n(const pm_safetensors *file)
{
    return file->n;
}

const pm_safetensor *pm_safetensors_at(const pm_safetensors *file, size_t index)
{
    return index < file->n ? &file->tensors[index] : NULL;
}

const pm_safetensor *pm_safetensors_find(const pm_safetensors *file, const char *name)
{
    pm_str wanted = {name, strlen(name)};
    size_t low = 0, high = file->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(wanted, file->by_name[middle]->name);
        if (order == 0)
            return file->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
