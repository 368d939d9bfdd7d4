/* The GGUF reader on files that are not good: each is refused with the right status and a message that names the
 * file, the key or tensor, and the byte.
 *
 * Most cases change one field of one good file; the table says which, to what, and what the reader must answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pumice/gguf.h"
#include "tests/gguf_builder.h"

/* The good file that the table's cases start from. */
static gguf_builder *good_file(void)
{
    static const char *const strings[] = {"alpha", "beta", "gamma"};
    static const float reals[] = {1.0f, 2.0f, 3.0f};
    static const uint8_t flags[] = {1, 0, 1};
    static const int64_t dims[][2] = {{4, 2}, {64, 3}, {8, 1}};
    static const float values[192] = {1.0f, 2.0f};
    gguf_builder *b = gguf_builder_create(3);
    gguf_builder_add_str(b, "general.architecture", "llama");
    gguf_builder_set_alignment(b, 32);
    gguf_builder_add_bool(b, "t.bool", 1);
    gguf_builder_add_array(b, "t.flags", PM_GGUF_BOOL, flags, 3);
    gguf_builder_add_array(b, "t.reals", PM_GGUF_FLOAT32, reals, 3);
    gguf_builder_add_str_array(b, "t.strings", strings, 3);
    gguf_builder_add_floats(b, "w.f32", PM_TYPE_F32, 2, dims[0], values);
    gguf_builder_add_floats(b, "w.q8", PM_TYPE_Q8_0, 2, dims[1], values);
    gguf_builder_add_floats(b, "w.f16", PM_TYPE_F16, 1, dims[2], values);
    return b;
}

/* Where a change goes: bytes from an anchor. For a key the anchor is its value, so its type is at -4; for a tensor
 * the number of dimensions, right behind the name; for the header the start of the file. */
typedef enum place { HEADER, KEY_LENGTH, KEY_VALUE, TENSOR_LENGTH, TENSOR_DIMS } place;

typedef struct tamper_case {
    const char *what;
    place where;
    const char *name; /* of the key or tensor */
    int delta;        /* from the anchor, in bytes */
    int width;        /* bytes written */
    uint64_t value;
    pm_status status;
    const char *subject; /* how the message calls the place; NULL for `key "name"` or `tensor "name"` */
    int report_delta;    /* from the changed field to the byte that is reported */
    const char *phrase;  /* in the message */
} tamper_case;

