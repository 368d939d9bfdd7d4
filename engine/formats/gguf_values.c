/* GGUF metadata values: handing them out as the caller's types (pumice/gguf.h).
 *
 * Opening has checked that every value lies inside the file, so nothing here looks at sizes again; what can still
 * go wrong is a missing key, another type than asked for, or a number that does not fit.
 */
#include "formats/gguf_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A reader for messages only. */
static pm_status fail_value(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t offset, pm_status status,
                            pm_error *err, const char *problem)
{
    pm_gguf_reader r = {.file = (pm_gguf *)file, .kind = "key", .name = &entry->key, .err = err};
    return pm_gguf_fail(&r, status, offset, "%s", problem);
}

static pm_status fail_type(const pm_gguf *file, const pm_gguf_entry *entry, pm_error *err, const char *wanted)
{
    pm_gguf_reader r = {.file = (pm_gguf *)file, .kind = "key", .name = &entry->key, .err = err};
    int array = entry->type == PM_GGUF_ARRAY;
    return pm_gguf_fail(&r, PM_ERR_FORMAT, entry->file_offset, "the value is %s%s where %s is needed",
                        array ? "an array of " : "of type ", pm_gguf_type_name(entry->elem_type), wanted);
}

static pm_status find_entry(const pm_gguf *file, const char *key, const pm_gguf_entry **out, pm_error *err)
{
    *out = pm_gguf_find(file, key);
    if (!*out)
        return pm_fail(err, PM_ERR_NOT_FOUND, "%s: the metadata has no key \"%s\"", file->path, key);
    return PM_OK;
}

/* One integer of any width. Returns 0 where the type is none; *too_big where it exceeds INT64_MAX. */
static int load_integer(pm_gguf_type type, const uint8_t *bytes, int64_t *out, int *too_big)
{
    *too_big = 0;
    switch (type) {
    case PM_GGUF_UINT8:
        *out = bytes[0];
        return 1;
    case PM_GGUF_INT8:
        *out = (int8_t)bytes[0];
        return 1;
    case PM_GGUF_UINT16:
        *out = (uint16_t)(bytes[0] | bytes[1] << 8);
        return 1;
    case PM_GGUF_INT16:
        *out = (int16_t)(uint16_t)(bytes[0] | bytes[1] << 8);
        return 1;
    case PM_GGUF_UINT32:
        *out = pm_gguf_load_u32(bytes);
        return 1;
    case PM_GGUF_INT32:
        *out = (int32_t)pm_gguf_load_u32(bytes);
        return 1;
    case PM_GGUF_UINT64:
    case PM_GGUF_INT64: {
        uint64_t value = pm_gguf_load_u64(bytes);
        *too_big = type == PM_GGUF_UINT64 && value > INT64_MAX;
        *out = (int64_t)value;
        return 1;
    }
    case PM_GGUF_FLOAT32:
    case PM_GGUF_BOOL:
    case PM_GGUF_STRING:
    case PM_GGUF_ARRAY:
    case PM_GGUF_FLOAT64:
        break;
    }
    return 0;
}

static int load_real(pm_gguf_type type, const uint8_t *bytes, double *out)
{
    if (type == PM_GGUF_FLOAT32) {
        uint32_t bits = pm_gguf_load_u32(bytes);
        float value;
        memcpy(&value, &bits, sizeof value);
        *out = value;
        return 1;
    }
    if (type == PM_GGUF_FLOAT64) {
        uint64_t bits = pm_gguf_load_u64(bytes);
        memcpy(out, &bits, sizeof *out);
        return 1;
    }
    return 0;
}

static pm_str load_str(const pm_gguf *file, uint64_t offset)
{
    const uint8_t *bytes = file->bytes + offset;
    return (pm_str){(const char *)bytes + 8, (size_t)pm_gguf_load_u64(bytes)};
}

/* The integer of type elem_type at `offset`, which belongs to `entry`. */
static pm_status integer_at(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t offset, int64_t *out,
                            pm_error *err)
{
    int64_t value;
    int too_big;
    if (!load_integer(entry->elem_type, file->bytes + offset, &value, &too_big))
        return fail_type(file, entry, err, "an integer");
    if (too_big)
        return fail_value(file, entry, offset, PM_ERR_LIMIT, err, "the number does not fit 63 bits");
    *out = value;
    return PM_OK;
}

pm_status pm_gguf_get_i64(const pm_gguf *file, const char *key, int64_t *out, pm_error *err)
{
    const pm_gguf_entry *entry;
    PM_TRY(find_entry(file, key, &entry, err));
    if (entry->type == PM_GGUF_ARRAY)
        return fail_type(file, entry, err, "an integer");
    return integer_at(file, entry, entry->file_offset, out, err);
}

