/* Several sequences decoded together, a token of each in every pass. Their prompts are evaluated before the clock
 * runs; each begins differently, so that none shares another's cache. */
#include <stdlib.h>

#include "bench_measure.h"
#include "pumice/batch.h"

enum { PAGE = 32 };

typedef struct batch_run {
    pm_batch *batch;
    int64_t *ids;
    pm_batch_choice *chosen;
    int32_t n_sequences;
} batch_run;

static pm_status add_sequences(bench_target *t, batch_run *run, pm_error *err)
{
    pm_status status = PM_OK;
    for (int32_t i = 0; i < run->n_sequences && status == PM_OK; i++) {
        int32_t prompt[BENCH_BATCH_PROMPT];
        for (int32_t j = 0; j < BENCH_BATCH_PROMPT; j++)
            prompt[j] = t->tokens[(i + j) % t->n_tokens];
        prompt[0] = (prompt[0] + i) % pm_model_get_info(t->model)->n_vocab;
        status = pm_batch_add(run->batch, prompt, BENCH_BATCH_PROMPT, NULL, &run->ids[i], err);
    }
    return status;
}

/* Passes until one has chosen a token for every sequence; PM_ERR_LIMIT where they do not come together. */
static pm_status start_all(batch_run *run, pm_error *err)
{
    pm_status status = PM_OK;
    size_t n = 0;
    for (int32_t pass = 0; status == PM_OK && n < (size_t)run->n_sequences; pass++)
        status = pass < 2 * run->n_sequences ? pm_batch_step(run->batch, run->chosen, &n, err) : PM_ERR_LIMIT;
    return status;
}

static pm_status time_once(bench_target *t, batch_run *run, int32_t n_tokens, double *seconds, pm_error *err)
{
    pm_status status = add_sequences(t, run, err);
    if (status == PM_OK)
        status = start_all(run, err);
    double begin = bench_now_s();
    for (int32_t i = 0; i < n_tokens && status == PM_OK; i++) {
        size_t n;
        status = pm_batch_step(run->batch, run->chosen, &n, err);
    }
    *seconds = bench_now_s() - begin;
    for (int32_t i = 0; i < run->n_sequences && status == PM_OK; i++)
        status = pm_batch_end(run->batch, run->ids[i], err);
    return status;
}

pm_status bench_batch(bench_target *t, int32_t n_sequences, int32_t n_tokens, int32_t n_repeats, double *seconds,
                      pm_error *err)
{
    /* Room for passes that choose for some while the prompts of others come later; whole pages. */
    int32_t n_ctx = (BENCH_BATCH_PROMPT + n_tokens + 2 * n_sequences + PAGE - 1) / PAGE * PAGE;
    int32_t most = pm_model_get_info(t->model)->n_ctx_train;
    const pm_batch_options options = {.n_sequences = n_sequences,
                                      .kv_type = t->settings->kv_type,
                                      .n_ctx = n_ctx < most ? n_ctx : most,
                                      .n_cache = n_ctx * n_sequences,
                                      .page = PAGE,
                                      .should_stop = t->settings->should_stop,
                                      .stop_user = t->settings->user};
    batch_run run = {.n_sequences = n_sequences};
    run.ids = calloc((size_t)n_sequences, sizeof *run.ids);
    run.chosen = calloc((size_t)n_sequences, sizeof *run.chosen);
    pm_status status =
        run.ids && run.chosen ? pm_batch_create(t->model, &options, &run.batch, err) : PM_ERR_MEMORY;
    double warm;
    if (status == PM_OK)
        status = time_once(t, &run, 2, &warm, err);
    for (int32_t i = 0; i < n_repeats && status == PM_OK; i++)
        status = time_once(t, &run, n_tokens, &seconds[i], err);
    pm_batch_destroy(run.batch);
    free(run.ids);
    free(run.chosen);
    return status;
}