static const tamper_case cases[] = {
    {"magic", HEADER, "", 0, 4, 0x21212121, PM_ERR_FORMAT, "header", 0, "not a GGUF file"},
    {"big-endian magic", HEADER, "", 0, 4, 0x47475546, PM_ERR_UNSUPPORTED, "header", 0, "big-endian"},
    {"big-endian version", HEADER, "", 4, 4, 0x03000000, PM_ERR_UNSUPPORTED, "header", 0, "big-endian"},
    {"version 1", HEADER, "", 4, 4, 1, PM_ERR_UNSUPPORTED, "header", 0, "version 1"},
    {"version 4", HEADER, "", 4, 4, 4, PM_ERR_UNSUPPORTED, "header", 0, "version 4"},
    {"version 0", HEADER, "", 4, 4, 0, PM_ERR_UNSUPPORTED, "header", 0, "version 0"},
    {"tensor count too big", HEADER, "", 8, 8, 1000, PM_ERR_FORMAT, "header", 0, "number of tensors is 1000"},
    {"tensor count negative", HEADER, "", 8, 8, UINT64_MAX, PM_ERR_FORMAT, "header", 0, "number of tensors"},
    {"key count too big", HEADER, "", 16, 8, 1u << 20, PM_ERR_FORMAT, "header", 0, "number of keys is 1048576"},
    {"key count overflows", HEADER, "", 16, 8, UINT64_MAX / 2, PM_ERR_FORMAT, "header", 0, "number of keys"},

    {"empty key", KEY_LENGTH, "t.bool", 0, 8, 0, PM_ERR_FORMAT, "key number 2", 0, "name is empty"},
    {"key past the end", KEY_LENGTH, "t.bool", 0, 8, 1 << 20, PM_ERR_FORMAT, "key number 2", 0,
     "length of the name"},
    {"key length overflows", KEY_LENGTH, "t.bool", 0, 8, UINT64_MAX - 7, PM_ERR_FORMAT, "key number 2", 0,
     "length of the name is 18446744073709551608"},
    {"key not UTF-8", KEY_LENGTH, "t.bool", 10, 1, 0xFF, PM_ERR_FORMAT, "key \"t.\\xffool\"", 0,
     "not valid UTF-8"},
    {"key with a zero", KEY_LENGTH, "t.bool", 10, 1, 0, PM_ERR_FORMAT, "key \"t.\\x00ool\"", -10, "zero byte"},
    {"value type out of range", KEY_VALUE, "t.bool", -4, 4, 13, PM_ERR_FORMAT, NULL, 0, "no GGUF value type"},
    {"value type huge", KEY_VALUE, "t.bool", -4, 4, UINT32_MAX, PM_ERR_FORMAT, NULL, 0, "no GGUF value type"},
    {"bool of 2", KEY_VALUE, "t.bool", 0, 1, 2, PM_ERR_FORMAT, NULL, 0, "a bool is 2"},
    {"bool of 255 in an array", KEY_VALUE, "t.flags", 13, 1, 255, PM_ERR_FORMAT, NULL, 0, "a bool is 255"},
    {"string past the end", KEY_VALUE, "general.architecture", 0, 8, 1 << 30, PM_ERR_FORMAT, NULL, 0,
     "length of the value"},
    {"string length overflows", KEY_VALUE, "general.architecture", 0, 8, UINT64_MAX, PM_ERR_FORMAT, NULL, 0,
     "length of the value"},
    {"nested array", KEY_VALUE, "t.reals", 0, 4, PM_GGUF_ARRAY, PM_ERR_UNSUPPORTED, NULL, 0, "arrays of arrays"},
    {"element type out of range", KEY_VALUE, "t.reals", 0, 4, 99, PM_ERR_FORMAT, NULL, 0, "no GGUF value type"},
    {"array past the end", KEY_VALUE, "t.reals", 4, 8, 1 << 20, PM_ERR_FORMAT, NULL, 8, "1048576 values"},
    {"array size overflows", KEY_VALUE, "t.reals", 4, 8, (UINT64_MAX >> 2) + 2, PM_ERR_FORMAT, NULL, 8, "values"},
    {"strings past the end", KEY_VALUE, "t.strings", 4, 8, 1 << 20, PM_ERR_FORMAT, NULL, 8, "1048576 strings"},
    {"string count overflows", KEY_VALUE, "t.strings", 4, 8, UINT64_MAX, PM_ERR_FORMAT, NULL, 8, "strings"},
    {"string in array past the end", KEY_VALUE, "t.strings", 25, 8, 1 << 20, PM_ERR_FORMAT, NULL, 0,
     "string 1 of 3"},
    {"string in array overflows", KEY_VALUE, "t.strings", 25, 8, UINT64_MAX - 3, PM_ERR_FORMAT, NULL, 0,
     "string 1 of 3"},

    {"alignment 0", KEY_VALUE, "general.alignment", 0, 4, 0, PM_ERR_FORMAT, NULL, 0, "alignment is 0"},
    {"alignment 4", KEY_VALUE, "general.alignment", 0, 4, 4, PM_ERR_FORMAT, NULL, 0, "power of two"},
    {"alignment 48", KEY_VALUE, "general.alignment", 0, 4, 48, PM_ERR_FORMAT, NULL, 0, "power of two"},
    {"alignment huge", KEY_VALUE, "general.alignment", 0, 4, 1u << 31, PM_ERR_FORMAT, NULL, 0, "2147483648"},
    {"alignment all ones", KEY_VALUE, "general.alignment", 0, 4, UINT32_MAX, PM_ERR_FORMAT, NULL, 0,
     "power of two"},
    {"alignment not uint32", KEY_VALUE, "general.alignment", -4, 4, PM_GGUF_INT32, PM_ERR_FORMAT, NULL, 4,
     "int32 instead of uint32"},

    {"empty tensor name", TENSOR_LENGTH, "w.q8", 0, 8, 0, PM_ERR_FORMAT, "tensor number 1", 0, "name is empty"},
    {"tensor name past the end", TENSOR_LENGTH, "w.q8", 0, 8, 1 << 20, PM_ERR_FORMAT, "tensor number 1", 0,
     "length of the name"},
    {"tensor name too long", TENSOR_LENGTH, "w.q8", 0, 8, 65, PM_ERR_FORMAT, "tensor \"w.q8", 0, "65 bytes"},
    {"tensor name not UTF-8", TENSOR_LENGTH, "w.q8", 8, 1, 0xC0, PM_ERR_FORMAT, "tensor \"\\xc0.q8\"", 0,
     "not valid UTF-8"},
    {"no dimensions", TENSOR_DIMS, "w.q8", 0, 4, 0, PM_ERR_FORMAT, NULL, 0, "0 dimensions"},
    {"five dimensions", TENSOR_DIMS, "w.q8", 0, 4, 5, PM_ERR_FORMAT, NULL, 0, "5 dimensions"},
    {"2^32-1 dimensions", TENSOR_DIMS, "w.q8", 0, 4, UINT32_MAX, PM_ERR_FORMAT, NULL, 0, "dimensions"},
    {"dimension zero", TENSOR_DIMS, "w.q8", 12, 8, 0, PM_ERR_FORMAT, NULL, 0, "dimension 1 is 0"},
    {"dimension negative", TENSOR_DIMS, "w.q8", 4, 8, UINT64_MAX, PM_ERR_FORMAT, NULL, 0, "dimension 0 is -1"},
    {"dimensions overflow", TENSOR_DIMS, "w.q8", 12, 8, INT64_MAX / 32, PM_ERR_FORMAT, NULL, 0, "63 bits"},
    {"size overflows", TENSOR_DIMS, "w.f32", 12, 8, INT64_MAX / 4, PM_ERR_FORMAT, NULL, 8, "more bytes than"},
    {"row no multiple of the block", TENSOR_DIMS, "w.q8", 4, 8, 48, PM_ERR_FORMAT, NULL, 16, "Q8_0 block"},
    {"type without a reader", TENSOR_DIMS, "w.q8", 20, 4, 10, PM_ERR_UNSUPPORTED, NULL, 0, "Q2_K"},
    {"type removed", TENSOR_DIMS, "w.q8", 20, 4, 4, PM_ERR_UNSUPPORTED, NULL, 0, "element type 4 (unknown)"},
    {"type huge", TENSOR_DIMS, "w.q8", 20, 4, UINT32_MAX, PM_ERR_UNSUPPORTED, NULL, 0, "4294967295"},
    {"offset misaligned", TENSOR_DIMS, "w.q8", 24, 8, 33, PM_ERR_FORMAT, NULL, 0, "no multiple of the alignment"},
    {"offset past the end", TENSOR_DIMS, "w.q8", 24, 8, 1 << 20, PM_ERR_FORMAT, NULL, -36, "past the end"},
    {"offset overflows", TENSOR_DIMS, "w.q8", 24, 8, UINT64_MAX - 31, PM_ERR_FORMAT, NULL, -36, "past the end"},
    {"offset of another", TENSOR_DIMS, "w.q8", 24, 8, 0, PM_ERR_FORMAT, NULL, -36,
     "overlaps that of tensor \"w.f32\""},
    {"dimension into the next tensor", TENSOR_DIMS, "w.f32", 12, 8, 3, PM_ERR_FORMAT, "tensor \"w.q8\"", 20,
     "overlaps that of tensor \"w.f32\""},
    {"dimension past the end", TENSOR_DIMS, "w.q8", 12, 8, 1 << 20, PM_ERR_FORMAT, NULL, -24, "past the end"},
};

