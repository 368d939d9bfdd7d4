/* A timeline of tokens: see pumice/session.h.
 *
 * Tokens are evaluated in passes of at most n_batch; a pass writes its inputs, runs the plan of its bucket and reads
 * back a token id or logits. The timeline grows only when a pass has succeeded, so after an error the KV cache and
 * the list of tokens still agree: slots past n_past hold nothing that is ever attended to. */
#include "runtime/runtime.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { DEFAULT_MAX_CTX = 4096, DEFAULT_BATCH = 512, DEFAULT_REPEAT_WINDOW = 64 };

static uint64_t kv_bytes(const pm_model_info *info, int64_t n_ctx, bool f32)
{
    return (uint64_t)info->n_layers * 2 * (uint64_t)n_ctx * (uint64_t)info->head_dim * (uint64_t)info->n_kv_heads *
           (f32 ? 4 : 2);
}

static pm_status choose_sizes(pm_session *session, pm_error *err)
{
    const pm_model_def *def = session->model->def;
    const pm_model_info *info = &def->info;
    pm_session_options *o = &session->options;
    if (o->n_ctx < 0 || o->n_batch < 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "a context of %d and batches of %d tokens: sizes cannot be negative",
                       o->n_ctx, o->n_batch);
    if (o->n_ctx == 0)
        o->n_ctx = info->n_ctx_train < DEFAULT_MAX_CTX ? info->n_ctx_train : DEFAULT_MAX_CTX;
    if (o->n_ctx > def->n_ctx_max)
        return pm_fail(err, PM_ERR_LIMIT, "a context of %d tokens is too long: this model was trained on %d, and "
                                          "pumice goes up to %d",
                       o->n_ctx, info->n_ctx_train, def->n_ctx_max);
    if (o->n_batch == 0)
        o->n_batch = DEFAULT_BATCH;
    if (o->n_batch > o->n_ctx)
        o->n_batch = o->n_ctx;

    uint64_t need = kv_bytes(info, o->n_ctx, o->kv_f32), free_bytes = session->model->device->info.memory_free;
    if (free_bytes && need > free_bytes)
        return pm_fail(err, PM_ERR_LIMIT, "a context of %d tokens needs %.1f MiB for its KV cache, but device %s has "
                                          "%.1f MiB free; at most %llu tokens fit (--ctx)",
                       o->n_ctx, (double)need / 1048576.0, session->model->device->info.name,
                       (double)free_bytes / 1048576.0,
                       (unsigned long long)(free_bytes / kv_bytes(info, 1, o->kv_f32)));
    return PM_OK;
}

static pm_status create_states(pm_session *session, pm_error *err)
{
    const pm_backend *backend = session->model->device->backend;
    pm_graph_shape shape = {.n_tokens = 1,
                            .n_outputs = 1,
                            .n_ctx = session->options.n_ctx,
                            .kv_type = session->options.kv_f32 ? PM_TYPE_F32 : PM_TYPE_F16};
    pm_state_desc *descs;
    size_t n;
    PM_TRY(pm_model_def_states(session->model->def, &shape, &descs, &n, err));
    pm_status status = backend->states_create(session->model->device, descs, n, &session->states, err);
    free(descs);
    return status;
}

pm_status pm_session_create(pm_model *model, const pm_session_options *options, pm_session **out, pm_error *err)
{
    *out = NULL;
    pm_session *session = calloc(1, sizeof *session);
    if (!session)
        return pm_fail_memory(err, sizeof *session, "a session");
    session->model = model;
    if (options)
        session->options = *options;
    pm_status status = choose_sizes(session, err);
    if (status == PM_OK) {
        size_t n_ctx = (size_t)session->options.n_ctx, n_batch = (size_t)session->options.n_batch;
        session->tokens = calloc(n_ctx, sizeof *session->tokens);
        session->positions = calloc(n_batch, sizeof *session->positions);
        session->rows = calloc(n_batch, sizeof *session->rows);
        if (!session->tokens || !session->positions || !session->rows)
            status = pm_fail_memory(err, n_ctx * sizeof(int32_t), "the timeline");
    }
    if (status == PM_OK && session->options.check)
        status = pm_check_create(&session->check, err);
    if (status == PM_OK)
        status = create_states(session, err);
    if (status != PM_OK) {
        pm_session_destroy(session);
        return status;
    }
    *out = session;
    return PM_OK;
}

