/* Several timelines evaluated together: see pumice/batch.h.
 *
 * Sequences stand in one list in the order in which they came; the first n_running of them have pages. A pass is
 * planned (which tokens of which sequence), run, and only then counted: until then nothing of it is believed, and
 * slots behind n_done are never looked at. Inputs name sequences by their place in the pass, so that tables are as
 * small as the pass. */
#include "pumice/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "runtime/cache_pages.h"
#include "runtime/runtime.h"

enum { DEFAULT_SEQUENCES = 16, DEFAULT_PAGE = 32, DEFAULT_BATCH = 512 };

typedef struct sequence {
    int64_t id;
    int32_t *tokens; /* [n_ctx] */
    int32_t n_tokens, n_done;
    int32_t *pages; /* [pages_each] */
    int32_t n_pages, n_registered;
    uint64_t serial; /* of the last page that is registered */
    pm_sampling sampling;
} sequence;

/* A sequence's share of a pass. */
typedef struct pass_part {
    sequence *s;
    int32_t n_tokens;
    bool ends; /* its last token has an output */
} pass_part;

struct pm_batch {
    pm_session *session;
    pm_cache_pages *pages;
    int32_t n_ctx, n_batch;
    int64_t last_id;
    sequence **sequences; /* those that run, then those that wait */
    int32_t n_running, n_sequences, cap_sequences;
    pass_part *parts; /* [n_sequences of a pass] */
    int32_t n_parts;
    int32_t *tokens, *chosen;         /* of a pass: [n_batch], [n_sequences] */
    struct pm_row_sampling *settings; /* [n_sequences] */
    pm_batch_stats stats;             /* its counters; the rest is filled in when asked for */
};

/* ---- Sizes ---- */

/* Pages of the cache: those asked for, or as many as a quarter of the free memory takes. */
static pm_status choose_pages(pm_model *model, const pm_batch_options *o, const pm_session_options *session,
                              pm_paging *paging, pm_error *err)
{
    int64_t n = o->n_cache ? ((int64_t)o->n_cache + paging->page - 1) / paging->page
                           : (int64_t)paging->n_sequences * paging->pages_each;
    if (n > INT32_MAX / paging->page)
        return pm_fail(err, PM_ERR_LIMIT, "a KV cache of %lld tokens is too large", (long long)n * paging->page);
    paging->n_pages = (int32_t)n;
    if (o->n_cache)
        return PM_OK;
    uint64_t bytes, most = model->device->info.memory_free / 4;
    PM_TRY(pm_session_cache_bytes(model, session, paging, &bytes, err));
    if (most && bytes > most)
        n = (int64_t)((double)n * (double)most / (double)bytes);
    paging->n_pages = (int32_t)(n < paging->pages_each ? paging->pages_each : n);
    return PM_OK;
}

static pm_status choose_sizes(pm_model *model, const pm_batch_options *o, pm_session_options *session,
                              pm_paging *paging, pm_error *err)
{
    if (model->def->info.shape != PM_SHAPE_DECODER_ONLY)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "batches are for decoder-only models, which architecture '%s' is not",
                       model->def->info.architecture);
    if (o->n_sequences < 0 || o->n_ctx < 0 || o->n_cache < 0 || o->page < 0 || o->n_batch < 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "the sizes of a batch cannot be negative");
    *session = (pm_session_options){.n_ctx = o->n_ctx ? o->n_ctx : pm_session_default_ctx(model),
                                    .n_batch = o->n_batch ? o->n_batch : DEFAULT_BATCH,
                                    .kv_type = o->kv_type,
                                    .check = o->check,
                                    .trace = o->trace,
                                    .should_stop = o->should_stop,
                                    .stop_user = o->stop_user};
    *paging = (pm_paging){.page = o->page ? o->page : DEFAULT_PAGE,
                          .n_sequences = o->n_sequences ? o->n_sequences : DEFAULT_SEQUENCES};
    if (o->n_cache && o->n_cache < session->n_ctx)
        return pm_fail(err, PM_ERR_ARGUMENT, "a KV cache of %d tokens is shorter than one sequence of %d",
                       o->n_cache, session->n_ctx);
    if (paging->n_sequences > session->n_batch)
        return pm_fail(err, PM_ERR_ARGUMENT, "%d sequences do not fit passes of %d tokens", paging->n_sequences,
                       session->n_batch);
    paging->pages_each = (int32_t)(((int64_t)session->n_ctx + paging->page - 1) / paging->page);
    return choose_pages(model, o, session, paging, err);
}

