/* How fast tokenizers are: opening a vocabulary, encoding text on one thread and on several, decoding it again.
 *
 * A text is cut into documents of about 4 KiB at the ends of lines, as batches of real use are; what has no line
 * ends stays whole. Every figure is the median of some repeats, after one run that is not counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "pumice/tokenizer.h"
#include "text.h"

enum { DOCUMENT_BYTES = 4096, MADE_BYTES = 1 << 20, MOST_REPEATS = 100 };

typedef struct bench_text {
    const char *name;
    cli_text text;
    pm_batch_text *documents;
    size_t n;
} bench_text;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *samples, int n)
{
    double sorted[MOST_REPEATS];
    memcpy(sorted, samples, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static json_t *samples_json(const double *samples, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_real(samples[i]));
    return list;
}

/* ---- Texts ---- */

static pm_status cut_documents(bench_text *t, pm_error *err)
{
    size_t capacity = 0;
    for (size_t at = 0; at < t->text.size;) {
        size_t end = t->text.size;
        if (t->text.size - at > DOCUMENT_BYTES) {
            const char *line =
                memchr(t->text.data + at + DOCUMENT_BYTES, '\n', t->text.size - at - DOCUMENT_BYTES);
            end = line ? (size_t)(line - t->text.data) + 1 : t->text.size;
        }
        if (t->n == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            pm_batch_text *grown = realloc(t->documents, capacity * sizeof *grown);
            if (!grown)
                return cli_fail(err, PM_ERR_MEMORY, "out of memory for the documents of '%s'", t->name);
            t->documents = grown;
        }
        t->documents[t->n++] = (pm_batch_text){.text = t->text.data + at, .size = end - at};
        at = end;
    }
    return t->n ? PM_OK : cli_fail(err, PM_ERR_FORMAT, "'%s' is empty", t->name);
}

/* About a megabyte of the vocabulary's own tokens, with line ends, always the same. */
static pm_status make_text(const pm_tokenizer *tokenizer, bench_text *t, pm_error *err)
{
    size_t n_tokens = pm_tokenizer_n_tokens(tokenizer), n = 0;
    uint64_t state = 1;
    char *bytes = malloc(MADE_BYTES);
    if (!bytes)
        return cli_fail(err, PM_ERR_MEMORY, "out of memory for a text");
    for (size_t tries = 0; tries < MADE_BYTES && n < MADE_BYTES - 256; tries++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t size, id = (size_t)(state >> 33) % n_tokens;
        const char *token = pm_tokenizer_token_bytes(tokenizer, (int32_t)id, &size);
        if (!token || size == 0 || size > 200 || pm_tokenizer_is_special(tokenizer, (int32_t)id))
            continue;
        memcpy(bytes + n, token, size);
        n += size;
        if (tries % 20 == 19)
            bytes[n++] = '\n';
    }
    pm_status status = cli_copy_text(bytes, n, &t->text, err);
    free(bytes);
    t->name = "tokens of the vocabulary";
    return status == PM_OK ? cut_documents(t, err) : status;
}

static void free_text(bench_text *t)
{
    free(t->documents);
    cli_text_free(&t->text);
}

/* ---- Measuring ---- */

/* Seconds of each repeat, in samples. */
static pm_status time_encoding(const pm_tokenizer *tokenizer, const bench_text *t, int n_threads, int repeats,
                               double *samples, size_t *n_ids, pm_error *err)
{
    const pm_batch_options options = {.n_threads = n_threads};
    pm_token_batch batch = {0};
    pm_status status = PM_OK;
    for (int i = -1; i < repeats && status == PM_OK; i++) {
        double start = now();
        status = pm_tokenizer_encode_batch(tokenizer, t->documents, t->n, &options, &batch, err);
        if (i >= 0)
            samples[i] = now() - start;
    }
    *n_ids = status == PM_OK ? batch.starts[batch.n] : 0;
    pm_token_batch_free(&batch);
    return status;
}

static pm_status time_decoding(const pm_tokenizer *tokenizer, const bench_text *t, int repeats, double *samples,
                               pm_error *err)
{
    const pm_batch_options options = {.n_threads = 1};
    pm_token_batch batch = {0};
    pm_status status = pm_tokenizer_encode_batch(tokenizer, t->documents, t->n, &options, &batch, err);
    for (int i = -1; i < repeats && status == PM_OK; i++) {
        double start = now();
        for (size_t row = 0; row < batch.n && status == PM_OK; row++) {
            char *text;
            size_t size;
            status = pm_tokenizer_decode(tokenizer, batch.ids + batch.starts[row],
                                         batch.starts[row + 1] - batch.starts[row], 0, &text, &size, err);
            if (status == PM_OK)
                pm_text_free(text);
        }
        if (i >= 0)
            samples[i] = now() - start;
    }
    pm_token_batch_free(&batch);
    return status;
}

static json_t *rate_json(double bytes, const double *seconds, int n)
{
    return json_pack("{s:f, s:o}", "bytes_per_s", bytes / median(seconds, n), "seconds", samples_json(seconds, n));
}

