/* The cpu backend's kernels, one instruction set after the other: what the op test table cannot see from outside,
 * as the accuracy of exp, blocks that cannot be quantised, and the two ways of attention against each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cpu/cpu_backend.h"
#include "formats/block_types.h"

static const char *const names[] = {
    "portable",
#if defined(__x86_64__)
    "avx2",
    "avx512",
#elif defined(__aarch64__)
    "neon",
    "neon_dotprod",
#endif
};
enum { N_NAMES = sizeof names / sizeof names[0] };

/* Calls `check` with each table that this processor can run; the others are named. */
static void with_all(void (*check)(const pm_cpu_kernels *kernels))
{
    for (size_t i = 0; i < N_NAMES; i++) {
        const pm_cpu_kernels *kernels = pm_cpu_find_kernels(names[i]);
        if (kernels)
            check(kernels);
        else
            print_message("skip: no %s on this processor\n", names[i]);
    }
}

static void check_exp(const pm_cpu_kernels *k)
{
    enum { N = 4001 };
    static float x[N], y[N];
    for (int i = 0; i < N; i++)
        x[i] = -100.0f + 0.05f * (float)i; /* to 100 */
    k->exp_scaled(x, N, 0, 1, y);
    for (int i = 0; i < N; i++) {
        double want = exp((double)x[i]);
        if (want > 3.4e38)
            assert_true(isinf(y[i]) || (double)y[i] >= 3.4e38);
        else if (want > 1.2e-38 && fabs((double)y[i] / want - 1) > 3e-7)
            fail_msg("%s: exp(%g) is %.9g instead of %.9g", k->name, (double)x[i], (double)y[i], want);
    }
    const float odd[] = {INFINITY, -INFINITY, NAN};
    float z[3];
    k->exp_scaled(odd, 3, 0, 1, z);
    assert_true(isinf(z[0]) && z[1] == 0 && isnan(z[2]));
}

static void exp_is_accurate(void **state)
{
    (void)state;
    with_all(check_exp);
}

static void check_quantize(const pm_cpu_kernels *k)
{
    float x[64];
    pm_cpu_act_block b[4] = {0};
    for (int i = 0; i < 64; i++)
        x[i] = (float)((i * 37) % 64) - 20.5f;
    x[40] = NAN;
    k->quantize(x, 64, b, 3);
    assert_true(b[1].d == 0 && b[2].d == 0); /* another row's */
    int sum = 0, sum_hi = 0;
    for (int i = 0; i < 32; i++) {
        assert_true(fabsf((float)b[0].q[i] * b[0].d - x[i]) <= b[0].d * 0.5001f);
        sum += b[0].q[i];
        sum_hi += i >= 16 ? b[0].q[i] : 0;
    }
    assert_int_equal(b[0].minus_sum, -sum);
    assert_int_equal(b[0].minus_sum_hi, -sum_hi);
    assert_true(fabsf(b[0].ds - b[0].d * (float)sum) <= 1e-5f * fabsf(b[0].ds));
    assert_true(isnan(b[3].d) && isnan(b[3].ds) && b[3].q[8] == 0);

    const float alike[] = {0, 1e-40f, -INFINITY, 3.3e38f};
    for (int i = 0; i < 4; i++) { /* nothing, nearly nothing, no number, too much */
        for (int j = 0; j < 32; j++)
            x[j] = alike[i];
        k->quantize(x, 32, b, 1);
        assert_true(i < 2 ? b[0].d == 0 : isnan(b[0].d));
        assert_int_equal(b[0].q[31], 0);
    }
}

static void blocks_that_cannot_be_quantised(void **state)
{
    (void)state;
    with_all(check_quantize);
}

static void check_half(const pm_cpu_kernels *k)
{
    static float x[65536 + 3];
    static uint16_t y[65536 + 3];
    for (uint32_t i = 0; i < 65536 + 3; i++) { /* all halves, and values between two of them */
        x[i] = pm_f16_to_f32((uint16_t)i) * (i % 3 ? 1.0f : 1.0004f);
        if (isnan(x[i]))
            x[i] = 1;
    }
    k->to_f16(x, 65536 + 3, y);
    for (uint32_t i = 0; i < 65536 + 3; i++)
        if (y[i] != pm_f32_to_f16(x[i]))
            fail_msg("%s: %.9g becomes %04x instead of %04x", k->name, (double)x[i], y[i], pm_f32_to_f16(x[i]));
}

static void halves_round_as_everywhere(void **state)
{
    (void)state;
    with_all(check_half);
}

