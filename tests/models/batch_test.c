/* Batches: sequences of many lengths and settings, evaluated together, get the tokens that each gets alone.
 *
 * For each model: a dozen sequences, some of which begin alike, go through batches of several shapes: with room
 * for all; with pages of odd sizes and so little room that sequences have to give theirs back; one pass's worth of
 * tokens at a time. Each must get what a session of its own chooses. Then what is counted is looked at: pages,
 * tokens found in the cache.
 *
 *     batch_test --device NAME [--tier N] MODEL... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/batch.h"

#include "counted_check.h"

enum { N_SEQUENCES = 12, N_CTX = 128, N_MOST = 40 };

typedef struct example {
    int32_t prompt[N_CTX], chosen[N_CTX];
    int n_prompt, n_wanted, n_chosen, is_done;
    int64_t id;
    pm_sampling sampling;
} example;

/* Prompts of 1 to 100 tokens; of every three, two begin with the same 70. */
static void make_examples(example *list, int32_t n_vocab)
{
    uint32_t random = 12345;
    memset(list, 0, N_SEQUENCES * sizeof *list);
    for (int i = 0; i < N_SEQUENCES; i++) {
        example *e = &list[i];
        e->n_prompt = i % 3 < 2 ? 72 + i : 1 + i * i / 2;
        for (int k = 0; k < e->n_prompt; k++) {
            random = random * 1664525u + 1013904223u;
            uint32_t r = i % 3 < 2 && k < 70 ? (uint32_t)(k * k + 3 * k) * 2654435761u >> 8 : random >> 8;
            e->prompt[k] = (int32_t)(r % (uint32_t)n_vocab);
        }
        e->n_wanted = 5 + i * 3;
        if (i % 4 == 1)
            e->sampling =
                (pm_sampling){.temperature = 0.8f, .top_k = 20, .top_p = 0.9f, .seed = (uint64_t)i << 33 | 7};
        if (i % 4 == 3)
            e->sampling =
                (pm_sampling){.repeat_penalty = 1.3f, .repeat_window = 10 + i, .temperature = i > 6 ? 1 : 0};
        if (i == 2)
            e->n_wanted = N_CTX - e->n_prompt; /* until the context is full */
    }
}

static pm_status run_alone(pm_model *model, example *e, pm_error *err)
{
    pm_session *session;
    int32_t next = 0;
    pm_status status = pm_session_create(model, &(pm_session_options){.n_ctx = N_CTX, .kv_type = PM_KV_F32}, &session, err);
    for (int i = 0; i < e->n_wanted && status == PM_OK; i++) {
        status =
            pm_session_next(session, i ? &next : e->prompt, i ? 1 : (size_t)e->n_prompt, &e->sampling, &next, err);
        e->chosen[i] = next;
    }
    pm_session_destroy(session);
    return status;
}

static example *find(example *list, int64_t id)
{
    for (int i = 0; i < N_SEQUENCES; i++)
        if (list[i].id == id)
            return &list[i];
    return NULL;
}

static void take(pm_batch *batch, example *list, const pm_batch_choice *choice, const char *name)
{
    example *e = find(list, choice->id);
    CHECK(e && !e->is_done, "%s: a token for sequence %lld, which is none or over", name, (long long)choice->id);
    if (!e || e->is_done)
        return;
    int at = e->n_chosen++, full = e->n_prompt + e->n_chosen >= N_CTX;
    CHECK(choice->token == e->chosen[at], "%s: sequence %lld, token %d is %d instead of %d", name,
          (long long)choice->id, at, choice->token, e->chosen[at]);
    CHECK(choice->full == full, "%s: sequence %lld is %sfull after %d tokens", name, (long long)choice->id,
          full ? "not " : "", e->n_chosen);
    e->is_done = e->n_chosen == e->n_wanted;
    if (e->is_done && !choice->full)
        CHECK(pm_batch_end(batch, choice->id, NULL) == PM_OK, "%s: a sequence that cannot be ended", name);
}

/* Half of the sequences at once, the others a few passes later each. */
static pm_status run_together(pm_model *model, example *list, const char *name, const pm_batch_options *options,
                              pm_batch_stats *stats, pm_error *err)
{
    pm_batch *batch;
    pm_batch_choice *chosen = calloc(64, sizeof *chosen);
    int added = 0;
    pm_status status = pm_batch_create(model, options, &batch, err);
    for (int i = 0; i < N_SEQUENCES; i++)
        list[i].n_chosen = list[i].is_done = 0;
    for (int pass = 0; status == PM_OK && (added < N_SEQUENCES || pm_batch_has_work(batch)); pass++) {
        for (; status == PM_OK && added < N_SEQUENCES && (added < N_SEQUENCES / 2 || pass >= 3 * added); added++)
            status = pm_batch_add(batch, list[added].prompt, (size_t)list[added].n_prompt, &list[added].sampling,
                                  &list[added].id, err);
        size_t n = 0;
        if (status == PM_OK)
            status = pm_batch_step(batch, chosen, &n, err);
        for (size_t i = 0; i < n; i++)
            take(batch, list, &chosen[i], name);
        if (status == PM_OK && pass > 5000) {
            CHECK(0, "%s: no end", name);
            break;
        }
    }
    for (int i = 0; i < N_SEQUENCES && status == PM_OK; i++)
        CHECK(list[i].is_done, "%s: sequence %d got %d of %d tokens", name, i, list[i].n_chosen, list[i].n_wanted);
    if (status == PM_OK) {
        pm_batch_get_stats(batch, stats);
        printf("  %s: %lld passes, %lld tokens evaluated, %lld found in the cache, %lld times put off\n", name,
               (long long)stats->n_passes, (long long)stats->n_evaluated, (long long)stats->n_reused,
               (long long)stats->n_put_off);
        CHECK(stats->n_pages_used == 0 && stats->n_running == 0 && stats->n_waiting == 0,
              "%s: pages are left in use", name);
    }
    pm_batch_destroy(batch);
    free(chosen);
    return status;
}

