/* A timeline of tokens: see pumice/session.h.
 *
 * Tokens are evaluated in passes of at most n_batch; a pass writes its inputs, runs the plan of its bucket and
 * reads back a token id or logits. The timeline grows only when a pass has succeeded, so after an error the KV
 * cache and the list of tokens still agree: slots past n_past hold nothing that is ever attended to. */
#include "runtime/runtime.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
    DEFAULT_MAX_CTX = 4096,
    DEFAULT_SOURCE = 512,
    DEFAULT_BATCH = 512,
    DEFAULT_REPEAT_WINDOW = 64,
    PASS_INPUTS = 10
};

static pm_type type_of(pm_kv_type kv_type)
{
    return kv_type == PM_KV_F32 ? PM_TYPE_F32 : kv_type == PM_KV_Q8_0 ? PM_TYPE_Q8_0 : PM_TYPE_F16;
}

pm_graph_shape pm_session_shape(const pm_session_options *o, const pm_paging *paging)
{
    return (pm_graph_shape){.n_tokens = 1,
                            .n_outputs = 1,
                            .n_ctx = o->n_ctx,
                            .n_source = o->n_source,
                            .n_beams = o->n_beams,
                            .paging = *paging,
                            .kv_type = type_of(o->kv_type)};
}

static uint64_t states_bytes(const pm_state_desc *descs, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += (uint64_t)pm_type_row_bytes(descs[i].type, descs[i].dim[0]) * (uint64_t)descs[i].dim[1] *
                 (uint64_t)descs[i].dim[2];
    return bytes;
}

pm_status pm_session_cache_bytes(const pm_model *model, const pm_session_options *options, const pm_paging *paging,
                                 uint64_t *bytes, pm_error *err)
{
    pm_graph_shape shape = pm_session_shape(options, paging);
    pm_state_desc *descs;
    size_t n;
    PM_TRY(pm_model_def_states(model->def, &shape, &descs, &n, err));
    *bytes = states_bytes(descs, n);
    free(descs);
    return PM_OK;
}

int32_t pm_session_default_ctx(const pm_model *model)
{
    int32_t n = model->def->info.n_ctx_train;
    return n < DEFAULT_MAX_CTX ? n : DEFAULT_MAX_CTX;
}

/* Sizes that were not given, within what the model can do. An encoder sees a sequence as a whole: its passes are
 * as long as the context. */
static pm_status choose_sizes(pm_session *session, pm_error *err)
{
    const pm_model_def *def = session->model->def;
    const pm_model_info *info = &def->info;
    pm_session_options *o = &session->options;
    if (o->n_steps < 0 || o->n_steps > PM_MOST_STEPS)
        return pm_fail(err, PM_ERR_ARGUMENT, "decode steps of one submission are from 1 to %d, not %d", PM_MOST_STEPS,
                       o->n_steps);
    if (o->n_ctx < 0 || o->n_batch < 0 || o->n_source < 0 || o->n_beams < 0)
        return pm_fail(err, PM_ERR_ARGUMENT,
                       "a context of %d, a source of %d and batches of %d tokens: sizes cannot be "
                       "negative",
                       o->n_ctx, o->n_source, o->n_batch);
    if (o->n_ctx == 0)
        o->n_ctx = pm_session_default_ctx(session->model);
    if (o->n_source == 0)
        o->n_source = info->n_ctx_train < DEFAULT_SOURCE ? info->n_ctx_train : DEFAULT_SOURCE;
    int32_t longest = o->n_source > o->n_ctx && info->shape == PM_SHAPE_ENCODER_DECODER ? o->n_source : o->n_ctx;
    if (info->shape == PM_SHAPE_ENCODER_ONLY)
        o->n_ctx = o->n_batch = o->n_ctx < DEFAULT_BATCH ? DEFAULT_BATCH : o->n_ctx;
    else if (longest > def->n_ctx_max)
        return pm_fail(err, PM_ERR_LIMIT,
                       "a context of %d tokens is too long: this model was trained on %d, and "
                       "pumice goes up to %d",
                       longest, info->n_ctx_train, def->n_ctx_max);
    if (o->n_beams == 0 || info->shape != PM_SHAPE_ENCODER_DECODER)
        o->n_beams = 1;
    if (o->n_beams > 1 && info->head_dim % 2)
        o->kv_type = PM_KV_F32; /* which pm_kv_copy wants */
    if (o->kv_type == PM_KV_Q8_0 && info->head_dim % 64 && info->shape != PM_SHAPE_ENCODER_ONLY)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "a KV cache in Q8_0 needs heads of a multiple of 64 numbers, but those of this model have %d; "
                       "use F16",
                       info->head_dim);
    if (o->n_batch == 0)
        o->n_batch = DEFAULT_BATCH;
    if (o->n_batch > o->n_ctx && !session->paging.page)
        o->n_batch = o->n_ctx;
    return PM_OK;
}