static uint64_t find_place(const tamper_case *c, const pm_gguf *file, const uint8_t *bytes)
{
    if (c->where == HEADER)
        return 0;
    if (c->where == KEY_LENGTH || c->where == KEY_VALUE) {
        const pm_gguf_entry *entry = pm_gguf_find(file, c->name);
        assert_non_null(entry);
        return c->where == KEY_VALUE ? entry->file_offset
                                     : (uint64_t)((const uint8_t *)entry->key.data - bytes) - 8;
    }
    const pm_gguf_tensor *tensor = pm_gguf_find_tensor(file, c->name);
    assert_non_null(tensor);
    uint64_t name_at = (uint64_t)((const uint8_t *)tensor->name.data - bytes);
    return c->where == TENSOR_LENGTH ? name_at - 8 : name_at + tensor->name.size;
}

/* The reader must refuse these bytes with this status and a message that holds these three. */
static void assert_refused(const uint8_t *bytes, size_t size, const char *what, pm_status status,
                           const char *subject, uint64_t offset, const char *phrase)
{
    pm_gguf *file;
    pm_error err = {0};
    char start[160];
    pm_status got = pm_gguf_open_memory(bytes, size, "bad.gguf", &file, &err);
    if (got != status)
        fail_msg("%s: status %s instead of %s (%s)", what, pm_status_text(got), pm_status_text(status),
                 err.message);
    assert_null(file);
    assert_int_equal(err.status, status);
    snprintf(start, sizeof start, "bad.gguf: %s", subject);
    if (strncmp(err.message, start, strlen(start)) != 0)
        fail_msg("%s: \"%s\" does not start with \"%s\"", what, err.message, start);
    snprintf(start, sizeof start, " at byte %llu: ", (unsigned long long)offset);
    if (!strstr(err.message, start) || !strstr(err.message, phrase))
        fail_msg("%s: \"%s\" lacks \"%s\" or \"%s\"", what, err.message, start, phrase);
    assert_int_equal(pm_gguf_open_memory(bytes, size, "bad.gguf", &file, NULL), status);
}

