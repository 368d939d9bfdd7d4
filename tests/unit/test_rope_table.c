/* RoPE's table of angles: every scaling form against numbers made outside (tests/data/make_rope_golden.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"

enum { MAX_POSITIONS = 131072, MAX_PAIRS = 256 };

static pm_rope_form parse_form(const char *name)
{
    return strcmp(name, "linear") == 0   ? PM_ROPE_LINEAR
           : strcmp(name, "llama3") == 0 ? PM_ROPE_LLAMA3
           : strcmp(name, "yarn") == 0   ? PM_ROPE_YARN
                                         : PM_ROPE_NONE;
}

static float *table_of_line(const char *line, int64_t dims[3])
{
    float factors[MAX_PAIRS];
    char name[16];
    int uses_factors = 0;
    pm_rope_scaling s = {0};
    pm_error err;
    float *table;
    assert_int_equal(sscanf(line, "form %15s %d %f %f %d %f %f %f %f %f %d", name, &s.n_rot, &s.base, &s.factor,
                            &s.n_ctx_original, &s.low_freq_factor, &s.high_freq_factor, &s.beta_fast, &s.beta_slow,
                            &s.attn_factor, &uses_factors),
                     11);
    s.form = parse_form(name);
    for (int i = 0; i < MAX_PAIRS; i++)
        factors[i] = (float)(1 + i / 7.0);
    s.freq_factors = uses_factors ? factors : NULL;
    assert_int_equal(pm_rope_table(&s, MAX_POSITIONS, &table, dims, &err), PM_OK);
    assert_int_equal(dims[0], 2);
    assert_int_equal(dims[1], s.n_rot / 2);
    assert_int_equal(dims[2], PM_ROPE_FINE + MAX_POSITIONS / PM_ROPE_FINE);
    return table;
}

/* The two entries that make an angle are floats: each is off by at most 2^-25 times the magnitude, here below 2.
 */
static void check_value(const char *line, const float *table, int64_t n_pairs)
{
    int position, pair;
    double cosine, sine;
    assert_int_equal(sscanf(line, "value %d %d %lf %lf", &position, &pair, &cosine, &sine), 4);
    const float *fine = table + 2 * (position % PM_ROPE_FINE * n_pairs + pair);
    const float *coarse = table + 2 * ((PM_ROPE_FINE + position / PM_ROPE_FINE) * n_pairs + pair);
    double got_cosine = (double)fine[0] * (double)coarse[0] - (double)fine[1] * (double)coarse[1];
    double got_sine = (double)fine[1] * (double)coarse[0] + (double)fine[0] * (double)coarse[1];
    if (fabs(got_cosine - cosine) > 3e-7 || fabs(got_sine - sine) > 3e-7)
        fail_msg("position %d pair %d: %.9g %.9g instead of %.9g %.9g", position, pair, got_cosine, got_sine,
                 cosine, sine);
}

static void agrees_with_golden_numbers(void **state)
{
    (void)state;
    FILE *file = fopen(PUMICE_TEST_DATA "/rope.golden", "r");
    char line[256];
    float *table = NULL;
    int64_t dims[3] = {0};
    int n_forms = 0, n_values = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "form", 4) == 0) {
            free(table);
            table = table_of_line(line, dims);
            n_forms++;
        } else {
            check_value(line, table, dims[1]);
            n_values++;
        }
    }
    free(table);
    fclose(file);
    assert_int_equal(n_forms, 9);
    assert_true(n_values > 800);
}

static void refuses_nonsense(void **state)
{
    (void)state;
    static const float bad_factors[2] = {1, 0};
    const pm_rope_scaling good = {.n_rot = 4,
                                  .base = 10000,
                                  .factor = 2,
                                  .n_ctx_original = 64,
                                  .low_freq_factor = 1,
                                  .high_freq_factor = 4,
                                  .beta_fast = 32,
                                  .beta_slow = 1};
    pm_rope_scaling bad[12];
    for (int i = 0; i < 12; i++)
        bad[i] = good;
    bad[0].n_rot = 0;
    bad[1].n_rot = 3;
    bad[2].base = 0;
    bad[3].base = NAN;
    bad[4].form = PM_ROPE_LINEAR, bad[4].factor = 0;
    bad[5].form = PM_ROPE_LLAMA3, bad[5].n_ctx_original = 0;
    bad[6].form = PM_ROPE_LLAMA3, bad[6].high_freq_factor = 1;
    bad[7].form = PM_ROPE_YARN, bad[7].beta_slow = 0;
    bad[8].form = PM_ROPE_YARN, bad[8].base = 1;
    bad[9].form = PM_ROPE_YARN, bad[9].attn_factor = -1;
    bad[10].freq_factors = bad_factors;
    bad[11].n_rot = 1 << 20;
    for (int i = 0; i < 12; i++) {
        float *table = NULL;
        int64_t dims[3];
        pm_error err;
        if (pm_rope_table(&bad[i], 100, &table, dims, &err) == PM_OK)
            fail_msg("case %d was let through", i);
        assert_null(table);
    }
    float *table;
    int64_t dims[3];
    assert_int_equal(pm_rope_table(&good, 0, &table, dims, NULL), PM_ERR_ARGUMENT);
    assert_int_equal(pm_rope_table(&good, INT64_MAX, &table, dims, NULL), PM_ERR_ARGUMENT);
    assert_int_equal(pm_rope_table(&good, 1, &table, dims, NULL), PM_OK);
    assert_int_equal(dims[2], PM_ROPE_FINE + 1);
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_golden_numbers),
        cmocka_unit_test(refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
