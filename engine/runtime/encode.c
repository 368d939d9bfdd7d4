/* Encoding passes: see pumice/encode.h. Sequences are packed one behind the other into passes of at most
 * pm_session_max_tokens; each row sees the slots of its own sequence alone. */
#include "pumice/encode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "runtime/runtime.h"

int32_t pm_session_max_sequence(const pm_session *session)
{
    const pm_model_info *info = &session->model->def->info;
    if (info->shape == PM_SHAPE_ENCODER_DECODER)
        return session->options.n_source;
    return info->shape == PM_SHAPE_ENCODER_ONLY && info->n_ctx_train < session->options.n_ctx
               ? info->n_ctx_train
               : session->options.n_ctx;
}

static pm_status check_sequence(const pm_session *session, const pm_token_sequence *s, pm_error *err)
{
    const pm_model_info *info = &session->model->def->info;
    PM_TRY(pm_session_check_ids(session, s->tokens, s->n, err));
    if (s->n > (size_t)pm_session_max_sequence(session))
        return pm_fail(err, PM_ERR_LIMIT,
                       "a sequence of %zu tokens is too long: at most %d can be evaluated together", s->n,
                       pm_session_max_sequence(session));
    for (size_t i = 0; s->types && i < s->n; i++)
        if (s->types[i] < 0 || s->types[i] >= (info->n_types > 0 ? info->n_types : 1))
            return pm_fail(err, PM_ERR_ARGUMENT, "token %zu is of type %d, but the model has %d", i, s->types[i],
                           info->n_types);
    return PM_OK;
}

static pm_status check_head(const pm_session *session, pm_head head, const char *what, pm_error *err)
{
    if (session->model->def->info.shape != PM_SHAPE_ENCODER_ONLY)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "a model of architecture '%s' is not an encoder alone: it has no %s",
                       session->model->def->info.architecture, what);
    if (!pm_model_def_has(session->model->def, PM_PASS_ENCODE, head))
        return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: the file has no weights for %s",
                       pm_gguf_path(session->model->file), what);
    return PM_OK;
}

/* One pass over `sequences`, whose tokens stand one after the other in `tokens`. */
typedef struct encoding {
    const pm_token_sequence *sequences;
    size_t n;
    const int32_t *tokens;
    int32_t n_tokens;
    pm_head head;
    const int32_t *rows;
    size_t n_rows;
    void *result;
    size_t bytes;
    float *layers;
} encoding;

static void fill_inputs(const encoding *e, pm_pass_inputs *inputs)
{
    int32_t begin = 0;
    inputs->tokens = e->tokens;
    for (size_t s = 0; s < e->n; s++) {
        int32_t n = (int32_t)e->sequences[s].n;
        for (int32_t i = 0; i < n; i++) {
            int32_t row = begin + i;
            inputs->positions[row] = i;
            inputs->slots[row] = inputs->spans[3 * row] = row;
            inputs->spans[3 * row + 1] = begin;
            inputs->spans[3 * row + 2] = begin + n - 1;
            inputs->types[row] = e->sequences[s].types ? e->sequences[s].types[i] : 0;
        }
        begin += n;
    }
    for (size_t i = 0; i < e->n_rows; i++)
        inputs->rows[i] = e->rows[i];
}

static pm_status run_encoding(pm_session *session, const encoding *e, pm_error *err)
{
    const pm_session_plan *plan;
    const pm_graph_shape wanted = {.pass = PM_PASS_ENCODE,
                                   .head = e->head,
                                   .n_tokens = e->n_tokens,
                                   .n_outputs = (int32_t)e->n_rows,
                                   .layers = e->layers != NULL};
    unsigned long long start = pm_trace_now_ns();
    PM_TRY(pm_session_plan_get(session, &wanted, &plan, err));
    pm_pass_inputs inputs = pm_session_inputs(session);
    fill_inputs(e, &inputs);
    const pm_run_params params = {.n_tokens = e->n_tokens,
                                  .n_outputs = (int32_t)e->n_rows,
                                  .n_kv = e->n_tokens,
                                  .repeat_penalty = 1.0f,
                                  .top_p = 1.0f};
    PM_TRY(pm_session_run(session, plan, &inputs, &params, e->result, e->bytes, err));
    if (e->layers)
        PM_TRY(pm_session_read_layers(session, plan, e->n_tokens, 0, (size_t)e->n_tokens, e->layers, err));
    pm_trace_span(session->options.trace, "host", "pass", "encode", start, pm_trace_now_ns());
    return PM_OK;
}