/* How many tokens' KV cache takes at most so many bytes. That of a source stays as it is. */
static int32_t longest_that_fits(const pm_session *session, uint64_t left)
{
    pm_session_options options = session->options;
    pm_paging paging = session->paging;
    int32_t *n = paging.page ? &paging.n_pages : &options.n_ctx, fits = 0, too_long = *n;
    while (too_long - fits > 1) {
        uint64_t bytes;
        *n = fits + (too_long - fits) / 2;
        pm_status status = pm_session_cache_bytes(session->model, &options, &paging, &bytes, NULL);
        *(status == PM_OK && bytes <= left ? &fits : &too_long) = *n;
    }
    return paging.page ? fits * paging.page : fits;
}

/* Whether a KV cache of these bytes fits beside weights of those. Where even the weights are more than what is
 * said to be free they lie elsewhere (in another heap, in a mapped file). */
static pm_status check_memory(const pm_session *session, uint64_t weights, uint64_t bytes, pm_error *err)
{
    const pm_device *device = session->model->device;
    uint64_t left = device->info.memory_free;
    left -= weights < left ? weights : 0;
    int32_t n_slots =
        session->paging.page ? session->paging.page * session->paging.n_pages : session->options.n_ctx;
    if (left == 0 || bytes <= left)
        return PM_OK;
    return pm_fail(err, PM_ERR_LIMIT,
                   "a context of %d tokens needs %.1f MiB for its KV cache, but device %s has %.1f MiB "
                   "free beside the weights; at most %d tokens fit (--ctx)",
                   n_slots, (double)bytes / 1048576.0, device->info.name, (double)left / 1048576.0,
                   longest_that_fits(session, left));
}

pm_status pm_session_check_fit(pm_model *model, const pm_session_options *options, pm_error *err)
{
    pm_session session = {.model = model, .options = *options};
    uint64_t bytes;
    PM_TRY(choose_sizes(&session, err));
    PM_TRY(pm_session_cache_bytes(model, &session.options, &session.paging, &bytes, err));
    return check_memory(&session, model->def->info.file_bytes, bytes, err);
}

static pm_status create_states(pm_session *session, pm_error *err)
{
    pm_model *model = session->model;
    pm_graph_shape shape = pm_session_shape(&session->options, &session->paging);
    pm_state_desc *descs;
    size_t n;
    PM_TRY(pm_model_def_states(model->def, &shape, &descs, &n, err));
    session->state_bytes = states_bytes(descs, n);
    pm_status status = check_memory(session, model->def->info.device_bytes, session->state_bytes, err);
    if (status == PM_OK)
        status = model->device->backend->states_create(model->device, descs, n, &session->states, err);
    free(descs);
    return status;
}

pm_status pm_session_create(pm_model *model, const pm_session_options *options, pm_session **out, pm_error *err)
{
    static const pm_paging none;
    return pm_session_create_paged(model, options, &none, out, err);
}

