/* Logits by the reference and by a device for the same tokens: a device that is fast and wrong is caught here.
 * Most tokens go through one pass, as a prompt, the last two one by one, so that the kernels of both are seen. Of
 * an encoder its hidden states are compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench_measure.h"
#include "pumice/encode.h"

enum { ONE_BY_ONE = 2 };

/* Wrong where a row is beyond this normalised mean squared error: of one row, as the few that are made one by one
 * have kernels of their own. Kernels that take activations to 8 bits cost up to about 1e-3 in the deepest of the
 * shapes, those for software devices and tier T0, which compute in fp32, less than 1e-6; one that errs a little
 * costs as much as the former (silu with a fifth too much: 4e-3). */
static double wrong_nmse(const bench_target *t)
{
    const pm_device_info *info = pm_device_get_info(t->device);
    int is_fp32 =
        info->kind == PM_DEVICE_SOFTWARE_GPU || info->kind == PM_DEVICE_REFERENCE || info->tier == PM_TIER_T0;
    return is_fp32 ? 1e-4 : 1e-2;
}

static size_t row_of(const bench_target *t)
{
    const pm_model_info *info = pm_model_get_info(t->model);
    return (size_t)(info->shape == PM_SHAPE_ENCODER_ONLY ? info->n_embd : info->n_vocab);
}

/* values: [n][row_of]. */
static pm_status evaluate(bench_target *t, int32_t n, float *values, pm_error *err)
{
    size_t row = row_of(t);
    if (pm_model_get_info(t->model)->shape == PM_SHAPE_ENCODER_ONLY) {
        const pm_token_sequence sequence = {.tokens = t->tokens, .n = (size_t)n};
        return pm_session_encode(t->session, &sequence, 1, values, err);
    }
    pm_status status = bench_rewind(t, n, err);
    size_t together = (size_t)(n > ONE_BY_ONE ? n - ONE_BY_ONE : n);
    if (status == PM_OK)
        status = pm_session_logits(t->session, t->tokens, together, together, values, err);
    for (size_t i = together; i < (size_t)n && status == PM_OK; i++)
        status = pm_session_logits(t->session, t->tokens + i, 1, 1, values + i * row, err);
    return status;
}

void bench_child_truth(const bench_settings *settings, bench_truth *truth, bench_channel *channel)
{
    bench_target t = {.settings = settings, .name = "reference"};
    pm_error err = {PM_OK, ""};
    int32_t n = truth->n_tokens;
    pm_status status = bench_open(&t, NULL, &err);
    if (status == PM_OK)
        status = bench_open_session(&t, n, n, n, &err);
    double begin = bench_now_s();
    if (status == PM_OK && row_of(&t) * (size_t)n > truth->n_values)
        status = PM_ERR_INTERNAL;
    if (status == PM_OK)
        status = evaluate(&t, n, truth->values, &err);
    if (status == PM_OK) {
        truth->seconds = bench_now_s() - begin;
        json_object_update_new(channel->entry,
                               json_pack("{s:i,s:f}", "tokens", n, "tokens_per_s", n / truth->seconds));
    } else if (!bench_stopped(settings))
        json_object_set_new(channel->entry, "error",
                            json_string(err.message[0] ? err.message : pm_status_text(status)));
    bench_publish(channel);
    bench_close(&t);
}

typedef struct difference {
    double nmse, worst_nmse, largest_error, largest_value; /* worst: of a row */
    size_t n_same_choice;                                  /* rows whose largest value is at the same place */
    int is_finite;
} difference;

static size_t argmax(const float *row, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = row[i] > row[best] ? i : best;
    return best;
}

static difference compare(const float *got, const float *want, size_t n_rows, size_t row)
{
    difference d = {.is_finite = 1};
    double all_errors = 0, all_power = 0;
    for (size_t r = 0; r < n_rows; r++, got += row, want += row) {
        double error = 0, power = 0;
        for (size_t i = 0; i < row; i++) {
            double gap = (double)got[i] - (double)want[i];
            if (!isfinite(gap)) {
                d.is_finite = 0;
                continue;
            }
            error += gap * gap;
            power += (double)want[i] * (double)want[i];
            d.largest_error = fmax(d.largest_error, fabs(gap));
            d.largest_value = fmax(d.largest_value, fabs((double)want[i]));
        }
        all_errors += error;
        all_power += power;
        d.worst_nmse = fmax(d.worst_nmse, power > 0 ? error / power : error);
        d.n_same_choice += argmax(got, row) == argmax(want, row);
    }
    d.nmse = all_power > 0 ? all_errors / all_power : all_errors;
    return d;
}

pm_status bench_verify(bench_target *t, const bench_truth *truth, bench_channel *channel, pm_error *err)
{
    size_t n = (size_t)truth->n_tokens, row = row_of(t);
    float *got = malloc(n * row * sizeof *got);
    pm_status status = got ? PM_OK : PM_ERR_MEMORY;
    double begin = 0;
    bench_note(t->settings, "%s: against the reference", t->name);
    for (int run = 0; run < 2 && status == PM_OK; run++) { /* what counts is the second: everything is compiled */
        begin = bench_now_s();
        status = evaluate(t, truth->n_tokens, got, err);
    }
    if (status == PM_OK) {
        double seconds = bench_now_s() - begin;
        difference d = compare(got, truth->values, n, row);
        int is_wrong = !d.is_finite || d.worst_nmse > wrong_nmse(t);
        json_object_set_new(channel->entry, "verify",
                            json_pack("{s:i,s:f,s:f,s:f,s:f,s:i,s:b,s:b,s:f,s:f,s:f}", "tokens", (int)n, "nmse",
                                      d.nmse, "worst_row_nmse", d.worst_nmse, "largest_error", d.largest_error,
                                      "largest_value", d.largest_value, "same_choice", (int)d.n_same_choice,
                                      "finite", d.is_finite, "wrong", is_wrong, "wrong_above_nmse", wrong_nmse(t),
                                      "tokens_per_s", (double)n / seconds, "speedup", truth->seconds / seconds));
        bench_publish(channel);
    }
    free(got);
    return status;
}
