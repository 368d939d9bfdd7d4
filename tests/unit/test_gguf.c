/* The GGUF reader on files that are good: values of every type, tensors, lookups, and the files of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/gguf.h"
#include "tests/gguf_builder.h"
#include "tests/shared_data.h"

typedef struct built_file {
    uint8_t *bytes;
    size_t size;
    pm_gguf *file;
} built_file;

/* Opens what the builder holds and frees the builder; the test fails where the reader rejects it. */
static built_file open_built(gguf_builder *b)
{
    built_file f = {0};
    pm_error err = {0};
    f.bytes = gguf_builder_finish(b, &f.size);
    gguf_builder_destroy(b);
    if (pm_gguf_open_memory(f.bytes, f.size, "built.gguf", &f.file, &err) != PM_OK)
        fail_msg("%s", err.message);
    return f;
}

static void close_built(built_file *f)
{
    pm_gguf_close(f->file);
    free(f->bytes);
}

static void assert_str(pm_str text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

static gguf_builder *all_scalars(uint32_t version)
{
    gguf_builder *b = gguf_builder_create(version);
    gguf_builder_add_raw(b, (pm_str){"u8", 2}, PM_GGUF_UINT8, "\xff", 1);
    gguf_builder_add_raw(b, (pm_str){"i8", 2}, PM_GGUF_INT8, "\xff", 1);
    gguf_builder_add_raw(b, (pm_str){"u16", 3}, PM_GGUF_UINT16, "\xfe\xff", 2);
    gguf_builder_add_raw(b, (pm_str){"i16", 3}, PM_GGUF_INT16, "\xfe\xff", 2);
    gguf_builder_add_u32(b, "u32", UINT32_MAX);
    gguf_builder_add_i32(b, "i32", INT32_MIN);
    gguf_builder_add_u64(b, "u64", UINT64_MAX);
    gguf_builder_add_i64(b, "i64", INT64_MIN);
    gguf_builder_add_f32(b, "f32", 0.1f);
    gguf_builder_add_f64(b, "f64", 0.1);
    gguf_builder_add_f64(b, "f64.big", 1e300);
    gguf_builder_add_f64(b, "f64.inf", (double)INFINITY);
    gguf_builder_add_bool(b, "bool", 1);
    gguf_builder_add_str(b, "str", "pumice");
    gguf_builder_add_str(b, "str.empty", "");
    return b;
}

static void integers_of_every_width(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int64_t value;
    } expected[] = {{"u8", 255},         {"i8", -1},         {"u16", 65534},    {"i16", -2},
                    {"u32", UINT32_MAX}, {"i32", INT32_MIN}, {"i64", INT64_MIN}};
    built_file f = open_built(all_scalars(3));
    pm_error err = {0};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        int64_t wide = 7;
        uint32_t narrow = 7;
        assert_int_equal(pm_gguf_get_i64(f.file, expected[i].key, &wide, &err), PM_OK);
        assert_true(wide == expected[i].value);
        int fits = expected[i].value >= 0;
        assert_int_equal(pm_gguf_get_u32(f.file, expected[i].key, &narrow, &err), fits ? PM_OK : PM_ERR_LIMIT);
        assert_true(narrow == (fits ? (uint32_t)expected[i].value : 7)); /* a failure leaves the default alone */
    }
    int64_t wide = 7;
    assert_int_equal(pm_gguf_get_i64(f.file, "u64", &wide, &err), PM_ERR_LIMIT);
    assert_true(wide == 7);
    assert_non_null(strstr(err.message, "key \"u64\" at byte"));
    close_built(&f);
}

static void reals_bools_and_strings(void **state)
{
    (void)state;
    built_file f = open_built(all_scalars(2));
    pm_error err = {0};
    float real = 7.0f;
    int flag = 7;
    pm_str text = {0};
    assert_int_equal(pm_gguf_get_f32(f.file, "f32", &real, &err), PM_OK);
    assert_true(real == 0.1f);
    assert_int_equal(pm_gguf_get_f32(f.file, "f64", &real, &err), PM_OK);
    assert_true(real == 0.1f);
    assert_int_equal(pm_gguf_get_f32(f.file, "f64.inf", &real, &err), PM_OK);
    assert_true(isinf(real));
    real = 7.0f;
    assert_int_equal(pm_gguf_get_f32(f.file, "f64.big", &real, &err), PM_ERR_LIMIT);
    assert_true(real == 7.0f);
    assert_int_equal(pm_gguf_get_bool(f.file, "bool", &flag, &err), PM_OK);
    assert_int_equal(flag, 1);
    assert_int_equal(pm_gguf_get_str(f.file, "str", &text, &err), PM_OK);
    assert_str(text, "pumice");
    assert_int_equal(pm_gguf_get_str(f.file, "str.empty", &text, &err), PM_OK);
    assert_int_equal(text.size, 0);
    assert_int_equal(pm_gguf_version(f.file), 2);
    close_built(&f);
}

