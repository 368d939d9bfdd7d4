/* Families against an outside implementation: every NAME.golden in a folder (made by
 * tests/data/make_small_golden.py, whose head says what is in it) with the model NAME.hf in another (written by
 * small_models.py), or NAME.gguf (what `pumice convert` made of that), on one device.
 *
 * Hidden states after each layer and logits: the largest difference must stay below 1e-4 of the largest value.
 * Texts, greedy and by beam search, must be the same. Weights and KV cache are F32.
 *
 *     family_test --device NAME [--tier N] MODELS GOLDEN [NAME ...] */
#include <dirent.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/safetensors.h"
#include "pumice/encode.h"
#include "pumice/search.h"

static const double LIMIT = 1e-4;

typedef struct family {
    const char *name;
    pm_device *device;
    pm_model *model;
    const pm_model_info *info;
    pm_safetensors *golden;
    pm_session *session;
    double worst; /* of the comparisons so far */
    int n_compared;
    bool failed;
} family;

static int n_passed, n_failed;

static void fail(family *f, const char *what, const char *why)
{
    printf("FAIL %s, %s: %s\n", f->name, what, why);
    f->failed = true;
}

static bool ok(family *f, const char *what, pm_status status, const pm_error *err)
{
    if (status != PM_OK)
        fail(f, what, err->message);
    return status == PM_OK;
}

/* The array "what", "what.i" or "what.i.l" (i, l negative: not in the name); NULL where there is none. */
static const pm_safetensor *array(const family *f, const char *what, int i, int l)
{
    char name[64];
    int n = snprintf(name, sizeof name, "%s", what);
    if (i >= 0)
        n += snprintf(name + n, sizeof name - (size_t)n, ".%d", i);
    if (l >= 0)
        snprintf(name + n, sizeof name - (size_t)n, ".%d", l);
    return pm_safetensors_find(f->golden, name);
}

static const int32_t *ids(const pm_safetensor *a, size_t *n)
{
    *n = a ? a->n_bytes / sizeof(int32_t) : 0;
    return a ? a->data : NULL;
}

/* Compares n floats with the array of that name. */
static void compare(family *f, const char *what, int i, int l, const float *got, size_t n)
{
    const pm_safetensor *a = array(f, what, i, l);
    const float *want = a ? a->data : NULL;
    double largest = 0, difference = 0;
    char name[64];
    snprintf(name, sizeof name, "%s %d %d", what, i, l);
    if (!want || a->n_bytes != n * sizeof *want) {
        fail(f, name, want ? "another number of values" : "there is no such golden array");
        return;
    }
    for (size_t k = 0; k < n; k++) {
        double gap = fabs((double)got[k] - (double)want[k]);
        largest = fmax(largest, fabs((double)want[k]));
        difference = gap <= difference ? difference : gap; /* NaN stays */
    }
    double relative = difference / largest;
    f->n_compared++;
    f->worst = relative <= f->worst ? f->worst : relative;
    if (!(relative < LIMIT)) {
        char text[96];
        snprintf(text, sizeof text, "differs by %.2g of the largest value (limit %.0e)", relative, LIMIT);
        fail(f, name, text);
    }
}

static float *floats(family *f, size_t n)
{
    float *out = calloc(n, sizeof *out);
    if (!out)
        fail(f, "memory", "none");
    return out;
}

static void compare_layers(family *f, const char *what, int i, const float *layers, int32_t n_layers, size_t n)
{
    size_t size = n * (size_t)f->info->n_embd;
    for (int32_t l = 0; l <= n_layers; l++)
        compare(f, what, i, l, layers + (size_t)l * size, size);
}

/* The decoder's hidden states and logits for tokens in passes of `step`, from an empty timeline. */
static void check_decoder(family *f, const char *layers_name, const char *logits_name, int i,
                          const int32_t *tokens, size_t n, size_t step)
{
    pm_error err = {PM_OK, ""};
    size_t n_embd = (size_t)f->info->n_embd, n_vocab = (size_t)f->info->n_vocab;
    float *layers = floats(f, (size_t)(f->info->n_layers + 1) * n * n_embd), *logits = floats(f, n * n_vocab);
    pm_status status = layers && logits ? pm_session_truncate(f->session, 0, &err) : PM_ERR_MEMORY;
    for (size_t at = 0; at < n && status == PM_OK; at += step)
        status = pm_session_logits(f->session, tokens + at, n - at < step ? n - at : step,
                                   n - at < step ? n - at : step, logits + at * n_vocab, &err);
    if (ok(f, logits_name, status, &err))
        compare(f, logits_name, i, -1, logits, n * n_vocab);
    if (status == PM_OK)
        status = pm_session_truncate(f->session, 0, &err);
    if (status == PM_OK && ok(f, layers_name, pm_session_layers(f->session, tokens, n, layers, &err), &err))
        compare_layers(f, layers_name, i, layers, f->info->n_layers, n);
    free(layers);
    free(logits);
}

