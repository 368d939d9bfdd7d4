/* Beam search: see pumice/search.h.
 *
 * The KV cache has one region of n_ctx slots for each hypothesis. At each step all of them are one pass, a row
 * each; the 2 n_beams best continuations are looked at. A hypothesis that goes on stays in its region; where it
 * goes on in several ways, the others' slots are copied to regions that have become free, which are never among
 * those copied from. */
#include "pumice/search.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "runtime/runtime.h"

typedef struct beam {
    int32_t region, parent;
    double log_prob;
    int32_t *tokens; /* [capacity of the search] */
} beam;

typedef struct candidate {
    int32_t parent, token;
    double log_prob;
} candidate;

typedef struct search {
    pm_session *session;
    pm_beam_options options; /* with the defaults filled in */
    const int32_t *start;
    int32_t n_start, n_vocab, n_tokens; /* n_tokens: of each hypothesis so far */
    int32_t n_live, n_done, n_best;
    beam *live, *next;   /* [n_beams] */
    candidate *best;     /* [2 n_beams], best first */
    pm_hypothesis *done; /* [n_beams], best first */
    float *logits;       /* [n_beams][V] */
} search;

/* ---- Memory ---- */

static bool beams_create(beam **out, int32_t n, int32_t capacity)
{
    *out = calloc((size_t)n, sizeof **out);
    for (int32_t i = 0; *out && i < n; i++)
        if (!((*out)[i].tokens = calloc((size_t)capacity, sizeof(int32_t))))
            return false;
    return *out != NULL;
}

static void beams_free(beam *list, int32_t n)
{
    for (int32_t i = 0; list && i < n; i++)
        free(list[i].tokens);
    free(list);
}

void pm_hypotheses_free(pm_hypothesis *list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        free(list[i].tokens);
    free(list);
}

static pm_status search_create(search *s, pm_error *err)
{
    size_t n = (size_t)s->options.n_beams;
    s->best = calloc(2 * n, sizeof *s->best);
    s->done = calloc(n + 1, sizeof *s->done); /* one more while a better one is put in */
    s->logits = calloc(n, (size_t)s->n_vocab * sizeof *s->logits);
    if (!beams_create(&s->live, s->options.n_beams, s->options.max_tokens) ||
        !beams_create(&s->next, s->options.n_beams, s->options.max_tokens) || !s->best || !s->done || !s->logits)
        return pm_fail_memory(err, n * (size_t)s->n_vocab * sizeof *s->logits, "a beam search");
    return PM_OK;
}

static void search_free(search *s)
{
    beams_free(s->live, s->options.n_beams);
    beams_free(s->next, s->options.n_beams);
    free(s->best);
    free(s->logits);
}

/* ---- Passes ---- */

/* n rows, row i the token `tokens[i]` at position `at[i]` of region `regions[i]`; logits of the last n_outputs. */
static pm_status run_rows(search *s, int32_t n, const int32_t *tokens, const int32_t *at, const int32_t *regions,
                          int32_t n_outputs, pm_error *err)
{
    pm_session *session = s->session;
    const pm_session_plan *plan;
    const pm_graph_shape wanted = {.pass = PM_PASS_DECODE, .n_tokens = n, .n_outputs = n_outputs};
    PM_TRY(pm_session_plan_get(session, &wanted, &plan, err));
    pm_pass_inputs inputs = pm_session_inputs(session);
    inputs.tokens = tokens;
    for (int32_t i = 0; i < n; i++) {
        int32_t begin = regions[i] * session->options.n_ctx, slot = begin + at[i];
        inputs.positions[i] = at[i];
        inputs.slots[i] = inputs.spans[3 * i] = inputs.spans[3 * i + 2] = slot;
        inputs.spans[3 * i + 1] = begin;
        inputs.source_spans[3 * i] = inputs.source_spans[3 * i + 1] = 0;
        inputs.source_spans[3 * i + 2] = session->n_source - 1;
    }
    for (int32_t i = 0; i < n_outputs; i++)
        inputs.rows[i] = n - n_outputs + i;
    const pm_run_params params = {
        .n_tokens = n, .n_outputs = n_outputs, .n_kv = n, .repeat_penalty = 1.0f, .top_p = 1.0f};
    return pm_session_run(session, plan, &inputs, &params, s->logits,
                          (size_t)n_outputs * (size_t)s->n_vocab * sizeof *s->logits, err);
}

/* The start in region 0, in passes of at most n_batch tokens. */
static pm_status run_start(search *s, pm_error *err)
{
    int32_t batch = s->session->options.n_batch;
    for (int32_t done = 0, n; done < s->n_start; done += n) {
        n = s->n_start - done < batch ? s->n_start - done : batch;
        int32_t *at = calloc((size_t)n, 2 * sizeof *at);
        if (!at)
            return pm_fail_memory(err, (size_t)n * 2 * sizeof *at, "a beam search");
        for (int32_t i = 0; i < n; i++)
            at[i] = done + i;
        pm_status status = run_rows(s, n, s->start + done, at, at + n, done + n == s->n_start, err);
        free(at);
        PM_TRY(status);
    }
    return PM_OK;
}