pm_status pm_session_create_paged(pm_model *model, const pm_session_options *options, const pm_paging *paging,
                                  pm_session **out, pm_error *err)
{
    *out = NULL;
    pm_session *session = calloc(1, sizeof *session);
    if (!session)
        return pm_fail_memory(err, sizeof *session, "a session");
    session->model = model;
    session->paging = *paging;
    if (options)
        session->options = *options;
    pm_status status = choose_sizes(session, err);
    if (status == PM_OK) {
        size_t n_ctx = (size_t)session->options.n_ctx;
        session->tokens = calloc(n_ctx, sizeof *session->tokens);
        session->scratch = calloc((size_t)pm_session_max_tokens(session), PASS_INPUTS * sizeof *session->scratch);
        if (!session->tokens || !session->scratch)
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
    pm_profiler_destroy(session->profiler);
    free(session->tokens);
    free(session->scratch);
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

/* One pass ------------------------------------------------------------------------------------------------------
 */

pm_status pm_session_check_ids(const pm_session *session, const int32_t *tokens, size_t n, pm_error *err)
{
    if (n == 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "there are no tokens to evaluate");
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= session->model->def->info.n_vocab)
            return pm_fail(err, PM_ERR_ARGUMENT, "token %zu has id %d, outside the vocabulary of %d", i, tokens[i],
                           session->model->def->info.n_vocab);
    return PM_OK;
}

pm_status pm_session_check_tokens(const pm_session *session, const int32_t *tokens, size_t n, pm_error *err)
{
    if (session->model->def->info.shape == PM_SHAPE_ENCODER_ONLY)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "a model of architecture '%s' is an encoder: it has no next token "
                       "(pumice embed and pumice fill use it)",
                       session->model->def->info.architecture);
    if (session->model->def->info.shape == PM_SHAPE_ENCODER_DECODER && session->n_source == 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "an encoder-decoder model needs a source before its first token");
    PM_TRY(pm_session_check_ids(session, tokens, n, err));
    if (n > (size_t)(session->options.n_ctx - session->n_past))
        return pm_fail(err, PM_ERR_LIMIT,
                       "the context is full: %d of %d tokens are used and %zu more were to come "
                       "(a longer context: --ctx)",
                       session->n_past, session->options.n_ctx, n);
    return PM_OK;
}

struct pm_row_sampling pm_sampling_settings(const pm_sampling *s, int32_t n)
{
    int32_t window = s->repeat_window ? s->repeat_window : DEFAULT_REPEAT_WINDOW;
    float penalty = s->repeat_penalty > 0.0f ? s->repeat_penalty : 1.0f;
    return (struct pm_row_sampling){.n_history = penalty == 1.0f ? 0
                                                 : window < n    ? window
                                                                 : n,
                                    .repeat_penalty = penalty,
                                    .temperature = s->temperature,
                                    .top_k = s->top_k,
                                    .top_p = s->top_p > 0.0f ? s->top_p : 1.0f,
                                    .min_p = s->min_p,
                                    .seed_lo = (uint32_t)s->seed,
                                    .seed_hi = (uint32_t)(s->seed >> 32),
                                    .draw = (uint32_t)n};
}

void pm_session_params(int32_t n, int32_t n_tokens, int32_t n_outputs, const pm_sampling *sampling,
                       pm_run_params *params)
{
    static const pm_sampling greedy;
    const struct pm_row_sampling s = pm_sampling_settings(sampling ? sampling : &greedy, n);
    *params = (pm_run_params){.n_tokens = n_tokens,
                              .n_outputs = n_outputs,
                              .n_kv = n,
                              .n_history = s.n_history,
                              .repeat_penalty = s.repeat_penalty,
                              .temperature = s.temperature,
                              .top_k = s.top_k,
                              .top_p = s.top_p,
                              .min_p = s.min_p,
                              .seed_lo = s.seed_lo,
                              .seed_hi = s.seed_hi,
                              .draw = s.draw};
}

