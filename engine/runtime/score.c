/* A language model as a probability: see pumice/session.h and pumice/encode.h. Logits come in passes of as many rows as
 * one pass gives; sums are in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pumice/encode.h"
#include "runtime/runtime.h"

/* log of the sum of exp of a row, so that logit - this is log P. */
static double log_sum(const float *logits, int32_t n_vocab)
{
    double highest = -INFINITY, sum = 0;
    for (int32_t i = 0; i < n_vocab; i++)
        if ((double)logits[i] > highest)
            highest = (double)logits[i];
    for (int32_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - highest);
    return highest + log(sum);
}

size_t pm_top_tokens(const float *logits, int32_t n_vocab, pm_token_prob *top, size_t n_top)
{
    double base = log_sum(logits, n_vocab);
    size_t n = 0;
    for (int32_t id = 0; id < n_vocab && n_top > 0; id++) {
        double log_prob = (double)logits[id] - base;
        if (isnan(log_prob) || (n == n_top && !(log_prob > top[n - 1].log_prob)))
            continue;
        size_t at = n < n_top ? n++ : n - 1;
        for (; at > 0 && log_prob > top[at - 1].log_prob; at--)
            top[at] = top[at - 1];
        top[at] = (pm_token_prob){id, log_prob};
    }
    for (size_t i = n; i < n_top; i++)
        top[i] = (pm_token_prob){-1, -INFINITY};
    return n;
}

/* What one row of logits says of `target`. */
static void take_row(const pm_session *session, const float *logits, int32_t target, double *log_prob, size_t n_top,
                     pm_token_prob *top)
{
    int32_t n_vocab = session->model->def->info.n_vocab;
    *log_prob = (double)logits[target] - log_sum(logits, n_vocab);
    if (n_top)
        pm_top_tokens(logits, n_vocab, top, n_top);
}

static pm_status alloc_logits(const pm_session *session, size_t n_rows, float **out, pm_error *err)
{
    size_t bytes = n_rows * (size_t)session->model->def->info.n_vocab * sizeof **out;
    *out = malloc(bytes);
    return *out ? PM_OK : pm_fail_memory(err, bytes, "logits");
}

pm_status pm_session_score(pm_session *session, const int32_t *tokens, size_t n, double *log_probs, size_t n_top,
                           pm_token_prob *top, pm_error *err)
{
    size_t most = (size_t)pm_session_max_outputs(session), n_vocab = (size_t)session->model->def->info.n_vocab;
    float *logits;
    PM_TRY(pm_session_truncate(session, 0, err));
    PM_TRY(pm_session_check_ids(session, tokens, n, err));
    PM_TRY(alloc_logits(session, n < most ? n : most, &logits, err));
    log_probs[0] = 0;
    for (size_t i = 0; i < n_top; i++)
        top[i] = (pm_token_prob){-1, -INFINITY};
    pm_status status = PM_OK;
    for (size_t done = 0; done < n && status == PM_OK;) {
        size_t pass = n - done < most ? n - done : most;
        status = pm_session_logits(session, tokens + done, pass, pass, logits, err);
        for (size_t i = 0; status == PM_OK && i < pass && done + i + 1 < n; i++)
            take_row(session, logits + i * n_vocab, tokens[done + i + 1], &log_probs[done + i + 1], n_top,
                     top ? top + (done + i + 1) * n_top : NULL);
        done += pass;
    }
    free(logits);
    return status;
}

pm_status pm_session_score_masked(pm_session *session, const pm_token_sequence *sequence, int32_t mask,
                                  const uint8_t *skip, double *log_probs, size_t n_top, pm_token_prob *top,
                                  pm_error *err)
{
    size_t n = sequence->n;
    float *logits = NULL;
    int32_t *masked = malloc((n + 1) * sizeof *masked);
    if (!masked)
        return pm_fail_memory(err, n * sizeof *masked, "a masked sequence");
    memcpy(masked, sequence->tokens, n * sizeof *masked);
    pm_status status = alloc_logits(session, 1, &logits, err);
    for (size_t i = 0; i < n && status == PM_OK; i++) {
        const pm_token_sequence one = {.tokens = masked, .types = sequence->types, .n = n};
        int32_t row = (int32_t)i;
        log_probs[i] = 0;
        for (size_t k = 0; k < n_top; k++)
            top[i * n_top + k] = (pm_token_prob){-1, -INFINITY};
        if (skip && skip[i])
            continue;
        masked[i] = mask;
        status = pm_session_masked_logits(session, &one, &row, 1, logits, err);
        masked[i] = sequence->tokens[i];
        if (status == PM_OK)
            take_row(session, logits, sequence->tokens[i], &log_probs[i], n_top, top ? top + i * n_top : NULL);
    }
    free(logits);
    free(masked);
    return status;
}