void pm_session_destroy(pm_session *session)
{
    if (!session)
        return;
    pm_session_plans_free(session);
    if (session->states)
        session->model->device->backend->states_destroy(session->model->device, session->states);
    pm_check_destroy(session->check);
    free(session->tokens);
    free(session->positions);
    free(session->rows);
    free(session);
}

int32_t pm_session_n_ctx(const pm_session *session)
{
    return session->options.n_ctx;
}

int32_t pm_session_n_past(const pm_session *session)
{
    return session->n_past;
}

const int32_t *pm_session_tokens(const pm_session *session)
{
    return session->tokens;
}

/* One pass ------------------------------------------------------------------------------------------------------ */

static pm_status check_tokens(const pm_session *session, const int32_t *tokens, size_t n, pm_error *err)
{
    if (n == 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "there are no tokens to evaluate");
    if (n > (size_t)(session->options.n_ctx - session->n_past))
        return pm_fail(err, PM_ERR_LIMIT, "the context is full: %d of %d tokens are used and %zu more were to come "
                                          "(a longer context: --ctx)",
                       session->n_past, session->options.n_ctx, n);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= session->model->def->info.n_vocab)
            return pm_fail(err, PM_ERR_ARGUMENT, "token %zu has id %d, outside the vocabulary of %d", i, tokens[i],
                           session->model->def->info.n_vocab);
    return PM_OK;
}

static void fill_params(const pm_session *session, int32_t n_tokens, int32_t n_outputs, const pm_sampling *sampling,
                        pm_run_params *params)
{
    *params = (pm_run_params){.n_tokens = n_tokens,
                              .n_outputs = n_outputs,
                              .n_kv = session->n_past + n_tokens,
                              .repeat_penalty = 1.0f,
                              .top_p = 1.0f,
                              .draw = (uint32_t)(session->n_past + n_tokens)};
    if (!sampling)
        return;
    params->temperature = sampling->temperature;
    params->top_k = sampling->top_k;
    params->min_p = sampling->min_p;
    if (sampling->top_p > 0.0f)
        params->top_p = sampling->top_p;
    if (sampling->repeat_penalty > 0.0f)
        params->repeat_penalty = sampling->repeat_penalty;
    params->seed_lo = (uint32_t)sampling->seed;
    params->seed_hi = (uint32_t)(sampling->seed >> 32);
}

static pm_status write_input(pm_session *session, const pm_session_plan *plan, const pm_tensor *tensor,
                             const int32_t *values, int32_t n, pm_error *err)
{
    pm_device *device = session->model->device;
    if (!tensor || n == 0)
        return PM_OK;
    return device->backend->tensor_write(device, plan->program, tensor, 0, values, (size_t)n * sizeof *values, err);
}

/* The repetition window: the last tokens of the timeline with this pass's tokens already on it. */
static pm_status write_history(pm_session *session, const pm_session_plan *plan, const pm_sampling *sampling,
                               int32_t n_tokens, pm_run_params *params, pm_error *err)
{
    if (!sampling || params->repeat_penalty == 1.0f)
        return PM_OK;
    int32_t window = sampling->repeat_window ? sampling->repeat_window : DEFAULT_REPEAT_WINDOW;
    int32_t end = session->n_past + n_tokens;
    params->n_history = window < end ? window : end;
    return write_input(session, plan, plan->io.history, session->tokens + end - params->n_history, params->n_history,
                       err);
}

/* Evaluates n_tokens (at most n_batch) that already stand in session->tokens behind n_past, and counts them in. The
 * last n_outputs rows give logits, or a token where sampling is set. */