/* As many of the first n sequences as one pass takes, at least one. */
static size_t fit(const pm_session *session, const pm_token_sequence *sequences, size_t n, int32_t *n_tokens)
{
    size_t taken = 0, sum = 0, most = (size_t)pm_session_max_tokens(session);
    while (taken < n && sum + sequences[taken].n <= most)
        sum += sequences[taken++].n;
    *n_tokens = (int32_t)sum;
    return taken;
}

/* The tokens of n sequences in one array, the caller's to free. */
static pm_status join_tokens(const pm_token_sequence *sequences, size_t n, int32_t n_tokens, int32_t **out,
                             pm_error *err)
{
    int32_t *at = *out = malloc((size_t)n_tokens * sizeof **out);
    if (!at)
        return pm_fail_memory(err, (size_t)n_tokens * sizeof **out, "the tokens of a pass");
    for (size_t s = 0; s < n; s++, at += sequences[s - 1].n)
        memcpy(at, sequences[s].tokens, sequences[s].n * sizeof *at);
    return PM_OK;
}

pm_status pm_session_encode(pm_session *session, const pm_token_sequence *sequences, size_t n, float *hidden,
                            pm_error *err)
{
    size_t n_embd = (size_t)session->model->def->info.n_embd;
    PM_TRY(check_head(session, PM_HEAD_HIDDEN, "hidden states of an encoder", err));
    for (size_t s = 0; s < n; s++)
        PM_TRY(check_sequence(session, &sequences[s], err));
    while (n > 0) {
        encoding e = {.sequences = sequences, .head = PM_HEAD_HIDDEN, .result = hidden};
        int32_t *tokens;
        e.n = fit(session, sequences, n, &e.n_tokens);
        e.bytes = (size_t)e.n_tokens * n_embd * sizeof *hidden;
        PM_TRY(join_tokens(sequences, e.n, e.n_tokens, &tokens, err));
        e.tokens = tokens;
        pm_status status = run_encoding(session, &e, err);
        free(tokens);
        PM_TRY(status);
        hidden += (size_t)e.n_tokens * n_embd;
        sequences += e.n;
        n -= e.n;
    }
    return PM_OK;
}

/* One sequence in one pass. */
static pm_status encode_one(pm_session *session, const pm_token_sequence *sequence, encoding e, pm_error *err)
{
    PM_TRY(check_sequence(session, sequence, err));
    e.sequences = sequence;
    e.n = 1;
    e.tokens = sequence->tokens;
    e.n_tokens = (int32_t)sequence->n;
    return run_encoding(session, &e, err);
}

pm_status pm_session_set_source(pm_session *session, const int32_t *tokens, size_t n, float *hidden, pm_error *err)
{
    const pm_model_info *info = &session->model->def->info;
    if (info->shape != PM_SHAPE_ENCODER_DECODER)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "a model of architecture '%s' has no encoder and decoder to translate with",
                       info->architecture);
    const pm_token_sequence sequence = {.tokens = tokens, .n = n};
    session->n_source = session->n_past = 0;
    PM_TRY(encode_one(session, &sequence,
                      (encoding){.head = PM_HEAD_HIDDEN,
                                 .result = hidden,
                                 .bytes = hidden ? n * (size_t)info->n_embd * sizeof *hidden : 0},
                      err));
    session->n_source = (int32_t)n;
    return PM_OK;
}

pm_status pm_session_encode_layers(pm_session *session, const pm_token_sequence *sequence, float *layers, pm_error *err)
{
    if (session->model->def->info.shape == PM_SHAPE_DECODER_ONLY)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "a model of architecture '%s' has no encoder",
                       session->model->def->info.architecture);
    return encode_one(session, sequence, (encoding){.head = PM_HEAD_HIDDEN, .layers = layers}, err);
}

