/* Profiles of sessions: what is counted must be what the shapes say, on any device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pumice/encode.h"
#include "pumice/profile.h"
#include "pumice/synth.h"

enum { T = 24 };

typedef struct fixture {
    char path[64];
    pm_device *device;
    pm_model *model;
    pm_session *session;
} fixture;

static void open_shape(fixture *f, const char *shape, const char *device)
{
    pm_error err = {PM_OK, ""};
    const pm_device_options options = {.name = device, .n_threads = 2};
    const pm_session_options session = {.n_ctx = 128};
    snprintf(f->path, sizeof f->path, "/tmp/pumice-profile-%ld.gguf", (long)getpid());
    assert_int_equal(pm_synth_write(shape, PM_TYPE_Q4_0, 1, f->path, NULL, NULL, &err), PM_OK);
    assert_int_equal(pm_device_open(&options, &f->device, &err), PM_OK);
    if (pm_model_open(f->path, f->device, NULL, &f->model, &err) != PM_OK ||
        pm_session_create(f->model, &session, &f->session, &err) != PM_OK)
        fail_msg("%s", err.message);
    unlink(f->path);
}

static void close_shape(fixture *f)
{
    pm_session_destroy(f->session);
    pm_model_close(f->model);
    pm_device_close(f->device);
}

static double sum_ops(const pm_profile *p, const char *op)
{
    double sum = 0;
    for (size_t i = 0; i < p->n_rows; i++)
        if (strcmp(p->rows[i].op, op) == 0)
            sum += p->rows[i].ops;
    return sum;
}

static void tokens_of(int32_t *tokens, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        tokens[i] = 100 + 7 * i;
}

/* MiniLM's six layers: four matrices of 384 x 384 and two of 384 x 1536 each, and 24 tokens that see each other.
 */
static void an_encoder_costs_what_it_must(void **state)
{
    (void)state;
    fixture f;
    pm_error err = {PM_OK, ""};
    pm_profile p;
    int32_t tokens[T];
    float *hidden = malloc(sizeof *hidden * T * 384);
    const pm_token_sequence sequence = {.tokens = tokens, .n = T};
    tokens_of(tokens, T);
    open_shape(&f, "minilm-l6", "cpu");
    assert_int_equal(pm_session_profile_begin(f.session, &err), PM_OK);
    assert_int_equal(pm_session_profile_begin(f.session, &err), PM_ERR_ARGUMENT);
    assert_int_equal(pm_session_encode(f.session, &sequence, 1, hidden, &err), PM_OK);
    pm_session_profile_reset(f.session);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pm_session_encode(f.session, &sequence, 1, hidden, &err), PM_OK);
    assert_int_equal(pm_session_profile_end(f.session, &p, &err), PM_OK);
    assert_int_equal(p.n_passes, 2);
    double weights = 6.0 * (4 * 384 * 384 + 2 * 384 * 1536);
    assert_true(sum_ops(&p, "matmul") == 2.0 * 2 * T * weights);
    assert_true(sum_ops(&p, "attention") == 2.0 * 6 * 4 * T * T * 384);
    double seconds = 0, bytes = 0;
    for (size_t i = 0; i < p.n_rows; i++) {
        assert_true(p.rows[i].n_calls > 0 && p.rows[i].op[0] && p.rows[i].shape[0]);
        assert_true(i == 0 || p.rows[i].seconds <= p.rows[i - 1].seconds);
        seconds += p.rows[i].seconds;
        bytes += p.rows[i].bytes;
    }
    assert_true(seconds > 0 && seconds <= p.seconds); /* how much of it says nothing: other work may come between */
    assert_true(bytes > 2 * weights * 18 / 32); /* Q4_0: 18 bytes for 32 weights */
    pm_profile_clear(&p);
    assert_int_equal(pm_session_profile_end(f.session, &p, &err), PM_ERR_ARGUMENT);
    free(hidden);
    close_shape(&f);
}

/* A token at position 40 looks at 41 slots of the caches: 12 layers of 12 heads of 64 values. */
static void decoding_at_a_depth_reads_the_cache(void **state)
{
    (void)state;
    fixture f;
    pm_error err = {PM_OK, ""};
    pm_profile p;
    int32_t tokens[41], next;
    tokens_of(tokens, 41);
    open_shape(&f, "gpt2", "cpu");
    assert_int_equal(pm_session_next(f.session, tokens, 40, NULL, &next, &err), PM_OK);
    assert_int_equal(pm_session_profile_begin(f.session, &err), PM_OK);
    assert_int_equal(pm_session_next(f.session, tokens + 40, 1, NULL, &next, &err), PM_OK);
    assert_int_equal(pm_session_profile_end(f.session, &p, &err), PM_OK);
    assert_true(sum_ops(&p, "attention") == 12.0 * 4 * 41 * 768);
    double least = 12.0 * 2 * 41 * 768 * 2, got = 0; /* keys and values in F16 */
    for (size_t i = 0; i < p.n_rows; i++)
        if (strcmp(p.rows[i].op, "attention") == 0)
            got += p.rows[i].bytes;
    assert_true(got >= least && got < 1.2 * least);
    pm_profile_clear(&p);
    close_shape(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_encoder_costs_what_it_must),
        cmocka_unit_test(decoding_at_a_depth_reads_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