static pm_status measure_text(const bench_tokenizer_settings *s, const pm_tokenizer *tokenizer,
                              const bench_text *t, json_t *list, pm_error *err)
{
    double one[MOST_REPEATS], many[MOST_REPEATS], back[MOST_REPEATS], bytes = (double)t->text.size;
    size_t n_ids = 0;
    pm_status status = time_encoding(tokenizer, t, 1, s->n_repeats, one, &n_ids, err);
    if (status == PM_OK)
        status = time_encoding(tokenizer, t, s->n_threads, s->n_repeats, many, &n_ids, err);
    if (status == PM_OK)
        status = time_decoding(tokenizer, t, s->n_repeats, back, err);
    if (status != PM_OK)
        return status;
    json_array_append_new(
        list, json_pack("{s:o, s:I, s:I, s:I, s:o, s:o, s:o}", "text", cli_json_text(t->name, strlen(t->name)),
                        "bytes", (json_int_t)t->text.size, "documents", (json_int_t)t->n, "tokens",
                        (json_int_t)n_ids, "encode", rate_json(bytes, one, s->n_repeats), "encode_threads",
                        rate_json(bytes, many, s->n_repeats), "decode", rate_json(bytes, back, s->n_repeats)));
    return PM_OK;
}

static pm_status measure_tokenizer(const bench_tokenizer_settings *s, const char *path, bench_text *texts,
                                   json_t *list, pm_error *err)
{
    double open[MOST_REPEATS];
    pm_tokenizer *tokenizer = NULL;
    pm_status status = PM_OK;
    for (int i = -1; i < s->n_repeats && status == PM_OK; i++) {
        pm_tokenizer_close(tokenizer);
        tokenizer = NULL;
        double start = now();
        status = pm_tokenizer_open_file(path, NULL, &tokenizer, err);
        if (i >= 0)
            open[i] = now() - start;
    }
    json_t *results = json_array();
    for (size_t i = 0; i < s->n_texts && status == PM_OK; i++)
        status = measure_text(s, tokenizer, &texts[i], results, err);
    if (status == PM_OK && s->n_texts == 0) {
        bench_text made = {0};
        status = make_text(tokenizer, &made, err);
        if (status == PM_OK)
            status = measure_text(s, tokenizer, &made, results, err);
        free_text(&made);
    }
    if (status == PM_OK)
        json_array_append_new(
            list, json_pack("{s:o, s:s, s:I, s:f, s:o, s:O}", "file", cli_json_text(path, strlen(path)), "plugin",
                            pm_tokenizer_plugin_name(tokenizer), "n_tokens",
                            (json_int_t)pm_tokenizer_n_tokens(tokenizer), "open_s", median(open, s->n_repeats),
                            "open_seconds", samples_json(open, s->n_repeats), "texts", results));
    json_decref(results);
    pm_tokenizer_close(tokenizer);
    return status;
}

pm_status bench_tokenizers(const bench_tokenizer_settings *settings, json_t **out, pm_error *err)
{
    bench_tokenizer_settings s = *settings;
    bench_text *texts = calloc(s.n_texts + 1, sizeof *texts);
    json_t *list = json_array();
    pm_status status = texts && list ? PM_OK : cli_fail(err, PM_ERR_MEMORY, "out of memory");
    s.n_repeats = s.n_repeats < 1 ? 1 : s.n_repeats > MOST_REPEATS ? MOST_REPEATS : s.n_repeats;
    if (s.n_threads < 1)
        s.n_threads = (int32_t)sysconf(_SC_NPROCESSORS_ONLN);
    for (size_t i = 0; i < s.n_texts && status == PM_OK; i++) {
        texts[i].name = s.texts[i];
        status = cli_read_file(s.texts[i], &texts[i].text, err);
        if (status == PM_OK)
            status = cut_documents(&texts[i], err);
    }
    for (size_t i = 0; i < s.n_files && status == PM_OK; i++) {
        if (s.note)
            s.note(s.user, s.files[i]);
        status = measure_tokenizer(&s, s.files[i], texts, list, err);
    }
    for (size_t i = 0; texts && i < s.n_texts; i++)
        free_text(&texts[i]);
    free(texts);
    if (status != PM_OK) {
        json_decref(list);
        return status;
    }
    *out = bench_document();
    json_object_set_new(*out, "settings", json_pack("{s:i, s:i}", "repeats", s.n_repeats, "threads", s.n_threads));
    json_object_set_new(*out, "tokenizers", list);
    return PM_OK;
}

/* ---- The table ---- */

static double rate_of(const json_t *text, const char *key)
{
    return json_number_value(json_object_get(json_object_get(text, key), "bytes_per_s")) / 1e6;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

void bench_tokenizers_print(const json_t *document)
{
    size_t i, k;
    json_t *tokenizer, *text;
    int threads = (int)json_integer_value(json_object_get(json_object_get(document, "settings"), "threads"));
    json_array_foreach(json_object_get(document, "tokenizers"), i, tokenizer)
    {
        printf("%s  %s, %lld tokens, opened in %.1f ms\n", json_string_value(json_object_get(tokenizer, "file")),
               json_string_value(json_object_get(tokenizer, "plugin")),
               (long long)json_integer_value(json_object_get(tokenizer, "n_tokens")),
               1e3 * json_number_value(json_object_get(tokenizer, "open_s")));
        json_array_foreach(json_object_get(tokenizer, "texts"), k, text)
            printf("  %-28s %8.1f MB/s   %8.1f MB/s with %d threads   decode %8.1f MB/s   %.2f bytes a token\n",
                   last_part(json_string_value(json_object_get(text, "text"))), rate_of(text, "encode"),
                   rate_of(text, "encode_threads"), threads, rate_of(text, "decode"),
                   (double)json_integer_value(json_object_get(text, "bytes")) /
                       (double)json_integer_value(json_object_get(text, "tokens")));
    }
}