pm_status pm_batch_create(pm_model *model, const pm_batch_options *options, pm_batch **out, pm_error *err)
{
    static const pm_batch_options defaults;
    pm_session_options session;
    pm_paging paging;
    *out = NULL;
    PM_TRY(choose_sizes(model, options ? options : &defaults, &session, &paging, err));
    pm_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return pm_fail_memory(err, sizeof *batch, "a batch");
    pm_status status = pm_session_create_paged(model, &session, &paging, &batch->session, err);
    if (status == PM_OK && paging.n_sequences > pm_session_max_outputs(batch->session))
        status = pm_fail(err, PM_ERR_ARGUMENT, "%d sequences are too many: one pass has room for the logits of %d",
                         paging.n_sequences, pm_session_max_outputs(batch->session));
    if (status == PM_OK)
        status = pm_cache_pages_create(paging.n_pages, paging.page, &batch->pages, err);
    size_t n = (size_t)paging.n_sequences;
    if (status == PM_OK) {
        batch->n_ctx = session.n_ctx;
        batch->n_batch = session.n_batch;
        batch->parts = calloc(n, sizeof *batch->parts);
        batch->tokens = calloc((size_t)session.n_batch, sizeof *batch->tokens);
        batch->chosen = calloc(n, sizeof *batch->chosen);
        batch->settings = calloc(n, sizeof *batch->settings);
        if (!batch->parts || !batch->tokens || !batch->chosen || !batch->settings)
            status = pm_fail_memory(err, n * sizeof *batch->parts, "a batch");
    }
    if (status != PM_OK) {
        pm_batch_destroy(batch);
        return status;
    }
    *out = batch;
    return PM_OK;
}

/* ---- Sequences ---- */

static void sequence_free(sequence *s)
{
    if (!s)
        return;
    free(s->tokens);
    free(s->pages);
    free(s);
}

void pm_batch_destroy(pm_batch *batch)
{
    if (!batch)
        return;
    for (int32_t i = 0; i < batch->n_sequences; i++)
        sequence_free(batch->sequences[i]);
    free(batch->sequences);
    free(batch->parts);
    free(batch->tokens);
    free(batch->chosen);
    free(batch->settings);
    pm_cache_pages_destroy(batch->pages);
    pm_session_destroy(batch->session);
    free(batch);
}

static pm_status append(pm_batch *batch, sequence *s, pm_error *err)
{
    if (batch->n_sequences == batch->cap_sequences) {
        int32_t cap = batch->cap_sequences ? 2 * batch->cap_sequences : 16;
        sequence **grown = realloc(batch->sequences, (size_t)cap * sizeof *grown);
        if (!grown)
            return pm_fail_memory(err, (size_t)cap * sizeof *grown, "the sequences of a batch");
        batch->sequences = grown;
        batch->cap_sequences = cap;
    }
    batch->sequences[batch->n_sequences++] = s;
    return PM_OK;
}

