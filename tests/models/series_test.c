/* Decode steps that a device makes by itself give the tokens that steps one by one give.
 *
 * Each model decodes until its context is full, step by step; then by series of several lengths, cut at times and
 * taken back, with each way of sampling. Then what ends a series: a full context, a wish to stop.
 *
 *     series_test --device NAME [--tier N] [--series] MODEL...      --series: the device must make several at once
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/encode.h"
#include "pumice/session.h"

#include "counted_check.h"

enum { N_CTX = 96, N_PROMPT = 7 };

static const pm_sampling samplings[] = {
    {0},
    {.temperature = 1.0f, .top_k = 40, .seed = 11},
    {.repeat_penalty = 1.5f},
    {.repeat_penalty = 2.0f, .repeat_window = 5},
    {.repeat_penalty = 1.4f, .repeat_window = 20, .temperature = 0.7f, .seed = 5},
};
enum { N_SAMPLINGS = sizeof samplings / sizeof *samplings };

static int must_make_several;

typedef struct timeline {
    int32_t tokens[N_CTX + 1]; /* the prompt, then what was decoded */
    int n_prompt;
} timeline;

static int n_polls, stop_at; /* 0: never */

static int should_stop(void *user)
{
    (void)user;
    return stop_at && ++n_polls >= stop_at;
}

/* A session with the prompt on its timeline, and what follows it. */
static pm_status begin(pm_model *model, const pm_sampling *sampling, int n_steps, timeline *t,
                       pm_session **session, pm_error *err)
{
    const pm_model_info *info = pm_model_get_info(model);
    const pm_session_options options = {
        .n_ctx = N_CTX, .kv_type = PM_KV_F32, .n_steps = n_steps, .should_stop = should_stop};
    pm_status status = pm_session_create(model, &options, session, err);
    int is_translator = info->shape == PM_SHAPE_ENCODER_DECODER;
    t->n_prompt = is_translator ? 1 : N_PROMPT;
    int32_t source[5];
    for (int i = 0; i < 5; i++)
        source[i] = (i * 37 + 11) % info->n_vocab;
    for (int i = 0; i < t->n_prompt; i++)
        t->tokens[i] = is_translator ? 0 : (i * 29 + 3) % info->n_vocab;
    if (status == PM_OK && is_translator)
        status = pm_session_set_source(*session, source, 5, NULL, err);
    if (status == PM_OK)
        status = pm_session_next(*session, t->tokens, (size_t)t->n_prompt, sampling, &t->tokens[t->n_prompt], err);
    return status;
}

static pm_status one_by_one(pm_model *model, const pm_sampling *sampling, timeline *t, pm_error *err)
{
    pm_session *session = NULL;
    pm_status status = begin(model, sampling, 1, t, &session, err);
    for (int at = t->n_prompt; at < N_CTX && status == PM_OK; at++)
        status = pm_session_next(session, &t->tokens[at], 1, sampling, &t->tokens[at + 1], err);
    pm_session_destroy(session);
    return status;
}

/* Decodes until the context is full; every third time only half of what came is taken. */
static pm_status by_series(pm_model *model, const pm_sampling *sampling, int n_steps, const timeline *expected,
                           pm_error *err)
{
    timeline t;
    pm_session *session = NULL;
    pm_status status = begin(model, sampling, n_steps, &t, &session, err);
    int at = t.n_prompt, longest = 0;
    for (int turn = 0; at < N_CTX && status == PM_OK; turn++) {
        int32_t next[PM_MOST_STEPS];
        size_t n = 0;
        status = pm_session_decode(session, t.tokens[at], sampling, PM_MOST_STEPS, next, &n, err);
        if (status != PM_OK)
            break;
        longest = (int)n > longest ? (int)n : longest;
        CHECK(n >= 1 && (int)n <= n_steps && pm_session_n_past(session) == at + (int)n,
              "%zu of %d steps, %d tokens", n, n_steps, pm_session_n_past(session));
        if (turn % 3 == 1 && n > 1) {
            n = (n + 1) / 2;
            status = pm_session_truncate(session, at + (int32_t)n, err);
        }
        memcpy(&t.tokens[at + 1], next, n * sizeof *next);
        at += (int)n;
        CHECK(memcmp(t.tokens, pm_session_tokens(session), (size_t)at * sizeof *t.tokens) == 0,
              "the timeline is another");
    }
    if (status == PM_OK) {
        int k = 0;
        while (k <= N_CTX && t.tokens[k] == expected->tokens[k])
            k++;
        CHECK(k > N_CTX, "steps by %d, sampling %d: token %d differs", n_steps, (int)(sampling - samplings), k);
        int window = sampling->repeat_penalty > 0 && sampling->repeat_window ? sampling->repeat_window : n_steps;
        CHECK(!must_make_several || longest == (n_steps < window ? n_steps : window), "series of %d for %d",
              longest, n_steps);
        int32_t next[PM_MOST_STEPS];
        size_t n;
        CHECK(pm_session_decode(session, 0, sampling, PM_MOST_STEPS, next, &n, NULL) == PM_ERR_LIMIT && n == 0,
              "a step beyond the context");
    }
    pm_session_destroy(session);
    return status;
}