static pm_status check_errors(pm_model *model, pm_error *err)
{
    pm_batch *batch;
    pm_batch_choice chosen[4];
    int64_t id;
    size_t n;
    const int32_t n_vocab = pm_model_get_info(model)->n_vocab, tokens[3] = {0, 1, n_vocab};
    CHECK(pm_batch_create(model, &(pm_batch_options){.n_ctx = 100, .n_cache = 50}, &batch, NULL) ==
              PM_ERR_ARGUMENT,
          "a cache smaller than a sequence");
    CHECK(pm_batch_create(model, &(pm_batch_options){.n_sequences = -1}, &batch, NULL) == PM_ERR_ARGUMENT,
          "negative sizes");
    CHECK(pm_batch_create(model, &(pm_batch_options){.n_sequences = 40, .n_batch = 30}, &batch, NULL) ==
              PM_ERR_ARGUMENT,
          "more sequences than tokens in a pass");
    pm_status status =
        pm_batch_create(model, &(pm_batch_options){.n_ctx = 3, .n_sequences = 4, .page = 2}, &batch, err);
    if (status != PM_OK)
        return status;
    CHECK(pm_batch_step(batch, chosen, &n, NULL) == PM_OK && n == 0, "a pass of nothing");
    CHECK(pm_batch_add(batch, tokens, 3, NULL, &id, NULL) == PM_ERR_ARGUMENT, "a token outside the vocabulary");
    CHECK(pm_batch_add(batch, tokens, 0, NULL, &id, NULL) == PM_ERR_ARGUMENT, "no tokens");
    CHECK(pm_batch_add(batch, (const int32_t[4]){0}, 4, NULL, &id, NULL) == PM_ERR_LIMIT,
          "a prompt beyond the context");
    CHECK(pm_batch_add(batch, tokens, 1, &(pm_sampling){.temperature = -1}, &id, NULL) == PM_ERR_ARGUMENT,
          "bad sampling");
    CHECK(pm_batch_end(batch, 77, NULL) == PM_ERR_NOT_FOUND, "the end of a sequence that is none");
    CHECK(pm_batch_add(batch, (const int32_t[3]){0}, 3, NULL, &id, NULL) == PM_OK,
          "a prompt that fills the context");
    CHECK(pm_batch_step(batch, chosen, &n, NULL) == PM_OK && n == 1 && chosen[0].full && !pm_batch_has_work(batch),
          "one token behind a full context, and the end");
    pm_batch_destroy(batch);
    return PM_OK;
}

static pm_status run_model(pm_device *device, const char *path, pm_error *err)
{
    static example list[N_SEQUENCES];
    pm_model *model;
    pm_batch_stats stats;
    pm_status status = pm_model_open(path, device, NULL, &model, err);
    if (status != PM_OK)
        return status;
    printf("%s\n", path);
    make_examples(list, pm_model_get_info(model)->n_vocab);
    for (int i = 0; i < N_SEQUENCES && status == PM_OK; i++)
        status = run_alone(model, &list[i], err);
    pm_batch_options options = {.n_ctx = N_CTX, .kv_type = PM_KV_F32, .n_cache = N_SEQUENCES * N_CTX, .n_batch = 128};
    if (status == PM_OK) {
        status = run_together(model, list, "room for all", &options, &stats, err);
        /* Of 70 tokens that begin alike two pages of 32 are shared by those that come later than the first. */
        CHECK(stats.n_reused >= 2 * 64 && stats.n_put_off == 0, "nothing was found in the cache");
    }
    options = (pm_batch_options){
        .n_ctx = N_CTX, .kv_type = PM_KV_F32, .n_cache = N_CTX + 50, .n_sequences = 5, .page = 3, .n_batch = 20};
    if (status == PM_OK) {
        status = run_together(model, list, "little room", &options, &stats, err);
        CHECK(stats.n_put_off > 0, "there was room enough");
    }
    options = (pm_batch_options){
        .n_ctx = N_CTX, .kv_type = PM_KV_F32, .n_cache = N_CTX, .n_sequences = 1, .page = 1, .n_batch = 1};
    if (status == PM_OK)
        status = run_together(model, list, "one by one", &options, &stats, err);
    if (status == PM_OK)
        status = check_errors(model, err);
    pm_model_close(model);
    return status;
}

int main(int argc, char **argv)
{
    pm_device_options options = {0};
    pm_device *device = NULL;
    pm_error err = {0};
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2)
        if (strcmp(argv[at], "--device") == 0)
            options.name = argv[at + 1];
        else if (strcmp(argv[at], "--tier") == 0)
            options.tier = 1 + atoi(argv[at + 1]);
    pm_status status = pm_device_open(&options, &device, &err);
    for (; at < argc && status == PM_OK; at++)
        status = run_model(device, argv[at], &err);
    CHECK(status == PM_OK, "%s", err.message);
    pm_device_close(device);
    return checks_ended();
}
