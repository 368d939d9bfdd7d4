/* Tokens a second: prompts, decoding at several depths, encoding. Prompts and decoding from an empty timeline are
 * measured in turn, round after round, so that a machine whose speed drifts does not favour one of them; a deeper
 * timeline is filled once and cut back after each repeat.
 *
 * Limits are what the measured ceilings allow: a token that is decoded costs reading every weight but the
 * embedding table, and the keys and values so far, once (bytes over bandwidth); a prompt costs two operations a
 * weight and token (operations over the best arithmetic). What would not fit the budget is left out and named. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_measure.h"
#include "pumice/encode.h"

enum {
    MAX_TESTS = 4 * BENCH_MAX_SIZES,
    WARM_TOKENS = 129 /* one more than the last bucket but one of a plan */,
    LEAST_DECODE = 8
};

typedef struct rate_test {
    char name[32];
    enum { TEST_PROMPT, TEST_DECODE, TEST_ENCODE } kind;
    int32_t n_tokens, depth, batch;
    double seconds[BENCH_MAX_REPEATS];
    int32_t n_samples;
    char why_not[96];
} rate_test;

typedef struct rate_tests {
    rate_test list[MAX_TESTS];
    size_t n;
    double token_s; /* what a token of a prompt, or of a sequence, took last */
    double decode_s;
} rate_tests;

static void make_name(rate_test *test)
{
    static const char *const prefixes[] = {"pp", "tg", "enc"};
    int used = snprintf(test->name, sizeof test->name, "%s%d", prefixes[test->kind], test->n_tokens);
    if (test->depth > 0)
        used += snprintf(test->name + used, sizeof test->name - (size_t)used, "@%d", test->depth);
    if (test->batch > 1)
        snprintf(test->name + used, sizeof test->name - (size_t)used, "x%d", test->batch);
}

static rate_test *add(rate_tests *tests, int kind, int32_t n_tokens, int32_t depth, int32_t batch)
{
    rate_test *test = &tests->list[tests->n < MAX_TESTS ? tests->n++ : MAX_TESTS - 1];
    *test = (rate_test){.kind = kind, .n_tokens = n_tokens, .depth = depth, .batch = batch};
    make_name(test);
    return test;
}

static void refuse_long(rate_test *test, int32_t n, int32_t most)
{
    if (n > most)
        snprintf(test->why_not, sizeof test->why_not, "the model takes %d tokens at most", most);
}

static void choose_tests(const bench_target *t, rate_tests *tests)
{
    const bench_settings *s = t->settings;
    const pm_model_info *info = pm_model_get_info(t->model);
    int is_decoder = info->shape == PM_SHAPE_DECODER_ONLY;
    for (size_t i = 0; i < s->prompts.n; i++)
        refuse_long(add(tests, is_decoder ? TEST_PROMPT : TEST_ENCODE, s->prompts.list[i], 0, 1),
                    s->prompts.list[i], info->n_ctx_train);
    for (size_t i = 0; info->shape == PM_SHAPE_ENCODER_ONLY && s->prompts.n > 0 && i < s->batches.n; i++)
        if (s->batches.list[i] > 1)
            add(tests, TEST_ENCODE, s->prompts.list[0], 0, s->batches.list[i]);
    if (info->shape == PM_SHAPE_ENCODER_ONLY || s->n_decode == 0)
        return;
    for (size_t i = 0; i < s->depths.n; i++)
        if (is_decoder || s->depths.list[i] == 0)
            refuse_long(add(tests, TEST_DECODE, s->n_decode, s->depths.list[i], 1),
                        s->depths.list[i] + s->n_decode, info->n_ctx_train);
    for (size_t i = 0; i < s->batches.n && is_decoder; i++)
        if (s->batches.list[i] > 1)
            refuse_long(add(tests, TEST_DECODE, s->n_decode, 0, s->batches.list[i]),
                        s->n_decode + BENCH_BATCH_PROMPT, info->n_ctx_train);
}

/* ---- Measuring ---- */

static int32_t source_of(const bench_target *t)
{
    int32_t n = t->settings->prompts.n > 0 ? t->settings->prompts.list[0] : 64;
    return n < t->n_tokens ? n : t->n_tokens;
}