static pm_status run_pass(pm_session *session, int32_t n_tokens, int32_t n_outputs, const pm_sampling *sampling,
                          void *result, size_t result_bytes, pm_error *err)
{
    pm_device *device = session->model->device;
    unsigned long long start = pm_trace_now_ns();
    const pm_session_plan *plan;
    PM_TRY(pm_session_plan_get(session, n_tokens, n_outputs, sampling != NULL, &plan, err));
    for (int32_t i = 0; i < n_tokens; i++)
        session->positions[i] = session->n_past + i;
    for (int32_t i = 0; i < n_outputs; i++)
        session->rows[i] = n_tokens - n_outputs + i;
    pm_run_params params;
    fill_params(session, n_tokens, n_outputs, sampling, &params);
    PM_TRY(write_input(session, plan, plan->io.tokens, session->tokens + session->n_past, n_tokens, err));
    PM_TRY(write_input(session, plan, plan->io.positions, session->positions, n_tokens, err));
    PM_TRY(write_input(session, plan, plan->io.out_rows, session->rows, n_outputs, err));
    PM_TRY(write_history(session, plan, sampling, n_tokens, &params, err));

    pm_run_options run = {.trace = session->options.trace,
                          .should_stop = session->options.should_stop,
                          .stop_user = session->options.stop_user};
    if (session->check)
        PM_TRY(pm_check_run(session->check, session, plan, &params, &run, err));
    else
        PM_TRY(device->backend->program_run(device, plan->program, &params, &run, err));
    if (n_outputs > 0)
        PM_TRY(device->backend->tensor_read(device, plan->program, sampling ? plan->io.next : plan->io.logits, 0,
                                            result, result_bytes, err));
    session->n_past += n_tokens;
    char name[48];
    snprintf(name, sizeof name, "%s %d tokens", n_tokens == 1 ? "decode" : "prefill", n_tokens);
    pm_trace_span(session->options.trace, "host", "pass", name, start, pm_trace_now_ns());
    return PM_OK;
}

/* Evaluates whole passes until `keep` tokens of n are left; the tokens stand behind n_past already. */
static pm_status run_without_outputs(pm_session *session, size_t n, size_t keep, const pm_sampling *sampling,
                                     size_t *done, pm_error *err)
{
    *done = 0;
    while (n - *done > keep) {
        size_t pass = n - *done - keep;
        if (pass > (size_t)session->options.n_batch)
            pass = (size_t)session->options.n_batch;
        PM_TRY(run_pass(session, (int32_t)pass, 0, sampling, NULL, 0, err));
        *done += pass;
    }
    return PM_OK;
}

static pm_status check_sampling(const pm_sampling *s, pm_error *err)
{
    if (!(s->temperature >= 0.0f && isfinite(s->temperature)) || s->top_k < 0 || !(s->top_p >= 0.0f) ||
        !(s->min_p >= 0.0f && s->min_p <= 1.0f) || !(s->repeat_penalty >= 0.0f && isfinite(s->repeat_penalty)) ||
        s->repeat_window < 0 || s->repeat_window > PM_SESSION_HISTORY)
        return pm_fail(err, PM_ERR_ARGUMENT,
                       "sampling: temperature, top-k, top-p and repeat penalty must be 0 or more, min-p from 0 to 1, "
                       "the repeat window from 0 to %d",
                       PM_SESSION_HISTORY);
    return PM_OK;
}

pm_status pm_session_next(pm_session *session, const int32_t *tokens, size_t n, const pm_sampling *sampling,
                          int32_t *next, pm_error *err)
{
    static const pm_sampling greedy;
    if (!sampling)
        sampling = &greedy;
    PM_TRY(check_sampling(sampling, err));
    PM_TRY(check_tokens(session, tokens, n, err));
    memcpy(session->tokens + session->n_past, tokens, n * sizeof *tokens);
    /* The last pass takes as much as fits: all but it have no outputs. */
    size_t batch = (size_t)session->options.n_batch, last = (n - 1) % batch + 1, done;
    PM_TRY(run_without_outputs(session, n, last, sampling, &done, err));
    return run_pass(session, (int32_t)(n - done), 1, sampling, next, sizeof *next, err);
}