/* A wish to stop ends a call with nothing done, and the same call later does it all. */
static pm_status stopped(pm_model *model, const timeline *expected, pm_error *err)
{
    timeline t;
    pm_session *session = NULL;
    int32_t next[PM_MOST_STEPS];
    size_t n;
    pm_status status = begin(model, &samplings[0], 8, &t, &session, err);
    if (status == PM_OK) {
        int32_t first = t.tokens[t.n_prompt];
        n_polls = 0;
        stop_at = 1;
        CHECK(pm_session_decode(session, first, NULL, PM_MOST_STEPS, next, &n, NULL) == PM_ERR_CANCELLED && n == 0 &&
                  pm_session_n_past(session) == t.n_prompt,
              "a wish to stop was not heard");
        stop_at = 0;
        CHECK(pm_session_decode(session, -1, NULL, PM_MOST_STEPS, next, &n, NULL) == PM_ERR_ARGUMENT,
              "a token of no vocabulary");
        CHECK(pm_session_decode(session, first, NULL, 0, next, &n, NULL) == PM_ERR_ARGUMENT, "no tokens wanted");
        status = pm_session_decode(session, first, NULL, 3, next, &n, err);
        CHECK(status != PM_OK ||
                  (n <= 3 && memcmp(next, &expected->tokens[t.n_prompt + 1], n * sizeof *next) == 0),
              "after a stop the tokens differ");
    }
    pm_session_destroy(session);
    return status;
}

static pm_status run_model(pm_device *device, const char *path, pm_error *err)
{
    static const int lengths[] = {1, 2, 7, 16};
    static timeline expected[N_SAMPLINGS];
    pm_model *model;
    pm_status status = pm_model_open(path, device, NULL, &model, err);
    if (status != PM_OK)
        return status;
    printf("%s\n", path);
    for (int s = 0; s < N_SAMPLINGS && status == PM_OK; s++) {
        status = one_by_one(model, &samplings[s], &expected[s], err);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths && status == PM_OK; i++)
            status = by_series(model, &samplings[s], lengths[i], &expected[s], err);
    }
    if (status == PM_OK)
        status = stopped(model, &expected[0], err);
    const pm_session_options odd = {.n_steps = 17};
    pm_session *session;
    CHECK(pm_session_create(model, &odd, &session, NULL) == PM_ERR_ARGUMENT && !session, "17 steps");
    pm_model_close(model);
    return status;
}

int main(int argc, char **argv)
{
    pm_device_options options = {0};
    pm_device *device = NULL;
    pm_error err = {0};
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++)
        if (strcmp(argv[at], "--series") == 0)
            must_make_several = 1;
        else if (strcmp(argv[at], "--device") == 0 && at + 1 < argc)
            options.name = argv[++at];
        else if (strcmp(argv[at], "--tier") == 0 && at + 1 < argc)
            options.tier = 1 + atoi(argv[++at]);
    pm_status status = pm_device_open(&options, &device, &err);
    for (; at < argc && status == PM_OK; at++)
        status = run_model(device, argv[at], &err);
    CHECK(status == PM_OK, "%s", err.message);
    pm_device_close(device);
    return checks_ended();
}