static void compare_text(family *f, const char *what, int i, const int32_t *got, size_t n)
{
    size_t n_want;
    const int32_t *want = ids(array(f, what, i, -1), &n_want);
    char text[96];
    for (size_t k = 0; k < n_want; k++)
        if (k >= n || got[k] != want[k]) {
            snprintf(text, sizeof text, "token %zu of %zu is %d instead of %d (%zu came)", k, n_want,
                     k < n ? got[k] : -1, want[k], n);
            fail(f, what, text);
            return;
        }
    if (n_want == 0 || n != n_want)
        fail(f, what, n_want ? "more tokens came" : "there is no such golden array");
    f->n_compared++;
}

/* Continues `prompt` greedily for as many tokens as the golden text has. */
static void check_greedy(family *f, int i, const int32_t *prompt, size_t n_prompt)
{
    pm_error err = {PM_OK, ""};
    size_t n;
    ids(array(f, "greedy", i, -1), &n);
    int32_t *text = calloc(n + 1, sizeof *text);
    pm_status status = text ? pm_session_truncate(f->session, 0, &err) : PM_ERR_MEMORY;
    for (size_t k = 0; k < n && status == PM_OK; k++)
        status = pm_session_next(f->session, k ? &text[k - 1] : prompt, k ? 1 : n_prompt, NULL, &text[k], &err);
    if (ok(f, "greedy", status, &err))
        compare_text(f, "greedy", i, text, n);
    free(text);
}

static void check_decoder_only(family *f)
{
    static const size_t steps[] = {1000, 7, 1};
    size_t n;
    const int32_t *tokens = ids(array(f, "tokens", -1, -1), &n);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        check_decoder(f, "hidden", "logits", -1, tokens, n, steps[i]);
    for (int i = 0; array(f, "prompt", i, -1); i++) {
        tokens = ids(array(f, "prompt", i, -1), &n);
        check_greedy(f, i, tokens, n);
    }
}

/* All sequences packed into one call must give what each gave alone. */
static void check_packed(family *f, const pm_token_sequence *sequences, size_t n_sequences)
{
    pm_error err = {PM_OK, ""};
    size_t n_embd = (size_t)f->info->n_embd, total = 0;
    for (size_t s = 0; s < n_sequences; s++)
        total += sequences[s].n;
    float *hidden = floats(f, total * n_embd), *at = hidden;
    if (hidden && ok(f, "encoding", pm_session_encode(f->session, sequences, n_sequences, hidden, &err), &err))
        for (size_t s = 0; s < n_sequences; at += sequences[s++].n * n_embd)
            compare(f, "hidden", (int)s, f->info->n_layers, at, sequences[s].n * n_embd);
    free(hidden);
}

static void check_masked(family *f, int i, const pm_token_sequence *s)
{
    pm_error err = {PM_OK, ""};
    size_t size = s->n * (size_t)f->info->n_vocab;
    int32_t *rows = calloc(s->n, sizeof *rows);
    float *logits = floats(f, size);
    for (size_t k = 0; rows && k < s->n; k++)
        rows[k] = (int32_t)k;
    if (rows && logits && ok(f, "masked", pm_session_masked_logits(f->session, s, rows, s->n, logits, &err), &err))
        compare(f, "masked", i, -1, logits, size);
    free(rows);
    free(logits);
}

static void check_encoder_only(family *f)
{
    pm_token_sequence sequences[16];
    int n = 0;
    for (size_t m, m2; n < 16 && array(f, "tokens", n, -1); n++) {
        pm_error err = {PM_OK, ""};
        pm_token_sequence *s = &sequences[n];
        *s = (pm_token_sequence){.tokens = ids(array(f, "tokens", n, -1), &m),
                           .types = ids(array(f, "types", n, -1), &m2)};
        s->n = m;
        float *layers = floats(f, (size_t)(f->info->n_layers + 1) * m * (size_t)f->info->n_embd), pair[2];
        if (layers && ok(f, "layers", pm_session_encode_layers(f->session, s, layers, &err), &err))
            compare_layers(f, "hidden", n, layers, f->info->n_layers, m);
        free(layers);
        if (array(f, "masked", n, -1))
            check_masked(f, n, s);
        if (array(f, "next", n, -1) && ok(f, "next", pm_session_next_sentence(f->session, s, pair, &err), &err))
            compare(f, "next", n, -1, pair, 2);
    }
    check_packed(f, sequences, (size_t)n);
}

/* The settings of make_small_golden.py; the model's own tokens stand in the golden file's "ends" and "banned". */
static void check_beams(family *f, int i)
{
    static const struct {
        const char *name, *score;
        pm_beam_options options;
    } searches[] = {
        {"beam", "beam_score", {.n_beams = 4}},
        {"short_beam", "short_beam_score", {.n_beams = 3, .length_penalty = 0.4f, .early_stopping = 1}},
    };
    for (size_t k = 0; k < sizeof searches / sizeof searches[0]; k++) {
        pm_error err = {PM_OK, ""};
        pm_beam_options options = searches[k].options;
        pm_hypothesis *list;
        size_t n;
        options.max_tokens = 40;
        options.ends = ids(array(f, "ends", -1, -1), &options.n_ends);
        options.banned = ids(array(f, "banned", -1, -1), &options.n_banned);
        if (!ok(f, searches[k].name,
                pm_session_beam_search(f->session, &f->info->start_token, 1, &options, &list, &n, &err), &err))
            continue;
        float score = n ? (float)list[0].score : 0;
        compare_text(f, searches[k].name, i, n ? list[0].tokens : NULL, n ? list[0].n : 0);
        compare(f, searches[k].score, i, -1, &score, 1);
        pm_hypotheses_free(list, n);
    }
}