pm_status pm_session_logits(pm_session *session, const int32_t *tokens, size_t n, size_t n_logits, float *logits,
                            pm_error *err)
{
    PM_TRY(check_tokens(session, tokens, n, err));
    if (n_logits > n)
        return pm_fail(err, PM_ERR_ARGUMENT, "logits of %zu tokens were asked for, but there are %zu", n_logits, n);
    memcpy(session->tokens + session->n_past, tokens, n * sizeof *tokens);
    size_t done, n_vocab = (size_t)session->model->def->info.n_vocab;
    size_t most = (size_t)pm_session_max_outputs(session);
    PM_TRY(run_without_outputs(session, n, n_logits, NULL, &done, err));
    while (done < n) {
        size_t pass = n - done < most ? n - done : most;
        PM_TRY(run_pass(session, (int32_t)pass, (int32_t)pass, NULL, logits, pass * n_vocab * sizeof *logits, err));
        logits += pass * n_vocab;
        done += pass;
    }
    return PM_OK;
}

pm_status pm_session_truncate(pm_session *session, int32_t n_past, pm_error *err)
{
    if (n_past < 0 || n_past > session->n_past)
        return pm_fail(err, PM_ERR_ARGUMENT, "the timeline has %d tokens and cannot be cut to %d", session->n_past,
                       n_past);
    session->n_past = n_past;
    return PM_OK;
}

/* log P(target) under the softmax of one row of logits, in double. */
static double log_prob(const float *logits, int32_t n_vocab, int32_t target)
{
    double max = -INFINITY, sum = 0;
    for (int32_t i = 0; i < n_vocab; i++)
        if (logits[i] > max)
            max = logits[i];
    for (int32_t i = 0; i < n_vocab; i++)
        sum += exp(logits[i] - max);
    return logits[target] - max - log(sum);
}

pm_status pm_session_score(pm_session *session, const int32_t *tokens, size_t n, double *log_probs, pm_error *err)
{
    PM_TRY(pm_session_truncate(session, 0, err));
    PM_TRY(check_tokens(session, tokens, n, err));
    int32_t n_vocab = session->model->def->info.n_vocab;
    size_t most = (size_t)pm_session_max_outputs(session), bytes = most * (size_t)n_vocab * sizeof(float);
    float *logits = malloc(bytes);
    if (!logits)
        return pm_fail_memory(err, bytes, "logits");
    log_probs[0] = 0;
    pm_status status = PM_OK;
    for (size_t done = 0; done < n && status == PM_OK;) {
        size_t pass = n - done < most ? n - done : most;
        status = pm_session_logits(session, tokens + done, pass, pass, logits, err);
        for (size_t i = 0; status == PM_OK && i < pass && done + i + 1 < n; i++)
            log_probs[done + i + 1] = log_prob(logits + i * (size_t)n_vocab, n_vocab, tokens[done + i + 1]);
        done += pass;
    }
    free(logits);
    return status;
}

pm_status pm_session_explain(pm_session *session, int32_t n_tokens, void (*put)(void *user, const char *line),
                             void *user, pm_error *err)
{
    if (n_tokens < 1 || n_tokens > session->options.n_batch)
        return pm_fail(err, PM_ERR_ARGUMENT, "a pass has from 1 to %d tokens, not %d", session->options.n_batch,
                       n_tokens);
    const pm_session_plan *plan;
    PM_TRY(pm_session_plan_get(session, n_tokens, 1, true, &plan, err));
    pm_device *device = session->model->device;
    device->backend->explain(device, plan->program, put, user);
    return PM_OK;
}

pm_status pm_session_warm_up(pm_session *session, int32_t n_tokens, pm_error *err)
{
    const pm_session_plan *plan;
    int32_t batch = session->options.n_batch;
    PM_TRY(pm_session_plan_get(session, 1, 1, true, &plan, err));
    if (n_tokens > batch)
        PM_TRY(pm_session_plan_get(session, batch, 1, true, &plan, err));
    if (n_tokens > 1)
        PM_TRY(pm_session_plan_get(session, (n_tokens - 1) % batch + 1, 1, true, &plan, err));
    return PM_OK;
}

uint64_t pm_session_device_bytes(const pm_session *session)
{
    const pm_backend *backend = session->model->device->backend;
    uint64_t bytes = kv_bytes(&session->model->def->info, session->options.n_ctx, session->options.kv_f32);
    for (int32_t i = 0; i < session->n_plans; i++)
        bytes += backend->program_bytes(session->plans[i].program);
    return bytes;
}