static void one_field_changed(void **state)
{
    (void)state;
    size_t size;
    gguf_builder *b = good_file();
    uint8_t *bytes = gguf_builder_finish(b, &size);
    uint8_t *changed = malloc(size);
    pm_gguf *file;
    gguf_builder_destroy(b);
    assert_int_equal(pm_gguf_open_memory(bytes, size, "good.gguf", &file, NULL), PM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const tamper_case *c = &cases[i];
        uint64_t at = find_place(c, file, bytes) + (uint64_t)(int64_t)c->delta;
        char subject[64];
        snprintf(subject, sizeof subject, "%s \"%s\"", c->where >= TENSOR_LENGTH ? "tensor" : "key", c->name);
        memcpy(changed, bytes, size);
        for (int k = 0; k < c->width; k++)
            changed[at + (uint64_t)k] = (uint8_t)(c->value >> 8 * k);
        assert_refused(changed, size, c->what, c->status, c->subject ? c->subject : subject,
                       at + (uint64_t)(int64_t)c->report_delta, c->phrase);
    }
    pm_gguf_close(file);
    free(changed);
    free(bytes);
}

/* Every shorter file is refused, down to nothing, until only padding behind the last tensor is missing. */
static void cut_anywhere(void **state)
{
    (void)state;
    size_t size;
    gguf_builder *b = good_file();
    uint8_t *bytes = gguf_builder_finish(b, &size);
    pm_gguf *file;
    gguf_builder_destroy(b);
    assert_int_equal(pm_gguf_open_memory(bytes, size, "good.gguf", &file, NULL), PM_OK);
    const pm_gguf_tensor *last = pm_gguf_find_tensor(file, "w.f16");
    size_t needed = (size_t)last->file_offset + last->n_bytes;
    pm_gguf_close(file);
    for (size_t cut = 0; cut <= size; cut++) {
        uint8_t *part = malloc(cut > 0 ? cut : 1); /* exact, so that sanitizers see reads past the end */
        pm_error err = {0};
        memcpy(part, bytes, cut);
        pm_status status = pm_gguf_open_memory(part, cut, "cut.gguf", &file, &err);
        if (cut < needed) {
            assert_int_equal(status, PM_ERR_FORMAT);
            assert_int_equal(strncmp(err.message, "cut.gguf: ", 10), 0);
            assert_non_null(strstr(err.message, " at byte "));
        } else {
            assert_int_equal(status, PM_OK);
        }
        pm_gguf_close(file);
        free(part);
    }
    free(bytes);
}

