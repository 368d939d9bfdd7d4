/* Whole models against an outside implementation: every NAME.gguf, or directory NAME.hf, with a NAME.logits beside it in
 * a folder (see tests/data/make_llama_golden.py and make_hf_directories.py), on one device.
 *
 * Each model is run three ways that must agree: all tokens in one pass, in passes of odd lengths, and token by token.
 * Weights and KV cache are F32, so what differs is the order of sums: the logits' normalised mean squared error must
 * stay below 1e-9 on reference and cpu (float sums of some hundred terms), below 1e-6 on Vulkan, whose exp and
 * division may be off by several units in the last place. With an F16 cache (rounding at 2^-11) below 1e-5.
 *
 *     model_test --device NAME [--tier N] FOLDER */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/session.h"

typedef struct golden {
    int32_t n_tokens, n_vocab;
    int32_t *tokens;
    float *logits;
} golden;

static int n_passed, n_failed;

static int read_golden(const char *path, golden *g)
{
    FILE *file = fopen(path, "rb");
    int32_t sizes[2];
    if (!file || fread(sizes, sizeof *sizes, 2, file) != 2 || sizes[0] < 1 || sizes[0] > 4096 || sizes[1] < 1 ||
        sizes[1] > 1 << 20) {
        if (file)
            fclose(file);
        return 0;
    }
    size_t n = (size_t)sizes[0], size = n * (size_t)sizes[1];
    *g = (golden){sizes[0], sizes[1], malloc(n * sizeof(int32_t)), malloc(size * sizeof(float))};
    int whole = g->tokens && g->logits && fread(g->tokens, sizeof(int32_t), n, file) == n &&
                fread(g->logits, sizeof(float), size, file) == size;
    fclose(file);
    return whole;
}

static double nmse(const float *got, const float *want, size_t n)
{
    double error = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i];
        error += d * d;
        power += (double)want[i] * (double)want[i];
    }
    return error / power;
}

static void report(const char *model, const char *way, const char *problem, double value, double limit)
{
    int ok = !problem && value <= limit; /* NaN is not */
    printf("%s %s, %s: ", ok ? "ok  " : "FAIL", model, way);
    if (problem)
        printf("%s\n", problem);
    else
        printf("nmse %.2g (limit %.0e)\n", value, limit);
    if (ok)
        n_passed++;
    else
        n_failed++;
}

/* Passes of `step` tokens; logits of all of them. */
static pm_status run_way(pm_model *model, const golden *g, const pm_session_options *options, int32_t step,
                         float *logits, pm_error *err)
{
    pm_session *session;
    pm_status status = pm_session_create(model, options, &session, err);
    if (status != PM_OK)
        return status;
    for (int32_t at = 0; status == PM_OK && at < g->n_tokens; at += step) {
        size_t n = (size_t)(g->n_tokens - at < step ? g->n_tokens - at : step);
        status = pm_session_logits(session, g->tokens + at, n, n, logits + (size_t)at * (size_t)g->n_vocab, err);
    }
    pm_session_destroy(session);
    return status;
}

static void test_model(pm_device *device, const char *folder, const char *name, const char *kind)
{
    char path[4096];
    golden g = {0};
    pm_model *model = NULL;
    pm_error err = {PM_OK, ""};
    snprintf(path, sizeof path, "%s/%s.logits", folder, name);
    if (!read_golden(path, &g)) {
        report(name, "reading", "the golden logits are missing or short", 0, 0);
        return;
    }
    size_t size = (size_t)g.n_tokens * (size_t)g.n_vocab;
    float *logits = malloc(size * sizeof *logits);
    snprintf(path, sizeof path, "%s/%s%s", folder, name, kind);
    if (!logits || pm_model_open(path, device, NULL, &model, &err) != PM_OK) {
        report(name, "opening", err.message, 0, 0);
    } else {
        bool vulkan = strncmp(pm_device_get_info(device)->name, "vulkan", 6) == 0;
        const struct {
            const char *name;
            int32_t step;
            pm_session_options options;
            double limit;
        } ways[] = {
            {"one pass", g.n_tokens, {.kv_type = PM_KV_F32}, vulkan ? 1e-6 : 1e-9},
            {"passes of 7", 7, {.kv_type = PM_KV_F32}, vulkan ? 1e-6 : 1e-9},
            {"token by token", 1, {.kv_type = PM_KV_F32}, vulkan ? 1e-6 : 1e-9},
            {"batches of 9, F16 cache", g.n_tokens, {.n_batch = 9}, 1e-5},
            {"checked node by node", 13, {.kv_type = PM_KV_F32, .check = 1}, vulkan ? 1e-6 : 1e-9},
        };
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            memset(logits, 0, size * sizeof *logits);
            pm_status status = run_way(model, &g, &ways[i].options, ways[i].step, logits, &err);
            report(name, ways[i].name, status == PM_OK ? NULL : err.message, nmse(logits, g.logits, size),
                   ways[i].limit);
        }
    }
    pm_model_close(model);
    free(logits);
    free(g.tokens);
    free(g.logits);
}

static void print_log(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv)
{
    pm_device_options options = {.log = print_log};
    const char *folder = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            options.name = argv[++i];
        else if (strcmp(argv[i], "--tier") == 0 && i + 1 < argc)
            options.tier = (pm_tier)(atoi(argv[++i]) + (int)PM_TIER_T0);
        else
            folder = argv[i];
    }
    DIR *dir = folder ? opendir(folder) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: model_test --device NAME [--tier N] FOLDER\n");
        return 2;
    }
    pm_device *device;
    pm_error err = {PM_OK, ""};
    if (pm_device_open(&options, &device, &err) != PM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *kind = strrchr(entry->d_name, '.');
        if (kind && (strcmp(kind, ".gguf") == 0 || strcmp(kind, ".hf") == 0)) {
            char name[256];
            snprintf(name, sizeof name, "%.*s", (int)(kind - entry->d_name), entry->d_name);
            test_model(device, folder, name, kind);
        }
    }
    closedir(dir);
    pm_device_close(device);
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed > 0 || n_passed == 0;
}
