/* Element types: the table, the halves, and every block layout, bit for bit against an outside implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/block_types.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void table_has_every_type_once(void **state)
{
    (void)state;
    for (int i = 0; i < PM_TYPE_COUNT; i++) {
        const pm_type_info *info = pm_type_get((pm_type)i);
        pm_type back;
        assert_non_null(info);
        assert_true(pm_type_from_gguf(info->gguf_id, &back));
        assert_int_equal(back, i);
        assert_string_equal(pm_type_name((pm_type)i), info->name);
        assert_int_equal(pm_type_row_bytes((pm_type)i, 3 * info->block_elems), 3 * info->block_bytes);
        assert_int_equal(pm_type_row_bytes((pm_type)i, 0), 0);
        assert_true(pm_type_row_bytes((pm_type)i, -(int64_t)info->block_elems) == SIZE_MAX);
        if (info->block_elems > 1)
            assert_true(pm_type_row_bytes((pm_type)i, info->block_elems + 1) == SIZE_MAX);
    }
    pm_type unused;
    assert_null(pm_type_get(PM_TYPE_COUNT));
    assert_null(pm_type_get((pm_type)-1));
    assert_string_equal(pm_type_name(PM_TYPE_COUNT), "?");
    assert_false(pm_type_from_gguf(4, &unused)); /* Q4_2, removed from the format */
    assert_false(pm_type_from_gguf(UINT32_MAX, &unused));
    assert_true(pm_type_row_bytes(PM_TYPE_COUNT, 32) == SIZE_MAX);
    assert_true(pm_type_row_bytes(PM_TYPE_F32, INT64_MAX) == SIZE_MAX);
    size_t big = pm_type_row_bytes(PM_TYPE_Q8_0, INT64_MAX / 32 * 32);
    assert_true(big == SIZE_MAX || big / 34 == INT64_MAX / 32);
}

static void halves_round_trip(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= 0xFFFF; bits++) {
        float f16 = pm_f16_to_f32((uint16_t)bits);
        float bf16 = pm_bf16_to_f32((uint16_t)bits);
        if (isnan(f16))
            assert_true(isnan(pm_f16_to_f32(pm_f32_to_f16(f16))));
        else
            assert_int_equal(pm_f32_to_f16(f16), bits);
        if (isnan(bf16))
            assert_true(isnan(pm_bf16_to_f32(pm_f32_to_bf16(bf16))));
        else
            assert_int_equal(pm_f32_to_bf16(bf16), bits);
    }
}

/* Between neighbours a < b of the narrow format: just below the middle goes to a, just above to b, the middle to
 * the one with an even last bit. */
static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x7BFF; bits++) {
        float a = pm_f16_to_f32((uint16_t)bits), b = pm_f16_to_f32((uint16_t)(bits + 1));
        float middle = a + (b - a) / 2; /* exact: a float has room for it */
        assert_int_equal(pm_f32_to_f16(middle), bits % 2 == 0 ? bits : bits + 1);
        assert_int_equal(pm_f32_to_f16(nextafterf(middle, 0.0f)), bits);
        assert_int_equal(pm_f32_to_f16(nextafterf(middle, INFINITY)), bits + 1);
    }
    assert_int_equal(pm_f32_to_f16(65519.99f), 0x7BFF);
    assert_int_equal(pm_f32_to_f16(65520.0f), 0x7C00);
    assert_int_equal(pm_f32_to_f16(-INFINITY), 0xFC00);
    assert_int_equal(pm_f32_to_bf16(INFINITY), 0x7F80);
    assert_int_equal(pm_f32_to_bf16(3.4e38f), 0x7F80);
}

typedef struct golden_record {
    pm_type type;
    int quantize;
    uint32_t n_values;
    uint32_t n_bytes;
    uint8_t *bytes;
    float *values;
} golden_record;

static int read_golden(FILE *in, golden_record *record)
{
    uint32_t head[4];
    if (fread(head, sizeof head, 1, in) != 1)
        return 0;
    assert_true(pm_type_from_gguf(head[0], &record->type));
    record->quantize = head[1] == 1;
    record->n_values = head[2];
    record->n_bytes = head[3];
    assert_int_equal(pm_type_row_bytes(record->type, record->n_values), record->n_bytes);
    record->bytes = malloc(record->n_bytes);
    record->values = malloc(record->n_values * sizeof *record->values);
    assert_int_equal(fread(record->bytes, 1, record->n_bytes, in), record->n_bytes);
    assert_int_equal(fread(record->values, sizeof *record->values, record->n_values, in), record->n_values);
    return 1;
}

static void check_dequantized(const golden_record *record)
{
    /* From an odd address: the layouts promise no alignment. */
    uint8_t *moved = malloc(record->n_bytes + 1);
    float *values = malloc(record->n_values * sizeof *values);
    memcpy(moved + 1, record->bytes, record->n_bytes);
    pm_dequantize_row(record->type, moved + 1, values, record->n_values);
    for (uint32_t i = 0; i < record->n_values; i++) {
        int both_nan = isnan(values[i]) && isnan(record->values[i]);
        if (!both_nan && bits_of(values[i]) != bits_of(record->values[i]))
            fail_msg("%s value %u is %a instead of %a", pm_type_name(record->type), i, (double)values[i],
                     (double)record->values[i]);
    }
    free(values);
    free(moved);
}