static void check_encoder_decoder(family *f)
{
    pm_error err = {PM_OK, ""};
    size_t n, n_target;
    for (int i = 0; array(f, "source", i, -1); i++) {
        const int32_t *source = ids(array(f, "source", i, -1), &n);
        const int32_t *target = ids(array(f, "target", i, -1), &n_target);
        size_t n_embd = (size_t)f->info->n_embd;
        const pm_token_sequence sequence = {.tokens = source, .n = n};
        float *layers = floats(f, (size_t)(f->info->n_encoder_layers + 1) * n * n_embd);
        float *encoded = floats(f, n * n_embd);
        if (layers && ok(f, "encoder", pm_session_encode_layers(f->session, &sequence, layers, &err), &err))
            compare_layers(f, "encoder", i, layers, f->info->n_encoder_layers, n);
        if (encoded && ok(f, "encoded", pm_session_set_source(f->session, source, n, encoded, &err), &err))
            compare(f, "encoded", i, -1, encoded, n * n_embd);
        check_decoder(f, "decoder", "logits", i, target, n_target, 1000);
        check_decoder(f, "decoder", "logits", i, target, n_target, 1);
        free(layers);
        free(encoded);
    }
    for (int i = 0; array(f, "prompt", i, -1); i++) {
        const int32_t *source = ids(array(f, "prompt", i, -1), &n);
        if (ok(f, "source", pm_session_set_source(f->session, source, n, NULL, &err), &err))
            check_greedy(f, i, &f->info->start_token, 1);
        check_beams(f, i);
    }
}

static void test_family(pm_device *device, const char *models, const char *golden, const char *name)
{
    char path[4096];
    pm_error err = {PM_OK, ""};
    family f = {.name = name, .device = device};
    const pm_session_options options = {.kv_type = PM_KV_F32, .n_beams = 4};
    snprintf(path, sizeof path, "%s/%s.golden", golden, name);
    bool opened = ok(&f, "golden file", pm_safetensors_open(path, &f.golden, &err), &err);
    snprintf(path, sizeof path, "%s/%s.hf", models, name);
    if (access(path, F_OK) != 0)
        snprintf(path, sizeof path, "%s/%s.gguf", models, name);
    opened = opened && ok(&f, "model", pm_model_open(path, device, NULL, &f.model, &err), &err) &&
             ok(&f, "session", pm_session_create(f.model, &options, &f.session, &err), &err);
    if (opened) {
        f.info = pm_model_get_info(f.model);
        if (f.info->shape == PM_SHAPE_DECODER_ONLY)
            check_decoder_only(&f);
        else if (f.info->shape == PM_SHAPE_ENCODER_ONLY)
            check_encoder_only(&f);
        else
            check_encoder_decoder(&f);
        if (f.n_compared == 0)
            fail(&f, "golden file", "nothing to compare");
    }
    if (!f.failed)
        printf("ok   %s: %d arrays and texts, largest difference %.2g of the largest value\n", name, f.n_compared,
               f.worst);
    if (f.failed)
        n_failed++;
    else
        n_passed++;
    pm_session_destroy(f.session);
    pm_model_close(f.model);
    pm_safetensors_close(f.golden);
}

static void print_log(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line);
}

static void test_all(pm_device *device, const char *models, const char *golden)
{
    DIR *dir = opendir(golden);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        const char *kind = strrchr(entry->d_name, '.');
        char name[256];
        if (!kind || strcmp(kind, ".golden") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(kind - entry->d_name), entry->d_name);
        test_family(device, models, golden, name);
    }
    if (dir)
        closedir(dir);
}

int main(int argc, char **argv)
{
    pm_device_options options = {.log = print_log};
    const char *arguments[64];
    int n = 0;
    for (int i = 1; i < argc && n < 64; i++) {
        if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            options.name = argv[++i];
        else if (strcmp(argv[i], "--tier") == 0 && i + 1 < argc)
            options.tier = (pm_tier)(atoi(argv[++i]) + (int)PM_TIER_T0);
        else
            arguments[n++] = argv[i];
    }
    if (n < 2) {
        fprintf(stderr, "usage: family_test --device NAME [--tier N] MODELS GOLDEN [NAME ...]\n");
        return 2;
    }
    pm_device *device;
    pm_error err = {PM_OK, ""};
    if (pm_device_open(&options, &device, &err) != PM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (int i = 2; i < n; i++)
        test_family(device, arguments[0], arguments[1], arguments[i]);
    if (n == 2)
        test_all(device, arguments[0], arguments[1]);
    pm_device_close(device);
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed > 0 || n_passed == 0;
}