pm_pass_inputs pm_session_inputs(pm_session *session)
{
    size_t n = (size_t)pm_session_max_tokens(session);
    int32_t *at = session->scratch;
    return (pm_pass_inputs){.positions = at,
                            .slots = at + n,
                            .types = at + 2 * n,
                            .rows = at + 3 * n,
                            .spans = at + 4 * n,
                            .places = at + 4 * n,
                            .source_spans = at + 7 * n};
}

static pm_status write_input(pm_session *session, const pm_session_plan *plan, const pm_tensor *tensor,
                             const int32_t *values, int32_t n, pm_error *err)
{
    pm_device *device = session->model->device;
    if (!tensor || n == 0)
        return PM_OK;
    return device->backend->tensor_write(device, plan->program, tensor, 0, values, (size_t)n * sizeof *values,
                                         err);
}

pm_status pm_session_run(pm_session *session, const pm_session_plan *plan, const pm_pass_inputs *inputs,
                         const pm_run_params *params, void *result, size_t result_bytes, pm_error *err)
{
    pm_device *device = session->model->device;
    const pm_graph_io *io = &plan->io;
    int32_t n = params->n_tokens;
    PM_TRY(write_input(session, plan, io->tokens, inputs->tokens, n, err));
    PM_TRY(write_input(session, plan, io->positions, inputs->positions, n, err));
    PM_TRY(write_input(session, plan, io->slots, inputs->slots, n, err));
    PM_TRY(write_input(session, plan, io->types, inputs->types, n, err));
    PM_TRY(write_input(session, plan, io->places, inputs->places, 2 * n, err));
    PM_TRY(write_input(session, plan, io->spans, inputs->spans, 3 * n, err));
    PM_TRY(write_input(session, plan, io->source_spans, inputs->source_spans, 3 * n, err));
    PM_TRY(write_input(session, plan, io->out_rows, inputs->rows, params->n_outputs, err));
    pm_run_options run = {.trace = session->options.trace,
                          .should_stop = session->options.should_stop,
                          .stop_user = session->options.stop_user};
    if (session->check)
        PM_TRY(pm_check_run(session->check, session, plan, params, &run, err));
    else if (session->profiler)
        PM_TRY(pm_profiler_run(session->profiler, session, plan, params, &run, err));
    else
        PM_TRY(device->backend->program_run(device, plan->program, params, &run, err));
    if (!result || result_bytes == 0)
        return PM_OK;
    return device->backend->tensor_read(device, plan->program, plan->shape.sample ? io->next : io->result, 0,
                                        result, result_bytes, err);
}

pm_status pm_session_read_layers(pm_session *session, const pm_session_plan *plan, int32_t n_tokens, size_t first,
                                 size_t total, float *layers, pm_error *err)
{
    pm_device *device = session->model->device;
    size_t n_embd = (size_t)session->model->def->info.n_embd;
    int32_t n = pm_model_def_n_layers(session->model->def, plan->shape.pass);
    for (int32_t l = 0; l <= n; l++)
        PM_TRY(device->backend->tensor_read(device, plan->program, plan->io.layers[l], 0,
                                            layers + ((size_t)l * total + first) * n_embd,
                                            (size_t)n_tokens * n_embd * sizeof *layers, err));
    return PM_OK;
}

/* The repetition window: the last tokens of the timeline with this pass's tokens already on it. */
static pm_status write_history(pm_session *session, const pm_session_plan *plan, const pm_run_params *params,
                               pm_error *err)
{
    return write_input(session, plan, plan->io.history,
                       session->tokens + session->n_past + params->n_tokens - params->n_history, params->n_history,
                       err);
}

/* What a pass over the timeline gives: logits, or hidden states after each layer of `total` tokens. */
typedef struct pass_result {
    pm_head head;
    void *data;
    size_t bytes;
    float *layers;
    size_t first, total;
} pass_result;

/* Evaluates n_tokens (at most n_batch) that already stand in session->tokens behind n_past, and counts them in.
 * The last n_outputs rows give logits, or a token where sampling is set. */