/* The timeline as the test wants it, then the test itself, timed. */
static pm_status run_test(bench_target *t, rate_tests *tests, rate_test *test, pm_error *err)
{
    pm_status status = PM_OK;
    if (test->kind == TEST_DECODE && test->depth > 0)
        status = pm_session_truncate(t->session, test->depth, err);
    else if (test->kind != TEST_ENCODE)
        status = bench_rewind(t, source_of(t), err);
    if (status != PM_OK)
        return status;
    double begin = bench_now_s();
    if (test->kind == TEST_PROMPT)
        status = bench_pass_prompt(t, test->n_tokens, err);
    else if (test->kind == TEST_DECODE)
        status = bench_pass_decode(t, test->n_tokens, err);
    else
        status = bench_pass_encode(t, test->batch, test->n_tokens, err);
    double seconds = bench_now_s() - begin;
    if (status != PM_OK)
        return status;
    test->seconds[test->n_samples++] = seconds;
    if (test->kind == TEST_DECODE)
        tests->decode_s = seconds / test->n_tokens;
    else
        tests->token_s = seconds / test->n_tokens / test->batch;
    return PM_OK;
}

/* Tests that are not measured in turn with the others. */
static int is_apart(const rate_test *test)
{
    return test->kind == TEST_DECODE && (test->depth > 0 || test->batch > 1);
}

static double expected_s(const rate_tests *tests, const rate_test *test)
{
    if (test->n_samples > 0)
        return test->seconds[test->n_samples - 1];
    return test->kind == TEST_DECODE ? tests->decode_s * test->n_tokens
                                     : tests->token_s * test->n_tokens * test->batch;
}

/* Whether `seconds` more fit the budget: no test takes more than a quarter of it, so that all get their repeats,
 * and an eighth is left for the ops. */
static int fits(const bench_target *t, double seconds)
{
    double budget = t->settings->budget_s;
    return budget <= 0 || (seconds <= budget / 4 && bench_now_s() - t->begun_s + seconds <= 0.875 * budget);
}

/* Whether a test that takes so long fits the budget; one that has no sample yet says why it has none. */
static int fits_or_refuse(const bench_target *t, rate_test *test, double seconds)
{
    int good = fits(t, seconds);
    if (!good && test->n_samples == 0 && !test->why_not[0])
        snprintf(test->why_not, sizeof test->why_not, "it would take about %.0f s, too much of the budget",
                 seconds);
    return good;
}

/* Compiles what the tests need, and a driver that compiles late runs it. */
static pm_status warm_up(bench_target *t, rate_tests *tests, pm_error *err)
{
    pm_status status = PM_OK;
    int has_long = 0;
    bench_note(t->settings, "%s: warming up", t->name);
    for (size_t i = 0; i < tests->n && status == PM_OK; i++) {
        rate_test *test = &tests->list[i];
        rate_test once = *test;
        int is_long = test->n_tokens >= WARM_TOKENS && t->settings->prompts.n > 0;
        if (test->why_not[0] || is_apart(test) || (test->kind != TEST_DECODE && is_long && has_long))
            continue;
        once.n_tokens = test->kind == TEST_DECODE ? 1 : is_long ? WARM_TOKENS : test->n_tokens;
        has_long |= test->kind != TEST_DECODE && is_long;
        double fastest = 0; /* something else may have the machine for a moment */
        for (int run = 0; run < (test->kind == TEST_DECODE ? 4 : 1) && status == PM_OK; run++) {
            once.n_samples = 0;
            status = run_test(t, tests, &once, err);
            fastest = run == 0 || once.seconds[0] < fastest ? once.seconds[0] : fastest;
        }
        if (test->kind == TEST_DECODE)
            tests->decode_s = fastest;
    }
    return status;
}

/* A slow device decodes fewer tokens, as the test's name then says. */
static void shorten_decoding(const bench_target *t, rate_tests *tests)
{
    double budget = t->settings->budget_s;
    for (size_t i = 0; i < tests->n && budget > 0; i++) {
        rate_test *test = &tests->list[i];
        while (test->kind == TEST_DECODE && test->n_tokens > LEAST_DECODE &&
               tests->decode_s * test->n_tokens > budget / 8)
            test->n_tokens /= 2;
        make_name(test);
    }
}

