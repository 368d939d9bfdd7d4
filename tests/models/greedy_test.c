/* Greedy text of a real model against an outside implementation's, token by token, on one device.
 *
 * The golden file (tests/data/smollm2/greedy.json) has, for each prompt, the tokens that the other implementation
 * chose and at each step its two most probable tokens with their log-probabilities. The device is fed the golden
 * tokens, so that one flipped near-tie does not hide what follows; at every step its most probable token must be
 * the golden one. Where the golden log-probabilities of the first two are within --near-tie of each other, it may
 * also be the golden runner-up, or a third token (the golden file does not say how probable) whose log-probability
 * here is within --near-tie of the golden one's; that is shown and counted. The golden text comes from fp32
 * arithmetic, so a device that computes in fp32 needs next to nothing (0.02, the default); one that rounds
 * activations to 8 bits moves log-probabilities of this small model by some tenths (the other implementation's own
 * 8-bit path flips ties of up to 0.22 against its fp32 path on the same prompts) and is given 0.4.
 *
 * --out writes a list for each prompt: at each step the most probable token, its log-probability, those of the
 * golden token and of its runner-up here. That is for greedy_peer.py, which judges by itself.
 *
 *     greedy_test --device NAME [--tier N] [--threads N] [--steps N] [--near-tie X] [--kv-f32] [--out FILE]
 *                 MODEL.gguf GOLDEN.json */
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/session.h"

static double near_tie = 0.02;
static int n_passed, n_failed, n_flipped;
static bool kv_f32;
static json_t *record; /* what --out writes */

