/* The reader of safetensors files: a good file, and every way in which the format says that one can be bad. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/safetensors.h"

typedef struct made_file {
    char *bytes;
    size_t size;
} made_file;

/* A file with this header and so many bytes of data, which count up. */
static made_file make(const char *header, size_t n_data)
{
    size_t n = strlen(header);
    made_file file = {malloc(8 + n + n_data), 8 + n + n_data};
    assert_non_null(file.bytes);
    for (int i = 0; i < 8; i++)
        file.bytes[i] = (char)(n >> (8 * i) & 0xFF);
    memcpy(file.bytes + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        file.bytes[8 + n + i] = (char)i;
    return file;
}

static pm_status open_made(const made_file *file, pm_safetensors **out, pm_error *err)
{
    return pm_safetensors_open_memory(file->bytes, file->size, "made", out, err);
}

static void good_file(void **state)
{
    (void)state;
    made_file made = make("{\"__metadata__\":{\"format\":\"pt\"},"
                          "\"b\":{\"shape\":[3,2],\"data_offsets\":[4,16],\"dtype\":\"F16\"},"
                          "\"a\\u00e9\\n\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                          "\"none\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[4,4]}}   ", 16);
    pm_safetensors *file;
    pm_error err;
    assert_int_equal(open_made(&made, &file, &err), PM_OK);
    assert_int_equal(pm_safetensors_n(file), 3);
    const pm_safetensor *t = pm_safetensors_find(file, "b");
    assert_non_null(t);
    assert_string_equal(t->dtype, "F16");
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->shape[0], 3);
    assert_int_equal(t->shape[1], 2);
    assert_int_equal(t->n_bytes, 12);
    assert_int_equal(((const char *)t->data)[0], 4);
    t = pm_safetensors_find(file, "a\xc3\xa9\n");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 0);
    assert_int_equal(t->n_bytes, 4);
    assert_int_equal(pm_safetensors_find(file, "none")->n_bytes, 0);
    assert_null(pm_safetensors_find(file, "c"));
    assert_null(pm_safetensors_at(file, 3));
    pm_safetensors_close(file);
    free(made.bytes);
}

#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