static pm_status run_pass(pm_session *session, int32_t n_tokens, int32_t n_outputs, const pm_sampling *sampling,
                          const pass_result *result, pm_error *err)
{
    unsigned long long start = pm_trace_now_ns();
    const pm_session_plan *plan;
    const pm_graph_shape wanted = {.pass = PM_PASS_DECODE,
                                   .head = result ? result->head : PM_HEAD_LOGITS,
                                   .n_tokens = n_tokens,
                                   .n_outputs = n_outputs,
                                   .sample = sampling != NULL,
                                   .layers = result && result->layers};
    PM_TRY(pm_session_plan_get(session, &wanted, &plan, err));
    unsigned long long compiled = pm_trace_now_ns();
    pm_pass_inputs inputs = pm_session_inputs(session);
    inputs.tokens = session->tokens + session->n_past;
    for (int32_t i = 0; i < n_tokens; i++) {
        int32_t at = session->n_past + i;
        inputs.positions[i] = inputs.slots[i] = inputs.spans[3 * i] = inputs.spans[3 * i + 2] = at;
        inputs.spans[3 * i + 1] = inputs.source_spans[3 * i] = inputs.source_spans[3 * i + 1] = 0;
        inputs.source_spans[3 * i + 2] = session->n_source - 1;
    }
    for (int32_t i = 0; i < n_outputs; i++)
        inputs.rows[i] = n_tokens - n_outputs + i;
    pm_run_params params;
    pm_session_params(session->n_past + n_tokens, n_tokens, n_outputs, sampling, &params);
    PM_TRY(write_history(session, plan, &params, err));
    PM_TRY(pm_session_run(session, plan, &inputs, &params, n_outputs > 0 && result ? result->data : NULL,
                          result ? result->bytes : 0, err));
    if (wanted.layers)
        PM_TRY(pm_session_read_layers(session, plan, n_tokens, result->first, result->total, result->layers, err));
    session->n_past += n_tokens;
    if (n_tokens == 1)
        session->step_ns = pm_trace_now_ns() - compiled;
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
        PM_TRY(run_pass(session, (int32_t)pass, 0, sampling, NULL, err));
        *done += pass;
    }
    return PM_OK;
}