static void check_norm(const pm_cpu_kernels *k)
{
    const float scales[] = {1, 1e25f, 1e-25f, 1e-38f};
    for (int s = 0; s < 4; s++) { /* squares leave the range of floats; the result does not */
        float x[37], y[37];
        double sum = 0;
        for (int i = 0; i < 37; i++) {
            x[i] = (float)(i % 7 - 3) * scales[s];
            sum += (double)x[i] * (double)x[i];
        }
        k->rms_norm(x, NULL, 37, 0, y);
        for (int i = 0; i < 37; i++) {
            double want = (double)x[i] / sqrt(sum / 37);
            if (!(fabs((double)y[i] - want) <= 1e-6))
                fail_msg("%s: rms_norm at scale %g: %g instead of %g", k->name, (double)scales[s], (double)y[i],
                         want);
        }
    }
}

static void norm_of_extreme_rows(void **state)
{
    (void)state;
    with_all(check_norm);
}

/* One token by parts and merged by hand, against the tile of queries. */
static void check_attention(const pm_cpu_kernels *k)
{
    enum { D = 64, GROUP = 5, CTX = 150, STRIDE = D + 2 };
    static float q[GROUP * D], keys[CTX * D], values[CTX * D], tile[GROUP * D], parts[2][GROUP * STRIDE];
    for (int i = 0; i < CTX * D; i++) {
        keys[i] = sinf((float)i * 0.37f);
        values[i] = cosf((float)i * 0.11f);
    }
    for (int i = 0; i < GROUP * D; i++)
        q[i] = sinf((float)i);
    const int32_t position = 140;
    const pm_tensor cache = {.n_dims = 3, .dim = {D, CTX, 1, 1}}, positions = {.n_dims = 1, .dim = {1, 1, 1, 1}};
    const pm_attention_args how = {.scale = 0.125f, .window = 100};
    pm_node node = {.op = PM_OP_ATTENTION, .n_in = 5, .in = {NULL, &cache, &cache, &positions, NULL}};
    memcpy(node.args.bytes, &how, sizeof how);
    pm_cpu_attention job = {.q = q,
                            .out = tile,
                            .row_stride = GROUP * D,
                            .keys = keys,
                            .values = values,
                            .node = &node,
                            .positions = &position,
                            .head_dim = D,
                            .group = GROUP,
                            .n_tokens = 1,
                            .scale = 0.125f};
    float *scratch = malloc(PM_CPU_ATTENTION_SCRATCH(D) * sizeof *scratch);
    assert_non_null(scratch);
    k->attention_tile(&job, 0, GROUP, scratch);
    free(scratch);
    k->attention_part(&job, 41, 77, parts[0]);
    k->attention_part(&job, 77, 141, parts[1]);
    for (int h = 0; h < GROUP; h++) {
        const float *a = parts[0] + h * STRIDE, *b = parts[1] + h * STRIDE;
        float top = fmaxf(a[D], b[D]), by_a = expf(a[D] - top), by_b = expf(b[D] - top);
        for (int d = 0; d < D; d++) {
            float merged = (by_a * a[d] + by_b * b[d]) / (by_a * a[D + 1] + by_b * b[D + 1]);
            if (!(fabsf(merged - tile[h * D + d]) <= 2e-6f))
                fail_msg("%s: head %d, %d: %g by parts, %g by tile", k->name, h, d, (double)merged,
                         (double)tile[h * D + d]);
        }
    }
}

static void attention_by_parts_and_by_tiles(void **state)
{
    (void)state;
    with_all(check_attention);
}

static void names_of_instruction_sets(void **state)
{
    (void)state;
    assert_non_null(pm_cpu_find_kernels("portable"));
    assert_null(pm_cpu_find_kernels("quantum"));
    assert_string_equal(pm_cpu_find_kernels("portable")->name, "portable");
    setenv("PUMICE_CPU_ISA", "quantum", 1);
    assert_null(pm_cpu_choose_kernels());
    pm_device *device = NULL;
    pm_error err = {0};
    assert_int_equal(pm_device_open(&(pm_device_options){.name = "cpu"}, &device, &err), PM_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "PUMICE_CPU_ISA"));
    setenv("PUMICE_CPU_ISA", "portable", 1);
    assert_int_equal(pm_device_open(&(pm_device_options){.name = "cpu", .n_threads = 1}, &device, &err), PM_OK);
    assert_non_null(strstr(pm_device_get_info(device)->driver, "portable"));
    pm_device_close(device);
    unsetenv("PUMICE_CPU_ISA");
    assert_ptr_equal(pm_cpu_choose_kernels(), pm_cpu_find_kernels(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_accurate),
        cmocka_unit_test(blocks_that_cannot_be_quantised),
        cmocka_unit_test(halves_round_as_everywhere),
        cmocka_unit_test(norm_of_extreme_rows),
        cmocka_unit_test(attention_by_parts_and_by_tiles),
        cmocka_unit_test(names_of_instruction_sets),
    };
    return cmocka_run_group_tests_name("cpu kernels", tests, NULL, NULL);
}