static pm_status run_rounds(bench_target *t, rate_tests *tests, pm_error *err)
{
    pm_status status = PM_OK;
    for (int32_t round = 0; round < t->settings->n_repeats && status == PM_OK; round++)
        for (size_t i = 0; i < tests->n && status == PM_OK; i++) {
            rate_test *test = &tests->list[i];
            if (test->why_not[0] || is_apart(test))
                continue;
            /* The first prompt and the first decoding are measured whatever they take: there is a time limit. */
            double seconds = expected_s(tests, test);
            int is_first = test->n_samples == 0 && (i == 0 || test->kind == TEST_DECODE);
            if (!is_first && !fits_or_refuse(t, test, seconds))
                continue;
            bench_note(t->settings, "%s: %s, %d of %d", t->name, test->name, round + 1, t->settings->n_repeats);
            status = run_test(t, tests, test, err);
        }
    return status;
}

/* Depths in ascending order: each fills the timeline from where the one before ended. */
static pm_status run_depths(bench_target *t, rate_tests *tests, pm_error *err)
{
    pm_status status = PM_OK;
    int32_t filled = 0;
    for (size_t i = 0; i < tests->n && status == PM_OK; i++) {
        rate_test *test = &tests->list[i];
        if (test->why_not[0] || test->depth == 0 || test->batch > 1)
            continue;
        double fill_s = tests->token_s * (test->depth - filled), seconds = expected_s(tests, test);
        if (!fits_or_refuse(t, test, fill_s + seconds))
            continue;
        bench_note(t->settings, "%s: filling %d tokens", t->name, test->depth);
        status = filled > 0 ? pm_session_truncate(t->session, filled, err) : bench_rewind(t, source_of(t), err);
        if (status == PM_OK)
            status = bench_pass_prompt(t, test->depth, err);
        filled = test->depth;
        for (int32_t run = 0; run < t->settings->n_repeats && status == PM_OK; run++) {
            if (run > 0 && !fits(t, expected_s(tests, test)))
                break;
            bench_note(t->settings, "%s: %s, %d of %d", t->name, test->name, run + 1, t->settings->n_repeats);
            status = run_test(t, tests, test, err);
        }
    }
    return status;
}

/* Several sequences at once. At worst they take as long as one after the other. */
static pm_status run_batches(bench_target *t, rate_tests *tests, pm_error *err)
{
    pm_status status = PM_OK;
    for (size_t i = 0; i < tests->n && status == PM_OK; i++) {
        rate_test *test = &tests->list[i];
        if (test->kind != TEST_DECODE || test->batch == 1 || test->why_not[0])
            continue;
        double seconds = expected_s(tests, test);
        if (!fits_or_refuse(t, test, seconds))
            continue;
        bench_note(t->settings, "%s: %s", t->name, test->name);
        status = bench_batch(t, test->batch, test->n_tokens, t->settings->n_repeats, test->seconds, err);
        test->n_samples = status == PM_OK ? t->settings->n_repeats : 0;
    }
    return status;
}

/* ---- Limits ---- */

static double best_arithmetic(const pm_ceilings *c)
{
    double best = c->f32_flops_per_s;
    best = c->f16_flops_per_s > best ? c->f16_flops_per_s : best;
    best = c->i8_ops_per_s > best ? c->i8_ops_per_s : best;
    return c->matrix_flops_per_s > best ? c->matrix_flops_per_s : best;
}

/* Bytes and numbers of the weights that are multiplied with every token, and of the output matrix, with the tokens
 * whose logits are wanted. */
typedef struct weight_sums {
    double bytes, elems, output_bytes, output_elems;
} weight_sums;

