/* Random weights: mean 0 and variance 1 / k in every type, the same for the same seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/block_types.h"
#include "models/synth_shapes.h"

enum { VALUES = 1 << 20 };

static void moments(pm_type type, int64_t k, double *mean, double *variance, double *largest)
{
    uint64_t random = 12345;
    size_t n_bytes = pm_type_row_bytes(type, VALUES);
    unsigned char *bytes = malloc(n_bytes);
    float *values = malloc(VALUES * sizeof *values);
    assert_true(bytes && values);
    synth_random_blocks(type, k, &random, bytes, n_bytes);
    pm_dequantize_row(type, bytes, values, VALUES);
    *mean = *variance = *largest = 0;
    for (int i = 0; i < VALUES; i++) {
        assert_true(isfinite(values[i]));
        *mean += (double)values[i] / VALUES;
        *variance += (double)values[i] * (double)values[i] / VALUES;
        *largest = fmax(*largest, fabs((double)values[i]));
    }
    free(bytes);
    free(values);
}

/* 2^20 values have a mean within 5 / 2^10 deviations of 0 all but surely, were they independent; those of a block
 * share scales, 256 at most, which widens that to 16 times as much. */
static void values_have_the_variance(void **state)
{
    (void)state;
    static const int64_t widths[] = {64, 576, 2048, 14336};
    for (int type = 0; type < PM_TYPE_COUNT; type++)
        for (size_t w = 0; type != PM_TYPE_I32 && w < sizeof widths / sizeof widths[0]; w++) {
            double mean, variance, largest, k = (double)widths[w];
            moments((pm_type)type, widths[w], &mean, &variance, &largest);
            if (fabs(mean) * sqrt(k) > 0.08 || fabs(variance * k - 1) > 0.02 || largest * sqrt(k) > 8)
                fail_msg("%s, k %g: mean %g, variance %g, largest %g, in units of 1 / sqrt(k)",
                         pm_type_name((pm_type)type), k, mean * sqrt(k), variance * k, largest * sqrt(k));
        }
}

static void the_seed_decides(void **state)
{
    (void)state;
    unsigned char a[1800], b[1800];
    uint64_t first = 7, second = 7, other = 8;
    synth_random_blocks(PM_TYPE_Q4_0, 576, &first, a, sizeof a);
    synth_random_blocks(PM_TYPE_Q4_0, 576, &second, b, sizeof b);
    assert_memory_equal(a, b, sizeof a);
    synth_random_blocks(PM_TYPE_Q4_0, 576, &other, b, sizeof b);
    assert_true(memcmp(a, b, sizeof a) != 0);
}

static pm_status add_bytes(void *user, const synth_tensor *tensor, pm_error *err)
{
    (void)err;
    *(int64_t *)user += tensor->k * (tensor->n ? tensor->n : 1);
    assert_true(tensor->k > 0 && strlen(tensor->name) > 0);
    return PM_OK;
}

/* Published counts of parameters, in millions; within 1 %. */
static void shapes_have_their_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double millions;
    } known[] = {{"smollm2-135m", 134.5}, {"tinyllama-1.1b", 1100}, {"llama-8b", 8030}, {"gpt2", 124.4},
                 {"qwen2.5-0.5b", 494},   {"qwen3-0.6b", 596},      {"bert-base", 109}, {"t5-small", 60.5}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const pm_synth_shape *shape;
        int64_t n = 0;
        assert_int_equal(synth_find_shape(known[i].name, &shape, NULL), PM_OK);
        assert_int_equal(synth_each_tensor(shape, add_bytes, &n, NULL), PM_OK);
        if (fabs((double)n * 1e-6 / known[i].millions - 1) > 0.01)
            fail_msg("%s has %.1f M parameters, not %.1f M", known[i].name, (double)n * 1e-6, known[i].millions);
    }
}

static void unknown_shapes_are_refused(void **state)
{
    (void)state;
    uint64_t bytes;
    pm_error err = {PM_OK, ""};
    assert_int_equal(pm_synth_size("llama-9000b", PM_TYPE_Q4_0, &bytes, &err), PM_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "smollm2-135m"));
    assert_non_null(strstr(err.message, "t5-base"));
    assert_int_equal(pm_synth_size("gpt2", PM_TYPE_I32, &bytes, &err), PM_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_have_the_variance),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(shapes_have_their_parameters),
        cmocka_unit_test(unknown_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