pm_status pm_sampling_check(const pm_sampling *s, pm_error *err)
{
    if (!(s->temperature >= 0.0f && isfinite(s->temperature)) || s->top_k < 0 || !(s->top_p >= 0.0f) ||
        !(s->min_p >= 0.0f && s->min_p <= 1.0f) || !(s->repeat_penalty >= 0.0f && isfinite(s->repeat_penalty)) ||
        s->repeat_window < 0 || s->repeat_window > PM_SESSION_HISTORY)
        return pm_fail(
            err, PM_ERR_ARGUMENT,
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
    PM_TRY(pm_sampling_check(sampling, err));
    PM_TRY(pm_session_check_tokens(session, tokens, n, err));
    memcpy(session->tokens + session->n_past, tokens, n * sizeof *tokens);
    /* The last pass takes as much as fits: all but it have no outputs. */
    size_t batch = (size_t)session->options.n_batch, last = (n - 1) % batch + 1, done;
    PM_TRY(run_without_outputs(session, n, last, sampling, &done, err));
    const pass_result result = {.data = next, .bytes = sizeof *next};
    return run_pass(session, (int32_t)(n - done), 1, sampling, &result, err);
}

/* The last n_rows of the tokens give rows of `width` floats each. */
static pm_status run_for_rows(pm_session *session, const int32_t *tokens, size_t n, size_t n_rows, pm_head head,
                              size_t width, float *rows, pm_error *err)
{
    PM_TRY(pm_session_check_tokens(session, tokens, n, err));
    if (!pm_model_def_has(session->model->def, PM_PASS_DECODE, head))
        return pm_fail(err, PM_ERR_UNSUPPORTED, "a model of architecture '%s' has no such results",
                       session->model->def->info.architecture);
    if (n_rows > n)
        return pm_fail(err, PM_ERR_ARGUMENT, "results of %zu tokens were asked for, but there are %zu", n_rows, n);
    memcpy(session->tokens + session->n_past, tokens, n * sizeof *tokens);
    size_t done, most = (size_t)pm_session_max_outputs(session);
    PM_TRY(run_without_outputs(session, n, n_rows, NULL, &done, err));
    while (done < n) {
        size_t pass = n - done < most ? n - done : most;
        const pass_result result = {.head = head, .data = rows, .bytes = pass * width * sizeof *rows};
        PM_TRY(run_pass(session, (int32_t)pass, (int32_t)pass, NULL, &result, err));
        rows += pass * width;
        done += pass;
    }
    return PM_OK;
}

pm_status pm_session_logits(pm_session *session, const int32_t *tokens, size_t n, size_t n_logits, float *logits,
                            pm_error *err)
{
    size_t n_vocab = (size_t)session->model->def->info.n_vocab;
    return run_for_rows(session, tokens, n, n_logits, PM_HEAD_LOGITS, n_vocab, logits, err);
}

pm_status pm_session_hidden(pm_session *session, const int32_t *tokens, size_t n, float *hidden, pm_error *err)
{
    size_t n_embd = (size_t)session->model->def->info.n_embd;
    return run_for_rows(session, tokens, n, n, PM_HEAD_HIDDEN, n_embd, hidden, err);
}

pm_status pm_session_layers(pm_session *session, const int32_t *tokens, size_t n, float *layers, pm_error *err)
{
    PM_TRY(pm_session_check_tokens(session, tokens, n, err));
    memcpy(session->tokens + session->n_past, tokens, n * sizeof *tokens);
    size_t batch = (size_t)session->options.n_batch;
    for (size_t done = 0, pass; done < n; done += pass) {
        pass = n - done < batch ? n - done : batch;
        const pass_result result = {.layers = layers, .first = done, .total = n};
        PM_TRY(run_pass(session, (int32_t)pass, 0, NULL, &result, err));
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

pm_status pm_session_sampling_plan(pm_session *session, int32_t n_tokens, const pm_session_plan **plan,
                                   pm_error *err)
{
    bool encodes = session->model->def->info.shape == PM_SHAPE_ENCODER_ONLY;
    const pm_graph_shape wanted = {.pass = encodes ? PM_PASS_ENCODE : PM_PASS_DECODE,
                                   .head = encodes ? PM_HEAD_HIDDEN : PM_HEAD_LOGITS,
                                   .n_tokens = n_tokens,
                                   .n_outputs = 1,
                                   .sample = !encodes};
    return pm_session_plan_get(session, &wanted, plan, err);
}

pm_status pm_session_explain(pm_session *session, int32_t n_tokens, void (*put)(void *user, const char *line),
                             void *user, pm_error *err)
{
    if (n_tokens < 1 || n_tokens > session->options.n_batch)
        return pm_fail(err, PM_ERR_ARGUMENT, "a pass has from 1 to %d tokens, not %d", session->options.n_batch,
                       n_tokens);
    const pm_session_plan *plan;
    PM_TRY(pm_session_sampling_plan(session, n_tokens, &plan, err));
    pm_device *device = session->model->device;
    device->backend->explain(device, plan->program, put, user);
    return PM_OK;
}

pm_status pm_session_warm_up(pm_session *session, int32_t n_tokens, pm_error *err)
{
    const pm_session_plan *plan;
    int32_t batch = session->options.n_batch;
    PM_TRY(pm_session_sampling_plan(session, 1, &plan, err));
    if (n_tokens > batch)
        PM_TRY(pm_session_sampling_plan(session, batch, &plan, err));
    if (n_tokens > 1)
        PM_TRY(pm_session_sampling_plan(session, (n_tokens - 1) % batch + 1, &plan, err));
    return PM_OK;
}

uint64_t pm_session_device_bytes(const pm_session *session)
{
    const pm_backend *backend = session->model->device->backend;
    uint64_t bytes = session->state_bytes;
    for (int32_t i = 0; i < session->n_plans; i++)
        bytes += backend->program_bytes(session->plans[i].program);
    return bytes;
}