pm_status pm_batch_add(pm_batch *batch, const int32_t *tokens, size_t n, const pm_sampling *sampling, int64_t *id,
                       pm_error *err)
{
    static const pm_sampling greedy;
    sampling = sampling ? sampling : &greedy;
    PM_TRY(pm_sampling_check(sampling, err));
    PM_TRY(pm_session_check_ids(batch->session, tokens, n, err));
    if (n > (size_t)batch->n_ctx)
        return pm_fail(err, PM_ERR_LIMIT, "a sequence of %zu tokens is longer than the context of %d", n,
                       batch->n_ctx);
    sequence *s = calloc(1, sizeof *s);
    if (!s)
        return pm_fail_memory(err, sizeof *s, "a sequence");
    s->tokens = calloc((size_t)batch->n_ctx, sizeof *s->tokens);
    s->pages = calloc((size_t)batch->session->paging.pages_each, sizeof *s->pages);
    pm_status status = s->tokens && s->pages
                           ? append(batch, s, err)
                           : pm_fail_memory(err, (size_t)batch->n_ctx * sizeof *s->tokens, "a sequence");
    if (status != PM_OK) {
        sequence_free(s);
        return status;
    }
    memcpy(s->tokens, tokens, n * sizeof *tokens);
    s->n_tokens = (int32_t)n;
    s->sampling = *sampling;
    *id = s->id = ++batch->last_id;
    return PM_OK;
}

/* Gives all pages back; what they hold stays findable. The last first, so that when room is needed the ends of
 * sequences go before the beginnings, which others are likelier to share. */
static void give_pages(pm_batch *batch, sequence *s)
{
    while (s->n_pages > 0)
        pm_cache_pages_give(batch->pages, s->pages[--s->n_pages]);
    s->n_done = s->n_registered = 0;
    s->serial = 0;
}

static void remove_at(pm_batch *batch, int32_t index)
{
    give_pages(batch, batch->sequences[index]);
    sequence_free(batch->sequences[index]);
    batch->n_sequences--;
    batch->n_running -= index < batch->n_running;
    memmove(batch->sequences + index, batch->sequences + index + 1,
            (size_t)(batch->n_sequences - index) * sizeof *batch->sequences);
}

pm_status pm_batch_end(pm_batch *batch, int64_t id, pm_error *err)
{
    for (int32_t i = 0; i < batch->n_sequences; i++)
        if (batch->sequences[i]->id == id) {
            remove_at(batch, i);
            return PM_OK;
        }
    return pm_fail(err, PM_ERR_NOT_FOUND, "the batch has no sequence %lld", (long long)id);
}

/* ---- Pages ---- */

/* Takes over the pages that another sequence filled with the same tokens. The last token is always evaluated: its
 * logits are wanted. */
static void reuse_pages(pm_batch *batch, sequence *s)
{
    int32_t page = batch->session->paging.page;
    while ((s->n_pages + 1) * page < s->n_tokens) {
        int32_t number = pm_cache_pages_find(batch->pages, s->tokens + s->n_pages * page, &s->serial);
        if (number < 0)
            break;
        s->pages[s->n_pages++] = number;
    }
    s->n_registered = s->n_pages;
    s->n_done = s->n_pages * page;
    batch->stats.n_reused += s->n_done;
}

/* Makes what the sequence has filled findable. */
static void register_pages(pm_batch *batch, sequence *s)
{
    int32_t page = batch->session->paging.page;
    for (; (s->n_registered + 1) * page <= s->n_done; s->n_registered++)
        pm_cache_pages_register(batch->pages, s->pages[s->n_registered], s->tokens + s->n_registered * page,
                                &s->serial);
}

static int32_t pages_for(const pm_batch *batch, int32_t n_tokens)
{
    return (n_tokens + batch->session->paging.page - 1) / batch->session->paging.page;
}

/* The last sequence that runs waits again, as the first of those that wait. */
static void put_off_last(pm_batch *batch)
{
    give_pages(batch, batch->sequences[--batch->n_running]);
    batch->stats.n_put_off++;
}

/* Pages for the first n_tokens of running sequence `index`; where there are none left, the sequences behind it
 * give theirs, and at last itself. Returns whether it has them: one that runs alone always gets them. */
static bool take_pages(pm_batch *batch, int32_t index, int32_t n_tokens)
{
    sequence *s = batch->sequences[index];
    while (s->n_pages < pages_for(batch, n_tokens)) {
        int32_t number = pm_cache_pages_take(batch->pages);
        if (number >= 0) {
            s->pages[s->n_pages++] = number;
            continue;
        }
        put_off_last(batch);
        if (batch->n_running <= index)
            return false;
    }
    return true;
}