pm_status pm_session_masked_logits(pm_session *session, const pm_token_sequence *sequence, const int32_t *rows,
                                   size_t n_rows, float *logits, pm_error *err)
{
    size_t most = (size_t)pm_session_max_outputs(session), n_vocab = (size_t)session->model->def->info.n_vocab;
    PM_TRY(check_head(session, PM_HEAD_LOGITS, "masked tokens", err));
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i] < 0 || (size_t)rows[i] >= sequence->n)
            return pm_fail(err, PM_ERR_ARGUMENT, "row %d is not one of the sequence's %zu tokens", rows[i],
                           sequence->n);
    for (size_t done = 0, pass; done < n_rows; done += pass) {
        pass = n_rows - done < most ? n_rows - done : most;
        PM_TRY(encode_one(session, sequence,
                          (encoding){.head = PM_HEAD_LOGITS,
                                     .rows = rows + done,
                                     .n_rows = pass,
                                     .result = logits + done * n_vocab,
                                     .bytes = pass * n_vocab * sizeof *logits},
                          err));
    }
    return PM_OK;
}

pm_status pm_session_next_sentence(pm_session *session, const pm_token_sequence *pair, float logits[2], pm_error *err)
{
    static const int32_t first_row;
    PM_TRY(check_head(session, PM_HEAD_PAIR, "next-sentence prediction", err));
    return encode_one(
        session, pair,
        (encoding){
            .head = PM_HEAD_PAIR, .rows = &first_row, .n_rows = 1, .result = logits, .bytes = 2 * sizeof *logits},
        err);
}

/* ---- Embeddings ---- */

static void pool(const float *hidden, size_t n, size_t n_embd, pm_pooling pooling, float *out)
{
    if (pooling != PM_POOLING_MEAN) {
        memcpy(out, hidden + (pooling == PM_POOLING_LAST ? (n - 1) * n_embd : 0), n_embd * sizeof *out);
        return;
    }
    for (size_t c = 0; c < n_embd; c++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += (double)hidden[i * n_embd + c];
        out[c] = (float)(sum / (double)n);
    }
}

static void to_length_one(float *vector, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < n; i++)
        vector[i] = (float)((double)vector[i] * scale);
}

/* Hidden states of `n` sequences that fit one pass, or of one where the model's shape takes no more. */
static pm_status hidden_of(pm_session *session, const pm_token_sequence *sequences, size_t n, float *hidden,
                           pm_error *err)
{
    switch (session->model->def->info.shape) {
    case PM_SHAPE_ENCODER_ONLY:
        return pm_session_encode(session, sequences, n, hidden, err);
    case PM_SHAPE_ENCODER_DECODER:
        return pm_session_set_source(session, sequences->tokens, sequences->n, hidden, err);
    default:
        PM_TRY(pm_session_truncate(session, 0, err));
        return pm_session_hidden(session, sequences->tokens, sequences->n, hidden, err);
    }
}

pm_status pm_session_embed(pm_session *session, const pm_token_sequence *sequences, size_t n, pm_pooling pooling,
                           int normalize, float *embeddings, pm_error *err)
{
    const pm_model_info *info = &session->model->def->info;
    size_t n_embd = (size_t)info->n_embd, longest = 0;
    for (size_t s = 0; s < n; s++) {
        PM_TRY(check_sequence(session, &sequences[s], err));
        longest = sequences[s].n > longest ? sequences[s].n : longest;
    }
    if (info->shape == PM_SHAPE_ENCODER_ONLY)
        longest = (size_t)pm_session_max_tokens(session);
    float *hidden = malloc(longest * n_embd * sizeof *hidden);
    if (!hidden)
        return pm_fail_memory(err, longest * n_embd * sizeof *hidden, "hidden states");
    pm_status status = PM_OK;
    for (size_t done = 0, pass; done < n && status == PM_OK; done += pass) {
        int32_t n_tokens;
        pass = info->shape == PM_SHAPE_ENCODER_ONLY ? fit(session, sequences + done, n - done, &n_tokens) : 1;
        status = hidden_of(session, sequences + done, pass, hidden, err);
        const float *at = hidden;
        for (size_t s = done; s < done + pass && status == PM_OK; s++) {
            pool(at, sequences[s].n, n_embd, pooling, embeddings + s * n_embd);
            if (normalize)
                to_length_one(embeddings + s * n_embd, n_embd);
            at += sequences[s].n * n_embd;
        }
    }
    free(hidden);
    return status;
}