static weight_sums sum_weights(const bench_target *t)
{
    const pm_gguf *file = pm_model_file(t->model);
    weight_sums sums = {0};
    for (size_t i = 0; i < pm_gguf_n_tensors(file); i++) {
        const pm_gguf_tensor *w = pm_gguf_tensor_at(file, i);
        if (w->n_dims < 2 || w->name.size < 4 || memcmp(w->name.data, "blk.", 4) != 0)
            continue;
        sums.bytes += (double)w->n_bytes;
        sums.elems += (double)w->dim[0] * (double)w->dim[1];
    }
    const pm_gguf_tensor *output = pm_gguf_find_tensor(file, "output.weight");
    output = output ? output : pm_gguf_find_tensor(file, "token_embd.weight");
    if (output && pm_model_get_info(t->model)->shape != PM_SHAPE_ENCODER_ONLY) {
        sums.output_bytes = (double)output->n_bytes;
        sums.output_elems = (double)output->dim[0] * (double)output->dim[1];
    }
    return sums;
}

/* Tokens a second; 0: unknown, as for an encoder-decoder, whose halves do different work. */
static double limit_of(const bench_target *t, const rate_test *test)
{
    const pm_model_info *info = pm_model_get_info(t->model);
    const pm_ceilings *c = &t->ceilings;
    weight_sums w = sum_weights(t);
    if (info->shape == PM_SHAPE_ENCODER_DECODER)
        return 0;
    if (test->kind == TEST_DECODE) {
        double slots = test->depth + test->n_tokens / 2.0;
        double cache =
            2.0 * 2.0 * info->n_layers * info->n_kv_heads * info->head_dim * slots; /* F16 keys, values */
        double by_memory = test->batch * c->read_bytes_per_s / (w.bytes + w.output_bytes + test->batch * cache);
        double by_arithmetic = best_arithmetic(c) / (2 * (w.elems + w.output_elems));
        return by_memory < by_arithmetic ? by_memory : by_arithmetic;
    }
    return best_arithmetic(c) / (2 * (w.elems + w.output_elems / test->n_tokens));
}

/* ---- Into the document ---- */

static json_t *test_json(const bench_target *t, rate_test *test)
{
    static const char *const kinds[] = {"prompt", "decode", "encode"};
    json_t *samples = json_array();
    double n = (double)test->n_tokens * test->batch;
    for (int32_t i = 0; i < test->n_samples; i++)
        json_array_append_new(samples, json_real(n / test->seconds[i]));
    double rate = n / bench_median(test->seconds, (size_t)test->n_samples), limit = limit_of(t, test);
    json_t *entry = json_pack("{s:s,s:s,s:i,s:i,s:i,s:f,s:o}", "name", test->name, "kind", kinds[test->kind],
                              "tokens", test->n_tokens, "depth", test->depth, "batch", test->batch, "tokens_per_s",
                              rate, "samples", samples);
    if (limit > 0) {
        json_object_set_new(entry, "limit_tokens_per_s", json_real(limit));
        json_object_set_new(entry, "share_of_limit", json_real(rate / limit));
    }
    return entry;
}

static void put_tests(const bench_target *t, rate_tests *tests, json_t *entry)
{
    json_t *rates = json_array(), *skipped = json_array();
    for (size_t i = 0; i < tests->n; i++) {
        rate_test copy = tests->list[i];
        if (copy.n_samples > 0)
            json_array_append_new(rates, test_json(t, &copy));
        else if (copy.why_not[0])
            json_array_append_new(skipped, json_pack("{s:s,s:s}", "name", copy.name, "why", copy.why_not));
    }
    json_object_set_new(entry, "rates", rates);
    json_object_set_new(entry, "skipped", skipped);
}

pm_status bench_rates(bench_target *t, bench_channel *channel, pm_error *err)
{
    rate_tests *tests = calloc(1, sizeof *tests);
    if (!tests)
        return PM_ERR_MEMORY;
    choose_tests(t, tests);
    pm_status status = warm_up(t, tests, err);
    shorten_decoding(t, tests);
    if (status == PM_OK)
        status = run_rounds(t, tests, err);
    put_tests(t, tests, channel->entry);
    bench_publish(channel);
    if (status == PM_OK)
        status = run_batches(t, tests, err);
    if (status == PM_OK)
        status = run_depths(t, tests, err);
    put_tests(t, tests, channel->entry);
    bench_publish(channel);
    free(tests);
    return status;
}
