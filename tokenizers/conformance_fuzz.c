/* The checks that try many things: random texts and ids, many threads, vocabularies that are wrong. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin_checks.h"

/* ---- Random texts ---- */

typedef struct random_source {
    uint64_t state;
} random_source;

/* splitmix64 (Steele, Lea, Flood 2014): small, and the same everywhere. */
static uint64_t next_random(random_source *r)
{
    uint64_t z = r->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t below(random_source *r, size_t n)
{
    return (size_t)(next_random(r) % n);
}

static size_t put_code_point(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead[n] | code);
    return n;
}

/* Bytes, characters, pieces of the vocabulary and parts of the fixed texts, mixed. At most `most` + 200 bytes. */
static size_t random_text(check_run *run, random_source *r, size_t n_tokens, char *out, size_t most)
{
    static const char *const spaces[] = {" ", "  ", "\n", "\r\n", "\t", "\xC2\xA0", "\xE3\x80\x80"};
    size_t n = 0, want = below(r, most);
    while (n < want) {
        pm_token_info token = {.size = sizeof token};
        const check_text *text;
        size_t length;
        switch (below(r, 6)) {
        case 0:
            out[n++] = (char)below(r, 256);
            break;
        case 1:
            n += put_code_point(out + n, (uint32_t)below(r, below(r, 2) ? 0x250 : 0x110000));
            break;
        case 2:
            length = strlen(spaces[below(r, 7)]);
            memcpy(out + n, spaces[below(r, 7)], 1);
            n += length > 0;
            break;
        case 3:
            text = &check_texts[below(r, n_check_texts)];
            length = text->n < 40 ? text->n : below(r, 40);
            memcpy(out + n, text->bytes, length);
            n += length;
            break;
        default:
            if (run->api->token_info(run->instance, (int32_t)below(r, n_tokens), &token) == PM_PLUGIN_OK &&
                token.n_bytes < 100 && token.n_bytes > 0) {
                memcpy(out + n, token.bytes, token.n_bytes);
                n += token.n_bytes;
            }
            out[n++] = (char)('a' + below(r, 26));
        }
    }
    return n;
}

static int fuzz_round(check_run *run, random_source *r, size_t n_tokens)
{
    enum { MOST = 600 };
    char bytes[MOST + 200];
    check_text text = {"a random text", bytes, random_text(run, r, n_tokens, bytes, MOST)};
    check_tokens tokens;
    int32_t ids[64];
    char *back = NULL;
    size_t n_back, n_ids = below(r, 64);
    int good = check_encode(run, &text, (uint32_t)below(r, 8), &tokens);
    if (good)
        good = check_decode(run, tokens.ids, tokens.n, (uint32_t)below(r, 4), &back, &n_back);
    free(back);
    back = NULL;
    check_tokens_free(&tokens);
    for (size_t i = 0; i < n_ids; i++)
        ids[i] = (int32_t)below(r, n_tokens);
    good = good && check_decode(run, ids, n_ids, (uint32_t)below(r, 4), &back, &n_back);
    free(back);
    return good;
}

void check_fuzzing(check_run *run)
{
    pm_tokenizer_info info = {.size = sizeof info};
    run->api->info(run->instance, &info);
    random_source r = {run->options->seed};
    int rounds = run->options->fuzz_rounds > 0 ? run->options->fuzz_rounds : 2000;
    for (int i = 0; i < rounds; i++) {
        uint64_t state = r.state;
        if (!fuzz_round(run, &r, info.n_tokens)) {
            size_t n = strlen(run->verdict->detail);
            snprintf(run->verdict->detail + n, sizeof run->verdict->detail - n,
                     " (round %d; --seed %llu repeats it)", i, (unsigned long long)state);
            return;
        }
    }
    check_note(run, "%d rounds", rounds);
}

/* ---- Threads ---- */

typedef struct thread_work {
    check_run *run;
    const check_tokens *expected;
    atomic_int differs, go;
} thread_work;

static void *encode_all(void *argument)
{
    enum { ROUNDS = 200 };
    thread_work *work = argument;
    while (!atomic_load(&work->go))
        ;
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < n_check_texts; i++) {
            const check_text *text = &check_texts[i];
            size_t room = work->expected[i].n;
            int32_t *ids = malloc((room + 1) * sizeof *ids);
            pm_encode_call call = {
                .size = sizeof call, .text = text->bytes, .n_text = text->n, .ids = ids, .capacity = room};
            if (!ids || work->run->api->encode(work->run->instance, &call, NULL) != PM_PLUGIN_OK ||
                call.n_ids != room || memcmp(ids, work->expected[i].ids, room * sizeof *ids) != 0)
                atomic_store(&work->differs, 1);
            free(ids);
        }
    return NULL;
}