static double log_prob(const float *logits, int32_t n, int32_t token)
{
    double max = -INFINITY, sum = 0;
    for (int32_t i = 0; i < n; i++)
        max = (double)logits[i] > max ? (double)logits[i] : max;
    for (int32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    return (double)logits[token] - max - log(sum);
}

static int32_t arg_max(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* One step: 1 as golden, 0 not. step is [token, log-prob, second token, its log-prob]. */
static int judge(const json_t *step, int index, const float *logits, int32_t n_vocab)
{
    int32_t want = (int32_t)json_integer_value(json_array_get(step, 0)), got = arg_max(logits, n_vocab);
    int32_t second = (int32_t)json_integer_value(json_array_get(step, 2));
    double gap = json_number_value(json_array_get(step, 1)) - json_number_value(json_array_get(step, 3));
    if (got == want)
        return 1;
    double gap_here = log_prob(logits, n_vocab, got) - log_prob(logits, n_vocab, want);
    int tie = gap < near_tie && (got == second || gap_here < near_tie);
    printf("  step %d: token %d (log-probability here %.4f) instead of %d (%.4f); elsewhere %.4f and %.4f: %s\n",
           index, got, log_prob(logits, n_vocab, got), want, log_prob(logits, n_vocab, want),
           json_number_value(json_array_get(step, 3)), json_number_value(json_array_get(step, 1)),
           tie ? "a near-tie" : "WRONG");
    n_flipped += tie;
    return tie;
}

static json_t *row_of(const json_t *step, const float *logits, int32_t n_vocab)
{
    int32_t best = arg_max(logits, n_vocab), want = (int32_t)json_integer_value(json_array_get(step, 0)),
            second = (int32_t)json_integer_value(json_array_get(step, 2));
    return json_pack("[i, f, f, f]", (int)best, log_prob(logits, n_vocab, best), log_prob(logits, n_vocab, want),
                     log_prob(logits, n_vocab, second));
}

static pm_status run_case(pm_model *model, const json_t *golden, size_t n_steps, int *ok, pm_error *err)
{
    int32_t n_vocab = pm_model_get_info(model)->n_vocab, tokens[512];
    const json_t *ids = json_object_get(golden, "prompt_ids"), *steps = json_object_get(golden, "steps");
    size_t n = json_array_size(ids);
    if (n_steps > json_array_size(steps))
        n_steps = json_array_size(steps);
    float *logits = malloc((size_t)n_vocab * sizeof *logits);
    pm_session *session = NULL;
    pm_session_options options = {.n_ctx = 1024, .kv_type = kv_f32 ? PM_KV_F32 : PM_KV_F16};
    pm_status status = logits && n > 0 && n <= 512 ? PM_OK : PM_ERR_ARGUMENT;
    for (size_t i = 0; status == PM_OK && i < n; i++)
        tokens[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    if (status == PM_OK)
        status = pm_session_create(model, &options, &session, err);
    *ok = 1;
    json_t *rows = json_array();
    for (size_t i = 0; status == PM_OK && i < n_steps; i++) {
        const json_t *step = json_array_get(steps, i);
        status = pm_session_logits(session, tokens, n, 1, logits, err);
        *ok = status == PM_OK && judge(step, (int)i, logits, n_vocab) && *ok;
        if (status == PM_OK)
            json_array_append_new(rows, row_of(step, logits, n_vocab));
        tokens[0] = (int32_t)json_integer_value(json_array_get(step, 0));
        n = 1;
    }
    pm_session_destroy(session);
    free(logits);
    json_array_append_new(record, rows);
    return status;
}

static void run_cases(pm_model *model, const json_t *document, size_t n_steps)
{
    size_t index;
    json_t *golden;
    json_array_foreach(json_object_get(document, "cases"), index, golden)
    {
        int ok = 0;
        pm_error err = {PM_OK, ""};
        pm_status status = run_case(model, golden, n_steps, &ok, &err);
        printf("%s prompt %zu: %.60s%s%s\n", ok && status == PM_OK ? "ok  " : "FAIL", index + 1,
               json_string_value(json_object_get(golden, "prompt")), status == PM_OK ? "" : ": ", err.message);
        n_passed += ok && status == PM_OK;
        n_failed += !(ok && status == PM_OK);
    }
}

int main(int argc, char **argv)
{
    pm_device_options options = {0};
    const char *paths[2] = {NULL, NULL}, *out = NULL;
    size_t n_paths = 0, n_steps = 64;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            options.name = argv[++i];
        else if (strcmp(argv[i], "--tier") == 0 && i + 1 < argc)
            options.tier = (pm_tier)(atoi(argv[++i]) + (int)PM_TIER_T0);
        else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc)
            options.n_threads = atoi(argv[++i]);
        else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc)
            n_steps = (size_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--near-tie") == 0 && i + 1 < argc)
            near_tie = atof(argv[++i]);
        else if (strcmp(argv[i], "--out") == 0 && i + 1 < argc)
            out = argv[++i];
        else if (strcmp(argv[i], "--kv-f32") == 0)
            kv_f32 = true;
        else if (n_paths < 2)
            paths[n_paths++] = argv[i];
    }
    json_error_t json_error;
    json_t *document = paths[1] ? json_load_file(paths[1], 0, &json_error) : NULL;
    if (!document) {
        fprintf(stderr, "usage: greedy_test --device NAME [--tier N] [--threads N] [--steps N] [--near-tie X] "
                        "[--kv-f32] [--out FILE] MODEL.gguf GOLDEN.json\n");
        return 2;
    }
    pm_device *device = NULL;
    pm_model *model = NULL;
    pm_error err = {PM_OK, ""};
    if (pm_device_open(&options, &device, &err) != PM_OK ||
        pm_model_open(paths[0], device, NULL, &model, &err) != PM_OK) {
        fprintf(stderr, "%s\n", err.message);
        pm_device_close(device);
        json_decref(document);
        return 1;
    }
    record = json_array();
    run_cases(model, document, n_steps);
    if (out && json_dump_file(record, out, JSON_COMPACT) != 0) {
        fprintf(stderr, "cannot write %s\n", out);
        n_failed++;
    }
    pm_model_close(model);
    pm_device_close(device);
    json_decref(record);
    json_decref(document);
    printf("%d near-ties went the other way\n%d passed, %d failed\n", n_flipped, n_passed, n_failed);
    return n_failed > 0 || n_passed == 0;
}