static void refuse_built(gguf_builder *b, const char *what, const char *subject, uint64_t offset,
                         const char *phrase)
{
    size_t size;
    uint8_t *bytes = gguf_builder_finish(b, &size);
    gguf_builder_destroy(b);
    assert_refused(bytes, size, what, PM_ERR_FORMAT, subject, offset, phrase);
    free(bytes);
}

static void duplicates(void **state)
{
    (void)state;
    static const int64_t dim[] = {4};
    static const float values[4] = {0};
    gguf_builder *b = gguf_builder_create(3);
    gguf_builder_add_u32(b, "twice", 1);  /* at byte 24: 8 + 5 + 4 + 4 bytes */
    gguf_builder_add_u32(b, "other", 1);  /* at byte 45 */
    gguf_builder_add_bool(b, "twice", 1); /* at byte 66 */
    refuse_built(b, "key twice", "key \"twice\"", 66, "already there at byte 24");

    b = gguf_builder_create(3);
    gguf_builder_add_floats(b, "same", PM_TYPE_F32, 1, dim, values); /* at byte 24: 8 + 4 + 4 + 8 + 4 + 8 bytes */
    gguf_builder_add_floats(b, "same", PM_TYPE_F32, 1, dim, values); /* at byte 60 */
    refuse_built(b, "tensor twice", "tensor \"same\"", 60, "already there at byte 24");

    b = gguf_builder_create(3);
    gguf_builder_set_alignment(b, 32);
    gguf_builder_add_u32(b, "general.alignment", 64);
    refuse_built(b, "alignment twice", "key \"general.alignment\"", 57, "already there at byte 24");
}

/* Tensor sizes and offsets that only overflow together. */
static void sums_overflow(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint32_t type;
        uint64_t dim[4];
        uint64_t offset;
    } hostile[] = {
        {"product of four", 0, {65536, 65536, 65536, 65536}, 0},
        {"product just past 63 bits", 0, {INT64_MAX, 2, 1, 1}, 0},
        {"bytes past 64 bits", 0, {1, INT64_MAX, 1, 1}, 0},
        {"offset plus size wraps", 0, {64, 1, 1, 1}, UINT64_MAX - 127},
        {"offset wraps to the header", 0, {4, 1, 1, 1}, UINT64_MAX - 95},
        {"largest offset", 0, {4, 1, 1, 1}, (uint64_t)INT64_MAX + 1},
        {"largest blocks", 14, {INT64_MAX / 256 * 256, 1, 1, 1}, 0},
    };
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        gguf_builder *b = gguf_builder_create(3);
        size_t size;
        gguf_builder_add_raw_tensor(b, (pm_str){"w", 1}, hostile[i].type, 4, hostile[i].dim, hostile[i].offset);
        uint8_t *bytes = gguf_builder_finish(b, &size);
        pm_gguf *file;
        pm_error err = {0};
        pm_status status = pm_gguf_open_memory(bytes, size, "bad.gguf", &file, &err);
        if (status != PM_ERR_FORMAT || !strstr(err.message, "tensor \"w\" at byte "))
            fail_msg("%s: %s (%s)", hostile[i].what, pm_status_text(status), err.message);
        free(bytes);
        gguf_builder_destroy(b);
    }
}