static void wrong_kinds_and_missing_keys(void **state)
{
    (void)state;
    built_file f = open_built(all_scalars(3));
    pm_error err = {0};
    int64_t wide = 7;
    uint32_t narrow = 7;
    float real = 7.0f;
    int flag = 7;
    pm_str text = {"x", 1};
    assert_int_equal(pm_gguf_get_i64(f.file, "bool", &wide, &err), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_get_i64(f.file, "f32", &wide, &err), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_get_u32(f.file, "str", &narrow, &err), PM_ERR_FORMAT);
    assert_non_null(strstr(err.message, "built.gguf: key \"str\" at byte"));
    assert_non_null(strstr(err.message, "of type string where an integer is needed"));
    assert_int_equal(pm_gguf_get_f32(f.file, "u32", &real, &err), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_get_bool(f.file, "u8", &flag, &err), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_get_str(f.file, "u8", &text, &err), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_get_u32(f.file, "no.such", &narrow, &err), PM_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "no.such"));
    assert_int_equal(pm_gguf_get_u32(f.file, "", &narrow, NULL), PM_ERR_NOT_FOUND);
    assert_true(wide == 7 && narrow == 7 && real == 7.0f && flag == 7 && text.size == 1);
    close_built(&f);
}

static void arrays(void **state)
{
    (void)state;
    static const int32_t numbers[] = {-5, 0, 7};
    static const float reals[] = {0.5f, -1.5f};
    static const uint8_t flags[] = {0, 1, 1, 0};
    static const pm_str strings[] = {{"one", 3}, {"", 0}, {"a\0b", 3}, {"\xff\xfe", 2}};
    gguf_builder *b = gguf_builder_create(3);
    gguf_builder_add_array(b, "ints", PM_GGUF_INT32, numbers, 3);
    gguf_builder_add_array(b, "reals", PM_GGUF_FLOAT32, reals, 2);
    gguf_builder_add_array(b, "flags", PM_GGUF_BOOL, flags, 4);
    gguf_builder_add_strs(b, "strs", strings, 4);
    gguf_builder_add_strs(b, "no strs", strings, 0);
    gguf_builder_add_array(b, "no ints", PM_GGUF_UINT64, NULL, 0);
    gguf_builder_add_u32(b, "scalar", 1);
    built_file f = open_built(b);
    pm_error err = {0};
    int64_t number = 7;
    double real = 7.0;
    pm_str text = {"x", 1};

    const pm_gguf_entry *ints = pm_gguf_find(f.file, "ints");
    assert_non_null(ints);
    assert_int_equal(ints->type, PM_GGUF_ARRAY);
    assert_int_equal(ints->elem_type, PM_GGUF_INT32);
    assert_int_equal(ints->count, 3);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(pm_gguf_elem_i64(f.file, ints, i, &number, &err), PM_OK);
        assert_true(number == numbers[i]);
    }
    assert_int_equal(pm_gguf_elem_i64(f.file, ints, 3, &number, &err), PM_ERR_LIMIT);
    assert_non_null(strstr(err.message, "element 3 of an array of 3"));
    assert_int_equal(pm_gguf_elem_i64(f.file, ints, UINT64_MAX, &number, &err), PM_ERR_LIMIT);
    assert_int_equal(pm_gguf_elem_f64(f.file, ints, 0, &real, &err), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_elem_str(f.file, ints, 0, &text, &err), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_elem_i64(f.file, NULL, 0, &number, &err), PM_ERR_ARGUMENT);
    pm_gguf_entry foreign = *ints;
    assert_int_equal(pm_gguf_elem_i64(f.file, &foreign, 0, &number, &err), PM_ERR_ARGUMENT);

    assert_int_equal(pm_gguf_elem_f64(f.file, pm_gguf_find(f.file, "reals"), 1, &real, &err), PM_OK);
    assert_true(real == -1.5);
    assert_int_equal(pm_gguf_elem_i64(f.file, pm_gguf_find(f.file, "flags"), 1, &number, &err), PM_ERR_FORMAT);
    for (uint64_t i = 0; i < 4; i++) {
        int truth = 7;
        assert_int_equal(pm_gguf_elem_bool(f.file, pm_gguf_find(f.file, "flags"), i, &truth, &err), PM_OK);
        assert_int_equal(truth, flags[i]);
        assert_int_equal(pm_gguf_elem_bool(f.file, ints, 0, &truth, &err), PM_ERR_FORMAT);
    }
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(pm_gguf_elem_str(f.file, pm_gguf_find(f.file, "strs"), i, &text, &err), PM_OK);
        assert_int_equal(text.size, strings[i].size);
        assert_memory_equal(text.data, strings[i].data, text.size);
    }
    assert_int_equal(pm_gguf_elem_str(f.file, pm_gguf_find(f.file, "no strs"), 0, &text, &err), PM_ERR_LIMIT);
    assert_int_equal(pm_gguf_elem_i64(f.file, pm_gguf_find(f.file, "no ints"), 0, &number, &err), PM_ERR_LIMIT);
    assert_int_equal(pm_gguf_elem_i64(f.file, pm_gguf_find(f.file, "scalar"), 0, &number, &err), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_get_i64(f.file, "ints", &number, &err), PM_ERR_FORMAT);
    assert_non_null(strstr(err.message, "an array of int32 where an integer is needed"));
    close_built(&f);
}