static void check_quantized(const golden_record *record)
{
    uint8_t *bytes = malloc(record->n_bytes);
    pm_quantize_row(record->type, record->values, bytes, record->n_values);
    for (uint32_t i = 0; i < record->n_bytes; i++)
        if (bytes[i] != record->bytes[i])
            fail_msg("%s byte %u is %02x instead of %02x", pm_type_name(record->type), i, bytes[i],
                     record->bytes[i]);
    free(bytes);
}

static void matches_golden_file(void **state)
{
    (void)state;
    FILE *in = fopen(PUMICE_TEST_DATA "/block_types.golden", "rb");
    assert_non_null(in);
    int n_checked[PM_TYPE_COUNT] = {0};
    golden_record record;
    while (read_golden(in, &record)) {
        if (record.quantize)
            check_quantized(&record);
        else
            check_dequantized(&record);
        n_checked[record.type]++;
        free(record.bytes);
        free(record.values);
    }
    fclose(in);
    for (int i = 0; i < PM_TYPE_COUNT; i++)
        if (i != PM_TYPE_F32 && i != PM_TYPE_I32)
            assert_true(n_checked[i] >= 1);
}

enum { N_VALUES = 4096 };

/* Roughly normal numbers of a fixed sequence (the sum of uniform ones), each 256 of another magnitude. */
static void fill_values(float *values)
{
    uint32_t state = 12345;
    float magnitude = 1.0f;
    for (int i = 0; i < N_VALUES; i++) {
        float sum = 0.0f;
        for (int k = 0; k < 6; k++) {
            state = state * 1664525u + 1013904223u;
            sum += (float)(state >> 8) / 16777216.0f - 0.5f;
        }
        if (i % 256 == 0)
            magnitude = (float)(1 << i / 256 % 8) * 0.01f;
        values[i] = sum * magnitude;
    }
}

static double normalised_error(pm_type type, const float *values)
{
    static float back[N_VALUES];
    static uint8_t row[N_VALUES * sizeof(float)];
    double error = 0.0, power = 0.0;
    pm_quantize_row(type, values, row, N_VALUES);
    pm_dequantize_row(type, row, back, N_VALUES);
    for (int i = 0; i < N_VALUES; i++) {
        error += ((double)back[i] - (double)values[i]) * ((double)back[i] - (double)values[i]);
        power += (double)values[i] * (double)values[i];
    }
    return error / power;
}

/* The bounds are those of a uniform quantiser with the type's levels over the range of normal values in a block
 * (step^2 / 12 of a range of about 4 to 5 sigma), with a fifth on top; a swapped nibble is off by orders more. Those
 * of the 256-value types are what the search for scales reaches, with a tenth on top. */
static void quantizing_is_accurate(void **state)
{
    (void)state;
    static const struct {
        pm_type type;
        double most;
    } bounds[] = {{PM_TYPE_F32, 0.0},     {PM_TYPE_F16, 1e-7},    {PM_TYPE_BF16, 4e-6},   {PM_TYPE_Q8_0, 4e-5},
                  {PM_TYPE_Q4_0, 9e-3},   {PM_TYPE_Q4_1, 7.5e-3}, {PM_TYPE_Q5_0, 2.2e-3}, {PM_TYPE_Q5_1, 1.8e-3},
                  {PM_TYPE_Q4_K, 4.7e-3}, {PM_TYPE_Q5_K, 1.1e-3}, {PM_TYPE_Q6_K, 2.6e-4}};
    static float values[N_VALUES];
    fill_values(values);
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        double error = normalised_error(bounds[i].type, values);
        if (!(error <= bounds[i].most))
            fail_msg("%s: normalised squared error %.2e, bound %.2e", pm_type_name(bounds[i].type), error,
                     bounds[i].most);
    }
}

/* Anything goes in, a block of finite scale or of the special value comes out; the sanitizers watch the casts. */
static void quantizing_survives_special_values(void **state)
{
    (void)state;
    static const float specials[] = {NAN, INFINITY, -INFINITY, 3.4e38f, -3.4e38f, 1e-45f, -0.0f, 0.0f};
    float values[256], back[256];
    uint8_t row[256 * sizeof(float)];
    for (size_t s = 0; s < sizeof specials / sizeof specials[0]; s++) {
        for (int fill = 0; fill < 2; fill++) {
            for (int i = 0; i < 256; i++)
                values[i] = fill || i == 77 ? specials[s] : (float)i - 100.0f;
            for (int t = 0; t < PM_TYPE_COUNT; t++) {
                if (t == PM_TYPE_I32)
                    continue;
                pm_quantize_row((pm_type)t, values, row, 256);
                pm_dequantize_row((pm_type)t, row, back, 256);
                if (fill && specials[s] == 0.0f)
                    for (int i = 0; i < 256; i++)
                        assert_true(back[i] == 0.0f);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_has_every_type_once),    cmocka_unit_test(halves_round_trip),
        cmocka_unit_test(halves_round_to_nearest_even), cmocka_unit_test(matches_golden_file),
        cmocka_unit_test(quantizing_is_accurate),       cmocka_unit_test(quantizing_survives_special_values),
    };
    return cmocka_run_group_tests_name("block types", tests, NULL, NULL);
}