void check_threads(check_run *run)
{
    enum { MOST_THREADS = 64 };
    int n = run->options->n_threads > 0 ? run->options->n_threads : 8, started = 0;
    pthread_t threads[MOST_THREADS];
    check_tokens *expected = calloc(n_check_texts, sizeof *expected);
    thread_work work = {.run = run, .expected = expected};
    int good = expected != NULL;
    for (size_t i = 0; good && i < n_check_texts; i++)
        good = check_encode(run, &check_texts[i], 0, &expected[i]);
    check_stage(run, "encode from %d threads at once", n);
    for (; good && started < n && started < MOST_THREADS; started++)
        if (pthread_create(&threads[started], NULL, encode_all, &work) != 0)
            break;
    atomic_store(&work.go, 1);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (atomic_load(&work.differs))
        check_failed(run, "with %d threads at once, encode gives other ids than alone", started);
    else if (good)
        check_note(run, "%d threads", started);
    for (size_t i = 0; expected && i < n_check_texts; i++)
        check_tokens_free(&expected[i]);
    free(expected);
}

/* ---- Vocabularies that are wrong ---- */

static void try_create(check_run *run, const pm_tokenizer_spec *spec, const char *what)
{
    char words[300] = "";
    pm_plugin_message message = {words, sizeof words};
    void *instance = NULL;
    check_stage(run, "create with %s", what);
    pm_plugin_code code = run->api->create(spec, &instance, &message);
    if (code == PM_PLUGIN_OK && instance) {
        check_run own = *run; /* what is accepted must work */
        own.instance = instance;
        check_tokens tokens;
        for (size_t i = 0; i < n_check_texts; i++) {
            check_encode(&own, &check_texts[i], 3, &tokens);
            check_tokens_free(&tokens);
        }
        run->api->destroy(instance);
    } else if (code == PM_PLUGIN_OK || instance) {
        check_failed(run, "create with %s returns code %d and %s instance", what, (int)code,
                     instance ? "an" : "no");
    } else if (code == PM_PLUGIN_TOO_SMALL || !words[0]) {
        check_failed(run, "create with %s fails with code %d and says nothing of why", what, (int)code);
    }
}

/* One thing wrong at a time, with each built-in vocabulary. */
static void try_broken(check_run *run, builtin_vocabulary *v, int fault)
{
    static const char *const faults[] = {
        "no entries",
        "an unknown kind of token",
        "a score that is no number",
        "a merge out of range",
        "bos out of range",
        "the same token twice",
        "a struct that is too short",
        "a pipeline that is cut",
        "a pipeline of noise",
        "deep nesting in the pipeline",
        "two byte tokens for one byte",
        "settings that nobody knows",
    };
    char noise[] = "{\"model\":[[[\"\\uD800\",1e999,-]]],\"normalizer\":{\"type\":7}}";
    char nest[4096];
    pm_vocab_entry first = v->entries[0], second = v->entries[1];
    pm_vocab_merge merge = v->merges[0];
    pm_tokenizer_spec spec = v->spec;
    pm_plugin_setting setting = {"no such setting", "\xFF", 1};
    if (fault == 0) {
        spec.n_entries = 0;
        spec.entries = NULL;
    } else if (fault == 1) {
        v->entries[0].kind = 77;
    } else if (fault == 2) {
        v->entries[0].score = NAN;
    } else if (fault == 3) {
        v->merges[0] = (pm_vocab_merge){-5, INT32_MAX, 1 << 30};
        spec.n_merges = 1;
    } else if (fault == 4) {
        spec.bos = INT32_MAX;
    } else if (fault == 5) {
        v->entries[1] = v->entries[0];
    } else if (fault == 6) {
        spec.size = 8;
    } else if (fault == 7) {
        spec.n_pipeline /= 2;
    } else if (fault == 8) {
        spec.pipeline = noise;
        spec.n_pipeline = sizeof noise - 1;
    } else if (fault == 9) {
        memset(nest, '[', sizeof nest);
        spec.pipeline = nest;
        spec.n_pipeline = sizeof nest;
    } else if (fault == 10) {
        v->entries[0].kind = v->entries[1].kind = PM_TOKEN_BYTE;
    } else {
        spec.settings = &setting;
        spec.n_settings = 1;
    }
    try_create(run, &spec, faults[fault]);
    v->entries[0] = first;
    v->entries[1] = second;
    v->merges[0] = merge;
}

void check_broken_vocabularies(check_run *run)
{
    enum { N_FAULTS = 12 };
    for (int which = 0; which < N_BUILTIN_VOCABULARIES; which++) {
        builtin_vocabulary v;
        if (!builtin_vocabulary_create(which, &v)) {
            check_failed(run, "out of memory");
            return;
        }
        for (int fault = 0; fault < N_FAULTS; fault++)
            try_broken(run, &v, fault);
        builtin_vocabulary_free(&v);
    }
    check_note(run, "%d vocabularies with one thing wrong in each", N_FAULTS * N_BUILTIN_VOCABULARIES);
}