/* Those that wait and fit begin to run, in their order. One page each is left for those that run already to grow.
 */
static void admit(pm_batch *batch)
{
    while (batch->n_running < batch->n_sequences && batch->n_running < batch->session->paging.n_sequences) {
        sequence *s = batch->sequences[batch->n_running];
        reuse_pages(batch, s);
        int32_t wanted = pages_for(batch, s->n_tokens) - s->n_pages + batch->n_running;
        if (batch->n_running > 0 && wanted > pm_cache_pages_n_free(batch->pages)) {
            batch->stats.n_reused -= s->n_done;
            give_pages(batch, s);
            return;
        }
        batch->n_running++;
    }
}

/* ---- A pass ---- */

static void plan_part(pm_batch *batch, int32_t index, int32_t *left)
{
    sequence *s = batch->sequences[index];
    int32_t n = s->n_tokens - s->n_done < *left ? s->n_tokens - s->n_done : *left;
    if (n == 0 || !take_pages(batch, index, s->n_done + n))
        return;
    batch->parts[batch->n_parts++] = (pass_part){s, n, s->n_done + n == s->n_tokens};
    *left -= n;
}

/* One token of each sequence that is being decoded; then prompts, as much of them as fits. Sequences that are put
 * off on the way are behind those that are planned, so that no part of the plan loses its pages: hence decoding
 * ones and prompts in one walk, with a token kept for each that is still to come. */
static void plan_pass(pm_batch *batch)
{
    int32_t left = batch->n_batch;
    batch->n_parts = 0;
    for (int32_t i = 0; i < batch->n_running; i++) {
        int32_t kept = 0;
        for (int32_t k = i + 1; k < batch->n_running; k++)
            kept += batch->sequences[k]->n_tokens - batch->sequences[k]->n_done == 1;
        int32_t room = left - kept, before = room;
        plan_part(batch, i, &room);
        left -= before - room;
    }
}

static void fill_inputs(pm_batch *batch, pm_pass_inputs *inputs, int32_t *n_tokens, int32_t *n_outputs)
{
    int32_t page = batch->session->paging.page, row = 0, n_out = 0;
    inputs->tokens = batch->tokens;
    for (int32_t i = 0; i < batch->n_parts; i++) {
        const pass_part *part = &batch->parts[i];
        const sequence *s = part->s;
        for (int32_t k = 0; k < part->n_tokens; k++, row++) {
            int32_t at = s->n_done + k;
            batch->tokens[row] = s->tokens[at];
            inputs->positions[row] = inputs->places[2 * row] = at;
            inputs->places[2 * row + 1] = i;
            inputs->slots[row] = s->pages[at / page] * page + at % page;
        }
        if (part->ends) {
            inputs->rows[n_out] = row - 1;
            batch->settings[n_out++] = pm_sampling_settings(&s->sampling, s->n_tokens);
        }
    }
    *n_tokens = row;
    *n_outputs = n_out;
}

/* The tables of a pass: the pages of each part, and what its draw depends on. */
static pm_status write_tables(pm_batch *batch, const pm_session_plan *plan, int32_t n_outputs, pm_error *err)
{
    pm_device *device = batch->session->model->device;
    const pm_backend *backend = device->backend;
    size_t row_bytes = (size_t)batch->session->paging.pages_each * sizeof(int32_t);
    for (int32_t i = 0; i < batch->n_parts; i++) {
        const sequence *s = batch->parts[i].s;
        PM_TRY(backend->tensor_write(device, plan->program, plan->io.pages, (size_t)i * row_bytes, s->pages,
                                     (size_t)s->n_pages * sizeof *s->pages, err));
    }
    if (n_outputs == 0)
        return PM_OK;
    PM_TRY(backend->tensor_write(device, plan->program, plan->io.settings, 0, batch->settings,
                                 (size_t)n_outputs * sizeof *batch->settings, err));
    size_t history_bytes = (size_t)plan->shape.n_history * sizeof(int32_t);
    for (int32_t i = 0, row = 0; i < batch->n_parts; i++) {
        const sequence *s = batch->parts[i].s;
        if (!batch->parts[i].ends)
            continue;
        int32_t n = batch->settings[row].n_history;
        if (n > 0)
            PM_TRY(backend->tensor_write(device, plan->program, plan->io.history, (size_t)row * history_bytes,
                                         s->tokens + s->n_tokens - n, (size_t)n * sizeof *s->tokens, err));
        row++;
    }
    return PM_OK;
}

