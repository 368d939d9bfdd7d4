/* Logits of a real model, teacher-forced over real text, against the reference backend: the normalised mean squared
 * error over all tokens and the whole vocabulary must stay below a limit, and the perplexities must agree.
 *
 * The text is the prompts and continuations of a golden file (tests/data/smollm2/greedy.json), one after another.
 *
 *     logits_test --device NAME [--tier N] [--tokens N] [--limit X] MODEL.gguf GOLDEN.json */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/session.h"

typedef struct run {
    pm_device *device;
    pm_model *model;
    float *logits; /* [n][n_vocab] */
    int32_t n_vocab;
} run;

static size_t golden_tokens(const char *path, int32_t *tokens, size_t most)
{
    json_t *document = json_load_file(path, 0, NULL), *golden;
    size_t n = 0, index;
    json_array_foreach(json_object_get(document, "cases"), index, golden) {
        const json_t *ids = json_object_get(golden, "prompt_ids"), *steps = json_object_get(golden, "steps");
        for (size_t i = 0; i < json_array_size(ids) && n < most; i++)
            tokens[n++] = (int32_t)json_integer_value(json_array_get(ids, i));
        for (size_t i = 0; i < json_array_size(steps) && n < most; i++)
            tokens[n++] = (int32_t)json_integer_value(json_array_get(json_array_get(steps, i), 0));
    }
    json_decref(document);
    return n;
}

static pm_status evaluate(run *r, const pm_device_options *options, const char *path, const int32_t *tokens, size_t n,
                          pm_error *err)
{
    pm_session *session = NULL;
    pm_status status = pm_device_open(options, &r->device, err);
    if (status == PM_OK)
        status = pm_model_open(path, r->device, NULL, &r->model, err);
    if (status == PM_OK) {
        r->n_vocab = pm_model_get_info(r->model)->n_vocab;
        r->logits = malloc(n * (size_t)r->n_vocab * sizeof *r->logits);
        status = r->logits ? pm_session_create(r->model, NULL, &session, err) : PM_ERR_MEMORY;
    }
    if (status == PM_OK)
        status = pm_session_logits(session, tokens, n, n, r->logits, err);
    pm_session_destroy(session);
    return status;
}

static void finish(run *r)
{
    free(r->logits);
    pm_model_close(r->model);
    pm_device_close(r->device);
}

static double mean_log_prob(const run *r, const int32_t *tokens, size_t n)
{
    double total = 0;
    for (size_t t = 0; t + 1 < n; t++) {
        const float *row = r->logits + t * (size_t)r->n_vocab;
        double max = -INFINITY, sum = 0;
        for (int32_t i = 0; i < r->n_vocab; i++)
            max = (double)row[i] > max ? (double)row[i] : max;
        for (int32_t i = 0; i < r->n_vocab; i++)
            sum += exp((double)row[i] - max);
        total += (double)row[tokens[t + 1]] - max - log(sum);
    }
    return total / (double)(n - 1);
}

static int compare(const run *got, const run *want, const int32_t *tokens, size_t n, double limit)
{
    double error = 0, power = 0;
    size_t worst = 0;
    double worst_error = -1;
    for (size_t t = 0; t < n; t++) {
        double row_error = 0, row_power = 0;
        for (size_t i = t * (size_t)want->n_vocab; i < (t + 1) * (size_t)want->n_vocab; i++) {
            double d = (double)got->logits[i] - (double)want->logits[i];
            row_error += d * d;
            row_power += (double)want->logits[i] * (double)want->logits[i];
        }
        if (row_error / row_power > worst_error) {
            worst_error = row_error / row_power;
            worst = t;
        }
        error += row_error;
        power += row_power;
    }
    double nmse = error / power;
    double a = exp(-mean_log_prob(got, tokens, n)), b = exp(-mean_log_prob(want, tokens, n));
    int ok = nmse <= limit && fabs(a / b - 1) < 0.005;
    printf("%s logits of %zu tokens: nmse %.3g (limit %.0e), worst at token %zu: %.3g; perplexity %.4f, reference %.4f "
           "(limit 0.5 %%)\n",
           ok ? "ok  " : "FAIL", n, nmse, limit, worst, worst_error, a, b);
    return ok;
}

int main(int argc, char **argv)
{
    pm_device_options options = {0};
    const char *paths[2] = {NULL, NULL};
    size_t n_paths = 0, n = 256;
    double limit = 1e-6;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            options.name = argv[++i];
        else if (strcmp(argv[i], "--tier") == 0 && i + 1 < argc)
            options.tier = (pm_tier)(atoi(argv[++i]) + (int)PM_TIER_T0);
        else if (strcmp(argv[i], "--tokens") == 0 && i + 1 < argc)
            n = (size_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--limit") == 0 && i + 1 < argc)
            limit = atof(argv[++i]);
        else if (n_paths < 2)
            paths[n_paths++] = argv[i];
    }
    int32_t tokens[1024];
    n = paths[1] ? golden_tokens(paths[1], tokens, n < 1024 ? n : 1024) : 0;
    if (n < 2) {
        fprintf(stderr, "usage: logits_test --device NAME [--tier N] [--tokens N] [--limit X] MODEL.gguf GOLDEN.json\n");
        return 2;
    }
    run got = {0}, want = {0};
    pm_error err = {PM_OK, ""};
    const pm_device_options reference = {.name = "reference"};
    int ok = 0;
    if (evaluate(&got, &options, paths[0], tokens, n, &err) == PM_OK &&
        evaluate(&want, &reference, paths[0], tokens, n, &err) == PM_OK)
        ok = compare(&got, &want, tokens, n, limit);
    else
        printf("FAIL %s\n", err.message);
    finish(&got);
    finish(&want);
    printf("%d passed, %d failed\n", ok, !ok);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