static pm_status run_live(search *s, pm_error *err)
{
    int32_t n = s->n_live;
    int32_t *rows = calloc((size_t)n, 3 * sizeof *rows);
    if (!rows)
        return pm_fail_memory(err, (size_t)n * 3 * sizeof *rows, "a beam search");
    for (int32_t i = 0; i < n; i++) {
        rows[i] = s->live[i].tokens[s->n_tokens - 1];
        rows[n + i] = s->n_start + s->n_tokens - 1;
        rows[2 * n + i] = s->live[i].region;
    }
    pm_status status = run_rows(s, n, rows, rows + n, rows + 2 * n, n, err);
    free(rows);
    return status;
}

/* Copies the first n_slots of one region to another. */
static pm_status copy_region(search *s, int32_t from, int32_t to, int32_t n_slots, pm_error *err)
{
    pm_session *session = s->session;
    int32_t most = pm_session_max_tokens(session), n_ctx = session->options.n_ctx;
    for (int32_t done = 0, n; done < n_slots; done += n) {
        n = n_slots - done < most ? n_slots - done : most;
        const pm_session_plan *plan;
        const pm_graph_shape wanted = {.pass = PM_PASS_COPY, .n_tokens = n, .n_outputs = 1};
        PM_TRY(pm_session_plan_get(session, &wanted, &plan, err));
        pm_pass_inputs inputs = pm_session_inputs(session);
        for (int32_t i = 0; i < n; i++) {
            inputs.positions[i] = from * n_ctx + done + i;
            inputs.slots[i] = to * n_ctx + done + i;
        }
        const pm_run_params params = {.n_tokens = n, .repeat_penalty = 1.0f, .top_p = 1.0f};
        PM_TRY(pm_session_run(session, plan, &inputs, &params, NULL, 0, err));
    }
    return PM_OK;
}

/* ---- Choosing ---- */

static bool is_one_of(int32_t token, const int32_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == token)
            return true;
    return false;
}

/* log of the sum of exp of a row, so that logit - this is log P. */
static double log_sum(const float *logits, int32_t n)
{
    double highest = -INFINITY, sum = 0;
    for (int32_t i = 0; i < n; i++)
        if ((double)logits[i] > highest)
            highest = (double)logits[i];
    for (int32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - highest);
    return highest + log(sum);
}

/* The list of the best, of at most 2 n_beams, with one more in its place. */
static void take_candidate(search *s, candidate c)
{
    int32_t most = 2 * s->options.n_beams, at = s->n_best;
    if (at == most && !(c.log_prob > s->best[at - 1].log_prob))
        return;
    if (at == most)
        at--;
    else
        s->n_best++;
    for (; at > 0 && c.log_prob > s->best[at - 1].log_prob; at--)
        s->best[at] = s->best[at - 1];
    s->best[at] = c;
}

static void find_best(search *s)
{
    s->n_best = 0;
    for (int32_t b = 0; b < s->n_live; b++) {
        const float *logits = s->logits + (size_t)b * (size_t)s->n_vocab;
        double base = s->live[b].log_prob - log_sum(logits, s->n_vocab);
        for (int32_t token = 0; token < s->n_vocab; token++) {
            double log_prob = (double)logits[token] + base;
            if (s->n_best == 2 * s->options.n_beams && !(log_prob > s->best[s->n_best - 1].log_prob))
                continue;
            if (!isnan(log_prob) && !is_one_of(token, s->options.banned, s->options.n_banned))
                take_candidate(s, (candidate){b, token, log_prob});
        }
    }
}

static double score_of(const search *s, double log_prob, int32_t n_tokens)
{
    return log_prob / pow(n_tokens, (double)s->options.length_penalty);
}

/* Puts a finished hypothesis among the best n_beams. */
static pm_status finish(search *s, const candidate *c, pm_error *err)
{
    int32_t n = s->n_tokens + 1, at = s->n_done;
    pm_hypothesis h = {.n = (size_t)n, .log_prob = c->log_prob, .score = score_of(s, c->log_prob, n)};
    if (s->n_done == s->options.n_beams && !(h.score > s->done[at - 1].score))
        return PM_OK;
    h.tokens = malloc((size_t)n * sizeof *h.tokens);
    if (!h.tokens)
        return pm_fail_memory(err, (size_t)n * sizeof *h.tokens, "a hypothesis");
    memcpy(h.tokens, s->live[c->parent].tokens, (size_t)s->n_tokens * sizeof *h.tokens);
    h.tokens[s->n_tokens] = c->token;
    for (; at > 0 && h.score > s->done[at - 1].score; at--)
        s->done[at] = s->done[at - 1];
    s->done[at] = h;
    if (s->n_done < s->options.n_beams)
        s->n_done++;
    else
        free(s->done[s->options.n_beams].tokens);
    return PM_OK;
}

/* Sorts the best continuations into finished hypotheses and those that live on; of the finished only those count
 * that are among the first n_beams. */