static pm_status run_pass(pm_batch *batch, int32_t *n_tokens, pm_error *err)
{
    pm_session *session = batch->session;
    pm_pass_inputs inputs = pm_session_inputs(session);
    const pm_session_plan *plan;
    int32_t n_outputs;
    fill_inputs(batch, &inputs, n_tokens, &n_outputs);
    const pm_graph_shape wanted = {
        .pass = PM_PASS_DECODE, .n_tokens = *n_tokens, .n_outputs = n_outputs, .sample = true};
    PM_TRY(pm_session_plan_get(session, &wanted, &plan, err));
    PM_TRY(write_tables(batch, plan, n_outputs, err));
    const pm_run_params params = {.n_tokens = *n_tokens,
                                  .n_outputs = n_outputs,
                                  .n_kv = batch->n_ctx,
                                  .repeat_penalty = 1.0f,
                                  .top_p = 1.0f};
    return pm_session_run(session, plan, &inputs, &params, batch->chosen,
                          (size_t)n_outputs * sizeof *batch->chosen, err);
}

/* Puts the tokens that were chosen on their timelines; sequences that are full end. */
static void count_pass(pm_batch *batch, pm_batch_choice *chosen, size_t *n)
{
    for (int32_t i = 0; i < batch->n_parts; i++) {
        sequence *s = batch->parts[i].s;
        s->n_done += batch->parts[i].n_tokens;
        register_pages(batch, s);
        if (!batch->parts[i].ends)
            continue;
        int32_t token = batch->chosen[*n];
        chosen[(*n)++] = (pm_batch_choice){s->id, token, s->n_tokens + 1 >= batch->n_ctx};
        if (s->n_tokens < batch->n_ctx)
            s->tokens[s->n_tokens++] = token;
    }
    for (size_t i = 0; i < *n; i++)
        if (chosen[i].full)
            pm_batch_end(batch, chosen[i].id, NULL);
}

pm_status pm_batch_step(pm_batch *batch, pm_batch_choice *chosen, size_t *n, pm_error *err)
{
    unsigned long long start = pm_trace_now_ns();
    int32_t n_tokens;
    *n = 0;
    if (batch->n_sequences == 0)
        return PM_OK;
    admit(batch);
    plan_pass(batch);
    PM_TRY(run_pass(batch, &n_tokens, err));
    batch->stats.n_passes++;
    batch->stats.n_evaluated += n_tokens;
    count_pass(batch, chosen, n);
    pm_trace_span(batch->session->options.trace, "host", "pass", "batch", start, pm_trace_now_ns());
    return PM_OK;
}

int pm_batch_has_work(const pm_batch *batch)
{
    return batch->n_sequences > 0;
}

void pm_batch_get_stats(const pm_batch *batch, pm_batch_stats *stats)
{
    const pm_paging *paging = &batch->session->paging;
    *stats = batch->stats;
    stats->n_sequences = paging->n_sequences;
    stats->n_ctx = batch->n_ctx;
    stats->page = paging->page;
    stats->n_pages = paging->n_pages;
    stats->n_pages_used = paging->n_pages - pm_cache_pages_n_free(batch->pages);
    stats->n_pages_kept = pm_cache_pages_n_kept(batch->pages);
    stats->n_running = batch->n_running;
    stats->n_waiting = batch->n_sequences - batch->n_running;
}

uint64_t pm_batch_device_bytes(const pm_batch *batch)
{
    return pm_session_device_bytes(batch->session);
}