/* What a hostile name or path may do to the message: nothing but be shown, shortened. */
static void messages_stay_printable(void **state)
{
    (void)state;
    char long_path[1000], long_key[3000];
    pm_gguf *file;
    pm_error err = {0};
    size_t size;
    memset(long_path, 'd', sizeof long_path);
    memcpy(long_path + sizeof long_path - 12, "/model.gguf", 12);
    memset(long_key, 'k', sizeof long_key);
    memcpy(long_key, "\x1b[2J\"\\\xc2\x9b", 8);
    gguf_builder *b = gguf_builder_create(3);
    gguf_builder_add_raw(b, (pm_str){long_key, sizeof long_key}, 77, NULL, 0);
    gguf_builder_add_u32(b, "more", 1);
    uint8_t *bytes = gguf_builder_finish(b, &size);
    assert_int_equal(pm_gguf_open_memory(bytes, size, long_path, &file, &err), PM_ERR_FORMAT);
    assert_null(strchr(err.message, 0x1b));
    assert_null(strstr(err.message, "\xc2\x9b"));
    assert_non_null(strstr(err.message, "/model.gguf: key \"\\x1b[2J\\x22\\x5c\\xc2\\x9bkkk"));
    assert_non_null(strstr(err.message, "kkk...\" at byte "));
    assert_non_null(strstr(err.message, "no GGUF value type"));
    free(bytes);
    gguf_builder_destroy(b);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value); /* the machine is little-endian, as the file is */
}

/* Places of strings are kept in 32 bits. Memory that is not touched costs nothing. */
static void strings_of_more_than_4_gib(void **state)
{
    (void)state;
    enum { HEAD = 24, KEY = 8 + 1, TYPES = 4 + 4 };
    const uint64_t long_string = UINT64_C(1) << 32, first = HEAD + KEY + TYPES + 8;
    size_t size = (size_t)(first + 8 + long_string + 8 + 8 + 4096);
    uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(bytes != MAP_FAILED);
    memcpy(bytes, "GGUF\3\0\0\0", 8);
    put_u64(bytes + 16, 1); /* one key, no tensor */
    put_u64(bytes + HEAD, 1);
    bytes[HEAD + 8] = 'a';
    bytes[HEAD + KEY] = PM_GGUF_ARRAY;
    bytes[HEAD + KEY + 4] = PM_GGUF_STRING;
    put_u64(bytes + HEAD + KEY + TYPES, 2);
    put_u64(bytes + first, long_string);
    pm_gguf *file = NULL;
    pm_error err = {0};
    assert_int_equal(pm_gguf_open_memory(bytes, size, "x", &file, &err), PM_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "more than 4 GiB"));
    put_u64(bytes + first, long_string - 9); /* the second one begins just below 4 GiB */
    assert_int_equal(pm_gguf_open_memory(bytes, size, "x", &file, &err), PM_OK);
    pm_str text;
    assert_int_equal(pm_gguf_elem_str(file, pm_gguf_find(file, "a"), 1, &text, &err), PM_OK);
    assert_ptr_equal(text.data, bytes + first + 8 + long_string - 9 + 8);
    pm_gguf_close(file);
    munmap(bytes, size);
}

static void bad_arguments(void **state)
{
    (void)state;
    static const uint64_t words[4] = {0};
    pm_gguf *file;
    pm_error err = {0};
    assert_int_equal(pm_gguf_open_memory(NULL, 8, "x", &file, &err), PM_ERR_ARGUMENT);
    assert_int_equal(pm_gguf_open_memory((const uint8_t *)words + 1, 8, "x", &file, &err), PM_ERR_ARGUMENT);
    assert_int_equal(pm_gguf_open_memory(words, 8, "x", NULL, &err), PM_ERR_ARGUMENT);
    assert_int_equal(pm_gguf_open_memory(NULL, 0, "x", &file, &err), PM_ERR_FORMAT);
    static const char pointer[] __attribute__((aligned(8))) =
        "version https://git-lfs.github.com/spec/v1\noid sha256:1";
    assert_int_equal(pm_gguf_open_memory(pointer, sizeof pointer, "x", &file, &err), PM_ERR_FORMAT);
    assert_non_null(strstr(err.message, "Git LFS"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_field_changed),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(sums_overflow),
        cmocka_unit_test(messages_stay_printable),
        cmocka_unit_test(strings_of_more_than_4_gib),
        cmocka_unit_test(bad_arguments),
    };
    return cmocka_run_group_tests_name("malformed GGUF files", tests, NULL, NULL);
}