static pm_status sort_out(search *s, pm_error *err)
{
    int32_t n_next = 0, n_beams = s->options.n_beams;
    bool last = s->n_tokens + 1 == s->options.max_tokens, full = s->n_done == n_beams && s->options.early_stopping;
    for (int32_t rank = 0; rank < s->n_best; rank++) {
        const candidate *c = &s->best[rank];
        if (last || is_one_of(c->token, s->options.ends, s->options.n_ends)) {
            if (rank < n_beams && !full)
                PM_TRY(finish(s, c, err));
        } else if (n_next < n_beams) {
            beam *b = &s->next[n_next++];
            b->parent = c->parent;
            b->log_prob = c->log_prob;
            memcpy(b->tokens, s->live[c->parent].tokens, (size_t)s->n_tokens * sizeof *b->tokens);
            b->tokens[s->n_tokens] = c->token;
        }
    }
    s->n_best = n_next;
    return PM_OK;
}

/* Gives each of the next hypotheses a region that holds its past. */
static pm_status place(search *s, pm_error *err)
{
    int32_t n_slots = s->n_start + s->n_tokens, free_region = 0;
    for (int32_t i = 0; i < s->n_best; i++) {
        s->next[i].region = -1;
        for (int32_t k = 0; k < i && s->next[i].region == -1; k++)
            if (s->next[k].parent == s->next[i].parent)
                s->next[i].region = -2; /* not the first child */
        if (s->next[i].region == -1)
            s->next[i].region = s->live[s->next[i].parent].region;
    }
    for (int32_t i = 0; i < s->n_best; i++) {
        if (s->next[i].region != -2)
            continue;
        for (bool taken = true; taken; free_region += taken) {
            taken = false;
            for (int32_t k = 0; k < s->n_best; k++)
                taken = taken || s->next[k].region == free_region;
        }
        PM_TRY(copy_region(s, s->live[s->next[i].parent].region, free_region, n_slots, err));
        s->next[i].region = free_region;
    }
    beam *old = s->live;
    s->live = s->next;
    s->next = old;
    s->n_live = s->n_best;
    return PM_OK;
}

/* Whether a living hypothesis may still become better than the worst of the finished. */
static bool goes_on(const search *s)
{
    if (s->n_live == 0)
        return false;
    if (s->n_done < s->options.n_beams)
        return true;
    return !s->options.early_stopping &&
           score_of(s, s->live[0].log_prob, s->n_tokens) > s->done[s->n_done - 1].score;
}

static pm_status run_search(search *s, pm_error *err)
{
    PM_TRY(search_create(s, err));
    s->n_live = 1;
    do {
        PM_TRY(s->n_tokens == 0 ? run_start(s, err) : run_live(s, err));
        find_best(s);
        PM_TRY(sort_out(s, err));
        PM_TRY(place(s, err));
        s->n_tokens++;
    } while (goes_on(s));
    return PM_OK;
}

static pm_status check_options(const pm_session *session, size_t n_start, pm_beam_options *o, pm_error *err)
{
    int32_t most = pm_session_max_outputs(session);
    if (session->model->def->info.shape != PM_SHAPE_ENCODER_DECODER)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "beam search is for encoder-decoder models, which architecture '%s' is not",
                       session->model->def->info.architecture);
    if (session->n_source == 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "an encoder-decoder model needs a source before its first token");
    if (o->n_beams == 0)
        o->n_beams = session->options.n_beams;
    if (o->length_penalty == 0.0f)
        o->length_penalty = 1.0f;
    if (o->n_beams < 1 || o->n_beams > session->options.n_beams || o->n_beams > most ||
        o->n_beams > session->options.n_batch)
        return pm_fail(err, PM_ERR_ARGUMENT, "%d beams: the session has room for %d, and one pass for %d",
                       o->n_beams, session->options.n_beams,
                       most < session->options.n_batch ? most : session->options.n_batch);
    if (!isfinite(o->length_penalty) || o->max_tokens < 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "the length penalty must be a number, the most tokens not negative");
    if (n_start >= (size_t)session->options.n_ctx)
        return pm_fail(err, PM_ERR_LIMIT, "a context of %d tokens has no room behind %zu to start with",
                       session->options.n_ctx, n_start);
    int32_t room = session->options.n_ctx - (int32_t)n_start;
    if (o->max_tokens == 0 || o->max_tokens > room)
        o->max_tokens = room;
    return PM_OK;
}

pm_status pm_session_beam_search(pm_session *session, const int32_t *start, size_t n_start,
                                 const pm_beam_options *options, pm_hypothesis **out, size_t *n, pm_error *err)
{
    search s = {.session = session, .start = start, .n_vocab = session->model->def->info.n_vocab};
    *out = NULL;
    *n = 0;
    if (options)
        s.options = *options;
    PM_TRY(pm_session_check_ids(session, start, n_start, err));
    PM_TRY(check_options(session, n_start, &s.options, err));
    s.n_start = (int32_t)n_start;
    session->n_past = 0;
    pm_status status = run_search(&s, err);
    search_free(&s);
    if (status != PM_OK) {
        pm_hypotheses_free(s.done, (size_t)s.n_done);
        return status;
    }
    *out = s.done;
    *n = (size_t)s.n_done;
    return PM_OK;
}