pm_status pm_gguf_get_u32(const pm_gguf *file, const char *key, uint32_t *out, pm_error *err)
{
    const pm_gguf_entry *entry;
    int64_t value;
    PM_TRY(find_entry(file, key, &entry, err));
    PM_TRY(pm_gguf_get_i64(file, key, &value, err));
    if (value < 0 || value > UINT32_MAX)
        return fail_value(file, entry, entry->file_offset, PM_ERR_LIMIT, err,
                          "the number is negative or does not fit 32 bits");
    *out = (uint32_t)value;
    return PM_OK;
}

pm_status pm_gguf_get_f32(const pm_gguf *file, const char *key, float *out, pm_error *err)
{
    const pm_gguf_entry *entry;
    double value;
    PM_TRY(find_entry(file, key, &entry, err));
    if (!load_real(entry->type, file->bytes + entry->file_offset, &value))
        return fail_type(file, entry, err, "a floating-point number");
    if (isfinite(value) && fabs(value) > (double)FLT_MAX)
        return fail_value(file, entry, entry->file_offset, PM_ERR_LIMIT, err, "the number does not fit a float");
    *out = (float)value;
    return PM_OK;
}

pm_status pm_gguf_get_bool(const pm_gguf *file, const char *key, int *out, pm_error *err)
{
    const pm_gguf_entry *entry;
    PM_TRY(find_entry(file, key, &entry, err));
    if (entry->type != PM_GGUF_BOOL)
        return fail_type(file, entry, err, "a bool");
    *out = file->bytes[entry->file_offset];
    return PM_OK;
}

pm_status pm_gguf_get_str(const pm_gguf *file, const char *key, pm_str *out, pm_error *err)
{
    const pm_gguf_entry *entry;
    PM_TRY(find_entry(file, key, &entry, err));
    if (entry->type != PM_GGUF_STRING)
        return fail_type(file, entry, err, "a string");
    *out = load_str(file, entry->file_offset);
    return PM_OK;
}

/* Checks that the entry is an array of this file with an element `index`. */
static pm_status check_element(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index, const char *wanted,
                               pm_error *err)
{
    uintptr_t place = (uintptr_t)entry, first = (uintptr_t)file->entries;
    if (!entry || place < first || place >= first + file->n_entries * sizeof *entry)
        return pm_fail(err, PM_ERR_ARGUMENT, "%s: the entry does not belong to this file", file->path);
    if (entry->type != PM_GGUF_ARRAY)
        return fail_type(file, entry, err, wanted);
    if (index >= entry->count) {
        pm_gguf_reader r = {.file = (pm_gguf *)file, .kind = "key", .name = &entry->key, .err = err};
        return pm_gguf_fail(&r, PM_ERR_LIMIT, entry->file_offset, "element %llu of an array of %llu was asked for",
                            (unsigned long long)index, (unsigned long long)entry->count);
    }
    return PM_OK;
}

static uint64_t element_offset(const pm_gguf_entry *entry, uint64_t index)
{
    return entry->file_offset + PM_GGUF_ARRAY_HEADER + index * pm_gguf_scalar_bytes(entry->elem_type);
}

pm_status pm_gguf_elem_i64(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index, int64_t *out,
                           pm_error *err)
{
    PM_TRY(check_element(file, entry, index, "an array of integers", err));
    return integer_at(file, entry, element_offset(entry, index), out, err);
}

pm_status pm_gguf_elem_bool(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index, int *out,
                            pm_error *err)
{
    PM_TRY(check_element(file, entry, index, "an array of bools", err));
    if (entry->elem_type != PM_GGUF_BOOL)
        return fail_type(file, entry, err, "an array of bools");
    *out = file->bytes[element_offset(entry, index)] != 0;
    return PM_OK;
}

pm_status pm_gguf_elem_f64(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index, double *out,
                           pm_error *err)
{
    PM_TRY(check_element(file, entry, index, "an array of floating-point numbers", err));
    if (!load_real(entry->elem_type, file->bytes + element_offset(entry, index), out))
        return fail_type(file, entry, err, "an array of floating-point numbers");
    return PM_OK;
}

pm_status pm_gguf_elem_str(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index, pm_str *out,
                           pm_error *err)
{
    PM_TRY(check_element(file, entry, index, "an array of strings", err));
    if (entry->elem_type != PM_GGUF_STRING)
        return fail_type(file, entry, err, "an array of strings");
    *out = load_str(file, pm_gguf_string_at(file, entry, index));
    return PM_OK;
}