static const struct bad_case {
    const char *header;
    size_t n_data;
    pm_status status;
    const char *says;
} bad_cases[] = {
    {"{}", 4, PM_ERR_FORMAT, "belong to no tensor"},
    {"[]", 0, PM_ERR_FORMAT, "at byte 8: '{' is missing"},
    {"{\"a\":" T("F32", "1", "0,4") "", 4, PM_ERR_FORMAT, "',' is missing"},
    {"{\"a\":" T("F32", "1", "0,4") "} x", 4, PM_ERR_FORMAT, "something follows"},
    {"{\"a\":" T("F32", "1", "0,4") ",}", 4, PM_ERR_FORMAT, "'\"' is missing"},
    {"{\"a\":" T("F32", "1", "0,4") ",\"a\":" T("F32", "1", "4,8") "}", 8, PM_ERR_FORMAT, "two tensors have this name"},
    {"{\"a\":" T("F32", "1", "0,4") ",\"\\u0061\":" T("F32", "1", "4,8") "}", 8, PM_ERR_FORMAT, "two tensors"},
    {"{\"a\":" T("F32", "1", "0,4") ",\"a\":" T("F32", "1", "0,4") "}", 4, PM_ERR_FORMAT, "two tensors have this name"},
    {"{\"a\":" T("F32", "1", "0,4") ",\"b\":" T("F32", "1", "2,6") "}", 6, PM_ERR_FORMAT, "overlap"},
    {"{\"a\":" T("F32", "1", "0,4") ",\"b\":" T("F32", "1", "0,4") "}", 4, PM_ERR_FORMAT, "overlap"},
    {"{\"a\":" T("F32", "1", "0,4") ",\"b\":" T("F32", "1", "8,12") "}", 12, PM_ERR_FORMAT, "4 bytes before its data"},
    {"{\"a\":" T("F32", "1", "4,8") "}", 8, PM_ERR_FORMAT, "4 bytes before its data"},
    {"{\"a\":" T("F32", "1", "0,4") "}", 5, PM_ERR_FORMAT, "1 bytes at the end"},
    {"{\"a\":" T("F32", "1", "0,4") "}", 3, PM_ERR_FORMAT, "there are 3 bytes of data"},
    {"{\"a\":" T("F32", "2", "0,4") "}", 4, PM_ERR_FORMAT, "make it 8"},
    {"{\"a\":" T("F32", "1", "4,0") "}", 4, PM_ERR_FORMAT, "data_offsets 4 to 0"},
    {"{\"a\":" T("F32", "4294967296,4294967296,4294967296", "0,4") "}", 4, PM_ERR_FORMAT, "product of the shape"},
    {"{\"a\":" T("F32", "0,9223372036854775807,9223372036854775807", "0,0") "}", 0, PM_OK, ""},
    {"{\"a\":" T("F32", "1", "0,9223372036854775808") "}", 4, PM_ERR_FORMAT, "too large"},
    {"{\"a\":" T("F32", "-1", "0,4") "}", 4, PM_ERR_FORMAT, "a whole number is missing in the shape"},
    {"{\"a\":" T("F32", "1.0", "0,4") "}", 4, PM_ERR_FORMAT, "a whole number is missing in the shape"},
    {"{\"a\":" T("F32", "01", "0,4") "}", 4, PM_ERR_FORMAT, "a whole number is missing in the shape"},
    {"{\"a\":" T("F32", "1,1,1,1,1,1,1,1,1", "0,4") "}", 4, PM_ERR_UNSUPPORTED, "more than 8"},
    {"{\"a\":" T("F32", "1", "0,4,8") "}", 4, PM_ERR_UNSUPPORTED, "more than 2"},
    {"{\"a\":" T("F32", "1", "0") "}", 4, PM_ERR_FORMAT, "one of two data_offsets"},
    {"{\"a\":" T("Q4_0", "1", "0,4") "}", 4, PM_ERR_UNSUPPORTED, "the dtype \"Q4_0\" is not known"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, PM_ERR_FORMAT, "data_offsets is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1]}}", 4, PM_ERR_FORMAT, "there twice"},
    {"{\"a\":{\"dtype\":\"F32\",\"more\":1}}", 4, PM_ERR_FORMAT, "is not dtype, shape or data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[[1]]}}", 4, PM_ERR_FORMAT, "a whole number is missing"},
    {"{\"a\":1}", 0, PM_ERR_FORMAT, "'{' is missing before the tensor's description"},
    {"{\"\":" T("F32", "1", "0,4") "}", 4, PM_ERR_FORMAT, "a name of 0 bytes"},
    {"{\"a\\u0000\":" T("F32", "1", "0,4") "}", 4, PM_ERR_FORMAT, "none of them 0"},
    {"{\"a\\x\":" T("F32", "1", "0,4") "}", 4, PM_ERR_FORMAT, "malformed escape"},
    {"{\"a\\ud800\":" T("F32", "1", "0,4") "}", 4, PM_ERR_FORMAT, "malformed escape"},
    {"{\"a\xff\":" T("F32", "1", "0,4") "}", 4, PM_ERR_FORMAT, "not valid UTF-8"},
    {"{\"a\n\":" T("F32", "1", "0,4") "}", 4, PM_ERR_FORMAT, "control character"},
    {"{\"a", 0, PM_ERR_FORMAT, "a string without an end"},
    {"{\"a\\", 0, PM_ERR_FORMAT, "a string without an end"},
    {"{\"__metadata__\":{\"a\":1}}", 0, PM_ERR_FORMAT, "strings alone"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, PM_ERR_FORMAT, "__metadata__ is there twice"},
    {"{\"__metadata__\":{\"a\":{\"a\":{}}}}", 0, PM_ERR_FORMAT, "strings alone"},
};

static void bad_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        const struct bad_case *c = &bad_cases[i];
        made_file made = make(c->header, c->n_data);
        pm_safetensors *file = NULL;
        pm_error err = {PM_OK, ""};
        pm_status status = open_made(&made, &file, &err);
        if (status != c->status || !strstr(err.message, c->says))
            fail_msg("%s: status %d, '%s'", c->header, (int)status, err.message);
        assert_true((status == PM_OK) == (file != NULL));
        pm_safetensors_close(file);
        free(made.bytes);
    }
}

static void bad_lengths(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        size_t size;
        pm_status status;
    } cases[] = {{0, 64, PM_ERR_FORMAT},         {1, 64, PM_ERR_FORMAT},          {57, 64, PM_ERR_FORMAT},
                 {UINT64_MAX, 64, PM_ERR_FORMAT}, {100000001, 64, PM_ERR_FORMAT}, {2, 9, PM_ERR_FORMAT},
                 {0, 0, PM_ERR_FORMAT},          {100000001, 100000009, PM_ERR_LIMIT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char *bytes = calloc(cases[i].size + 8, 1);
        assert_non_null(bytes);
        for (int b = 0; b < 8; b++)
            bytes[b] = (unsigned char)(cases[i].length >> (8 * b));
        pm_safetensors *file = NULL;
        pm_error err;
        assert_int_equal(pm_safetensors_open_memory(bytes, cases[i].size, "made", &file, &err), cases[i].status);
        assert_null(file);
        free(bytes);
    }
}

/* Thousands of brackets are one error, not as many calls. */
static void nesting(void **state)
{
    (void)state;
    char header[50001];
    memset(header, '[', sizeof header - 1);
    memcpy(header, "{\"a\":", 5);
    header[sizeof header - 1] = '\0';
    made_file made = make(header, 0);
    pm_safetensors *file;
    pm_error err;
    assert_int_equal(open_made(&made, &file, &err), PM_ERR_FORMAT);
    free(made.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_file),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(bad_lengths),
        cmocka_unit_test(nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
