/* GGUF tensors: reading their descriptions and checking where their data lies (gguf_internal.h).
 *
 *   description:  string name | u32 n_dims | u64 dim[n_dims] | u32 type | u64 offset
 *
 * Offsets count from the start of the data, the first multiple of the alignment behind the last description. Once
 * opened, every tensor's bytes lie inside the file, start at a multiple of the alignment and belong to no other.
 */
#include "formats/gguf_internal.h"

#include <stdlib.h>

#include "base/utf8.h"

enum { MAX_NAME_BYTES = 64 }; /* by the specification */

/* Names of the ggml types that pumice does not read, for the message that says so. */
static const char *foreign_type_name(uint32_t number)
{
    static const struct {
        uint32_t number;
        const char *name;
    } known[] = {
        {9, "Q8_1"},    {10, "Q2_K"},    {11, "Q3_K"},  {15, "Q8_K"},   {16, "IQ2_XXS"},
        {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"},
        {22, "IQ2_S"},  {23, "IQ4_XS"},  {24, "I8"},    {25, "I16"},    {27, "I64"},
        {28, "F64"},    {29, "IQ1_M"},   {34, "TQ1_0"}, {35, "TQ2_0"},  {39, "MXFP4"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].number == number)
            return known[i].name;
    return "unknown";
}

static pm_status read_dims(pm_gguf_reader *r, pm_gguf_tensor *tensor)
{
    uint64_t start = r->at;
    uint32_t n_dims;
    PM_TRY(pm_gguf_read_u32(r, "the number of dimensions", &n_dims));
    if (n_dims < 1 || n_dims > 4)
        return pm_gguf_fail(r, PM_ERR_FORMAT, start, "the tensor has %u dimensions; 1 to 4 are allowed", n_dims);
    tensor->n_dims = (int)n_dims;
    for (uint32_t i = 0; i < 4; i++)
        tensor->dim[i] = 1;
    int64_t n_elems = 1;
    for (uint32_t i = 0; i < n_dims; i++) {
        uint64_t size;
        start = r->at;
        PM_TRY(pm_gguf_read_u64(r, "a dimension", &size));
        if (size == 0 || size > INT64_MAX)
            return pm_gguf_fail(r, PM_ERR_FORMAT, start, "dimension %u is %lld; it must be positive", i,
                                (long long)size);
        if ((int64_t)size > INT64_MAX / n_elems)
            return pm_gguf_fail(r, PM_ERR_FORMAT, start,
                                "dimension %u is %llu, which makes more elements than 63 bits can count", i,
                                (unsigned long long)size);
        tensor->dim[i] = (int64_t)size;
        n_elems *= (int64_t)size;
    }
    return PM_OK;
}

static pm_status read_element_type(pm_gguf_reader *r, pm_gguf_tensor *tensor)
{
    uint64_t start = r->at;
    uint32_t number;
    PM_TRY(pm_gguf_read_u32(r, "the element type", &number));
    if (!pm_type_from_gguf(number, &tensor->type))
        return pm_gguf_fail(r, PM_ERR_UNSUPPORTED, start,
                            "element type %u (%s) is not supported; convert the model to F16, Q8_0 or Q4_K",
                            number, foreign_type_name(number));
    const pm_type_info *info = pm_type_get(tensor->type);
    if (tensor->dim[0] % info->block_elems != 0)
        return pm_gguf_fail(r, PM_ERR_FORMAT, start,
                            "rows of %lld elements are no multiple of the %u of a %s block",
                            (long long)tensor->dim[0], info->block_elems, info->name);
    size_t row_bytes = pm_type_row_bytes(tensor->type, tensor->dim[0]);
    int64_t n_rows =
        tensor->dim[1] * tensor->dim[2] * tensor->dim[3]; /* no more than the elements counted above */
    if (row_bytes == SIZE_MAX || row_bytes > SIZE_MAX / (uint64_t)n_rows)
        return pm_gguf_fail(r, PM_ERR_FORMAT, start,
                            "%lld rows of %lld elements are more bytes than can be addressed", (long long)n_rows,
                            (long long)tensor->dim[0]);
    tensor->n_bytes = row_bytes * (size_t)n_rows;
    return PM_OK;
}

/* Reads a description; file_offset is relative to the data until place_data. */
static pm_status read_description(pm_gguf_reader *r, pm_gguf_tensor *tensor)
{
    PM_TRY(pm_gguf_read_name(r, MAX_NAME_BYTES, &tensor->name));
    PM_TRY(read_dims(r, tensor));
    PM_TRY(read_element_type(r, tensor));
    uint64_t start = r->at;
    PM_TRY(pm_gguf_read_u64(r, "the offset of the data", &tensor->file_offset));
    if (tensor->file_offset % r->file->alignment != 0)
        return pm_gguf_fail(r, PM_ERR_FORMAT, start, "the data offset %llu is no multiple of the alignment %llu",
                            (unsigned long long)tensor->file_offset, (unsigned long long)r->file->alignment);
    return PM_OK;
}

/* Where the description starts: the name's length field. */
static uint64_t description_offset(const pm_gguf *file, const pm_gguf_tensor *tensor)
{
    return (uint64_t)((const uint8_t *)tensor->name.data - file->bytes) - 8;
}

/* Turns relative offsets into pointers, with the descriptions all read and r->at behind the last one. */
static pm_status place_data(pm_gguf_reader *r)
{
    pm_gguf *file = r->file;
    uint64_t padding = (file->alignment - r->at % file->alignment) % file->alignment;
    uint64_t left = file->size - r->at;
    uint64_t data_size = padding < left ? left - padding : 0;
    uint64_t data_start = r->at + padding; /* at most the file's size and one alignment: cannot overflow */
    for (size_t i = 0; i < file->n_tensors; i++) {
        pm_gguf_tensor *tensor = &file->tensors[i];
        uint64_t offset = tensor->file_offset;
        if (offset > data_size || tensor->n_bytes > data_size - offset) {
            r->name = &tensor->name;
            return pm_gguf_fail(r, PM_ERR_FORMAT, description_offset(file, tensor),
                                "its %zu bytes at data offset %llu reach past the end of the file, which has %llu "
                                "bytes of tensor data; the file may be cut off",
                                tensor->n_bytes, (unsigned long long)offset, (unsigned long long)data_size);
        }
        tensor->file_offset = data_start + offset;
        tensor->data = file->bytes + tensor->file_offset;
        tensor->is_mapped = file->map.data != NULL;
    }
    return PM_OK;
}

static int compare_offsets(const void *a, const void *b)
{
    const pm_gguf_tensor *x = *(const pm_gguf_tensor *const *)a;
    const pm_gguf_tensor *y = *(const pm_gguf_tensor *const *)b;
    int order = (x->file_offset > y->file_offset) - (x->file_offset < y->file_offset);
    return order != 0 ? order : (x > y) - (x < y);
}

/* By name, equal names in the order of the file. */
static int compare_names(const void *a, const void *b)
{
    const pm_gguf_tensor *x = *(const pm_gguf_tensor *const *)a;
    const pm_gguf_tensor *y = *(const pm_gguf_tensor *const *)b;
    int order = pm_gguf_compare(x->name, y->name);
    return order != 0 ? order : (x > y) - (x < y);
}

static pm_status check_overlaps(pm_gguf_reader *r, const pm_gguf_tensor **sorted)
{
    const pm_gguf *file = r->file;
    qsort(sorted, file->n_tensors, sizeof sorted[0], compare_offsets);
    for (size_t i = 1; i < file->n_tensors; i++) {
        const pm_gguf_tensor *before = sorted[i - 1];
        const pm_gguf_tensor *tensor = sorted[i];
        /* Both ends are inside the file, so the sum cannot overflow. */
        if (before->file_offset + before->n_bytes > tensor->file_offset) {
            char text[96];
            r->name = &tensor->name;
            return pm_gguf_fail(r, PM_ERR_FORMAT, description_offset(file, tensor),
                                "its data at byte %llu overlaps that of tensor %s",
                                (unsigned long long)tensor->file_offset,
                                pm_quote(before->name.data, before->name.size, text, sizeof text));
        }
    }
    return PM_OK;
}

static pm_status check_names(pm_gguf_reader *r, const pm_gguf_tensor **sorted)
{
    const pm_gguf *file = r->file;
    qsort(sorted, file->n_tensors, sizeof sorted[0], compare_names);
    for (size_t i = 1; i < file->n_tensors; i++) {
        if (pm_gguf_compare(sorted[i - 1]->name, sorted[i]->name) == 0) {
            r->name = &sorted[i]->name;
            return pm_gguf_fail(r, PM_ERR_FORMAT, description_offset(file, sorted[i]),
                                "a tensor of this name is already there at byte %llu",
                                (unsigned long long)description_offset(file, sorted[i - 1]));
        }
    }
    return PM_OK;
}

pm_status pm_gguf_read_tensors(pm_gguf_reader *r)
{
    pm_gguf *file = r->file;
    size_t n = file->n_tensors;
    r->kind = "tensor";
    r->name = NULL;
    if (n == 0) /* a vocabulary */
        return PM_OK;
    file->tensors = calloc(n, sizeof *file->tensors);
    file->tensors_by_name = calloc(n, sizeof *file->tensors_by_name);
    if (!file->tensors || !file->tensors_by_name)
        return pm_fail_memory(r->err, n * sizeof *file->tensors, "the tensors of a GGUF file");
    for (size_t i = 0; i < n; i++) {
        r->index = i;
        PM_TRY(read_description(r, &file->tensors[i]));
        file->tensors_by_name[i] = &file->tensors[i];
    }
    /* Names first: two tensors of one name are the better explanation of two of one place. */
    PM_TRY(check_names(r, file->tensors_by_name));
    PM_TRY(place_data(r));
    PM_TRY(check_overlaps(r, file->tensors_by_name));
    return check_names(r, file->tensors_by_name); /* leaves them sorted by name */
}