static void tensors(void **state)
{
    (void)state;
    static const int64_t dims[][4] = {{3, 2, 1, 1}, {64, 3, 1, 1}, {2, 2, 2, 2}};
    float values[192];
    for (int i = 0; i < 192; i++)
        values[i] = (float)i;
    for (uint32_t alignment = 8; alignment <= 4096; alignment *= 8) {
        gguf_builder *b = gguf_builder_create(3);
        gguf_builder_set_alignment(b, alignment);
        gguf_builder_add_floats(b, "second.by.name", PM_TYPE_F32, 2, dims[0], values);
        gguf_builder_add_floats(b, "a.first", PM_TYPE_Q8_0, 2, dims[1], values);
        gguf_builder_add_floats(b, "third", PM_TYPE_F16, 4, dims[2], values);
        built_file f = open_built(b);
        assert_int_equal(pm_gguf_alignment(f.file), alignment);
        assert_int_equal(pm_gguf_n_tensors(f.file), 3);
        const pm_gguf_tensor *t = pm_gguf_find_tensor(f.file, "second.by.name");
        assert_ptr_equal(t, pm_gguf_tensor_at(f.file, 0));
        assert_int_equal(t->n_dims, 2);
        assert_true(t->dim[0] == 3 && t->dim[1] == 2 && t->dim[2] == 1 && t->dim[3] == 1);
        assert_int_equal(t->n_bytes, 24);
        assert_memory_equal(t->data, values, 24);
        assert_ptr_equal(t->data, f.bytes + t->file_offset);
        t = pm_gguf_find_tensor(f.file, "a.first");
        assert_int_equal(t->type, PM_TYPE_Q8_0);
        assert_int_equal(t->n_bytes, 6 * 34);
        assert_int_equal(t->file_offset % alignment, 0);
        t = pm_gguf_tensor_at(f.file, 2);
        assert_str(t->name, "third");
        assert_int_equal(t->n_bytes, 32);
        assert_null(pm_gguf_tensor_at(f.file, 3));
        assert_null(pm_gguf_find_tensor(f.file, "fourth"));
        assert_null(pm_gguf_find_tensor(f.file, ""));
        close_built(&f);
    }
}

/* Enough keys that a search which compares wrongly would miss some; many share prefixes. */
static void finds_every_key(void **state)
{
    (void)state;
    char key[32];
    gguf_builder *b = gguf_builder_create(3);
    for (uint32_t i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "k%.*s%u", (int)(i % 7), "xxxxxxx", i * 7919 % 500);
        gguf_builder_add_u32(b, key, i);
    }
    built_file f = open_built(b);
    for (uint32_t i = 0; i < 500; i++) {
        uint32_t value = UINT32_MAX;
        snprintf(key, sizeof key, "k%.*s%u", (int)(i % 7), "xxxxxxx", i * 7919 % 500);
        assert_int_equal(pm_gguf_get_u32(f.file, key, &value, NULL), PM_OK);
        assert_int_equal(value, i);
        assert_str(pm_gguf_entry_at(f.file, i)->key, key);
    }
    assert_null(pm_gguf_entry_at(f.file, 500));
    assert_null(pm_gguf_find(f.file, "k"));
    assert_null(pm_gguf_find(f.file, "zzz"));
    close_built(&f);
}

static void smallest_file(void **state)
{
    (void)state;
    built_file f = open_built(gguf_builder_create(3));
    assert_int_equal(f.size, 24);
    assert_int_equal(pm_gguf_n_entries(f.file), 0);
    assert_int_equal(pm_gguf_n_tensors(f.file), 0);
    assert_null(pm_gguf_find(f.file, "any"));
    assert_null(pm_gguf_find_tensor(f.file, "any"));
    assert_null(pm_gguf_entry_at(f.file, 0));
    assert_int_equal(pm_gguf_file_size(f.file), 24);
    assert_int_equal(pm_gguf_alignment(f.file), 32);
    assert_string_equal(pm_gguf_path(f.file), "built.gguf");
    close_built(&f);
    pm_gguf_close(NULL);
}

static void files_on_disk(void **state)
{
    (void)state;
    static const char path[] = PUMICE_BUILD_DIR "/test_gguf.gguf";
    pm_gguf *file;
    pm_error err = {0};
    gguf_builder *b = all_scalars(3);
    assert_true(gguf_builder_write(b, path));
    gguf_builder_destroy(b);
    assert_int_equal(pm_gguf_open(path, &file, &err), PM_OK);
    assert_int_equal(pm_gguf_n_entries(file), 15);
    assert_string_equal(pm_gguf_path(file), path);
    pm_gguf_close(file);
    remove(path);

    assert_int_equal(pm_gguf_open(path, &file, &err), PM_ERR_IO);
    assert_null(file);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(pm_gguf_open(PUMICE_BUILD_DIR, &file, &err), PM_ERR_IO);
    assert_non_null(strstr(err.message, "folder"));
    assert_int_equal(pm_gguf_open("/dev/null", &file, NULL), PM_ERR_IO);
    assert_int_equal(pm_gguf_open(NULL, &file, &err), PM_ERR_ARGUMENT);
    FILE *empty = fopen(path, "wb");
    assert_non_null(empty);
    fclose(empty);
    assert_int_equal(pm_gguf_open(path, &file, &err), PM_ERR_FORMAT);
    remove(path);
}

static void reads_all_strings(const pm_gguf *file)
{
    for (size_t i = 0; i < pm_gguf_n_entries(file); i++) {
        const pm_gguf_entry *entry = pm_gguf_entry_at(file, i);
        pm_str text;
        if (entry->type != PM_GGUF_ARRAY || entry->elem_type != PM_GGUF_STRING)
            continue;
        const char *end = NULL;
        for (uint64_t k = 0; k < entry->count; k++) {
            assert_int_equal(pm_gguf_elem_str(file, entry, k, &text, NULL), PM_OK);
            if (end)
                assert_ptr_equal(text.data, end + 8); /* each follows the one before */
            end = text.data + text.size;
        }
    }
}

static void files_of_others(void **state)
{
    (void)state;
    int n_missing = 0;
    char path[4096];
    for (const char *const *name = shared_gguf_files; *name; name++) {
        pm_gguf *file;
        pm_error err = {0};
        pm_str architecture;
        if (!shared_data_find(*name, path, sizeof path)) {
            n_missing++;
            continue;
        }
        if (pm_gguf_open(path, &file, &err) != PM_OK)
            fail_msg("%s", err.message);
        assert_int_equal(pm_gguf_get_str(file, "general.architecture", &architecture, &err), PM_OK);
        assert_true(architecture.size > 0);
        const pm_gguf_entry *tokens = pm_gguf_find(file, "tokenizer.ggml.tokens");
        assert_non_null(tokens);
        assert_true(tokens->count >= 512);
        reads_all_strings(file);
        if (strstr(*name, "stories")) {
            assert_int_equal(pm_gguf_n_tensors(file), 48);
            const pm_gguf_tensor *embedding = pm_gguf_find_tensor(file, "token_embd.weight");
            assert_non_null(embedding);
            assert_true(embedding->dim[0] == 64 && embedding->dim[1] == 512);
        }
        pm_gguf_close(file);
    }
    if (n_missing > 0)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_width),
        cmocka_unit_test(reals_bools_and_strings),
        cmocka_unit_test(wrong_kinds_and_missing_keys),
        cmocka_unit_test(arrays),
        cmocka_unit_test(tensors),
        cmocka_unit_test(finds_every_key),
        cmocka_unit_test(smallest_file),
        cmocka_unit_test(files_on_disk),
        cmocka_unit_test(files_of_others),
    };
    return cmocka_run_group_tests_name("GGUF reader", tests, NULL, NULL);
}
