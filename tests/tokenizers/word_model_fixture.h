/* A model of plugins/bpe, plugins/unigram or plugins/wordpiece on its own, without the pipeline: made from a list
 * of entries, fed with pieces. */
#ifndef PUMICE_TESTS_WORD_MODEL_FIXTURE_H
#define PUMICE_TESTS_WORD_MODEL_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "parts/token_model.h"
#include "unigram/unigram.h"
#include "wordpiece/wordpiece.h"

enum { FIXTURE_IDS = 1 << 16 };

typedef struct word_model_fixture {
    const pm_model_kind *kind;
    pm_vocab_entry *entries;
    pm_tokenizer_spec spec;
    pm_token_table table;
    pm_json_tree *options;
    void *model, *scratch;
    int is_bytes; /* the alphabet of the entries is bytes */
    size_t n;
    int32_t ids[FIXTURE_IDS];
    pm_text_span spans[FIXTURE_IDS];
    size_t n_ids, n_unknown_bytes;
    char text[200];
    pm_plugin_message message;
} word_model_fixture;

static inline word_model_fixture *fixture_create(void)
{
    word_model_fixture *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->message = (pm_plugin_message){f->text, sizeof f->text};
    f->spec = (pm_tokenizer_spec){
        .size = sizeof f->spec, .bos = -1, .eos = -1, .unk = -1, .pad = -1, .sep = -1, .cls = -1, .mask = -1};
    return f;
}

/* Takes a copy of the bytes. */
static inline void fixture_add(word_model_fixture *f, const char *bytes, size_t n, unsigned kind, double score)
{
    f->entries = realloc(f->entries, (f->n + 1) * sizeof *f->entries);
    char *copy = malloc(n + 1);
    if (!f->entries || !copy)
        abort();
    memcpy(copy, bytes, n);
    copy[n] = '\0';
    f->entries[f->n++] =
        (pm_vocab_entry){.bytes = copy, .n_bytes = (uint32_t)n, .kind = (uint8_t)kind, .score = score};
}

static inline void fixture_add_word(word_model_fixture *f, const char *word, unsigned kind, double score)
{
    fixture_add(f, word, strlen(word), kind, score);
}

static inline pm_plugin_code fixture_open(word_model_fixture *f, const pm_model_kind *kind, const char *options)
{
    f->kind = kind;
    f->spec.entries = f->entries;
    f->spec.n_entries = f->n;
    PM_PLUGIN_TRY(pm_token_table_create(&f->spec, &f->table, &f->message));
    PM_PLUGIN_TRY(pm_json_tree_parse(options, strlen(options), &f->options, &f->message));
    pm_model_source source = {&f->spec, pm_json_root(f->options), &f->table, f->is_bytes};
    PM_PLUGIN_TRY(kind->create(&source, &f->model, &f->message));
    return kind->scratch_create(f->model, &f->scratch, &f->message);
}

static inline void fixture_forget(word_model_fixture *f)
{
    f->kind->scratch_destroy(f->scratch);
    f->scratch = NULL;
    if (f->kind->scratch_create(f->model, &f->scratch, &f->message) != PM_PLUGIN_OK)
        abort();
}

/* Encodes into ids; the text is copied to memory of just its size, so that a sanitizer sees reads beyond it. */
static inline pm_plugin_code fixture_encode(word_model_fixture *f, const char *text, size_t n, size_t capacity)
{
    char *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    memcpy(copy, text, n);
    pm_piece piece = {.bytes = copy, .n = n, .base = 1000};
    pm_token_sink sink = {.ids = f->ids, .spans = f->spans, .capacity = capacity, .piece = &piece};
    pm_plugin_code code = n == 0 ? PM_PLUGIN_OK : f->kind->encode(f->model, f->scratch, &sink, &f->message);
    f->n_ids = sink.n;
    f->n_unknown_bytes = sink.n_unknown_bytes;
    free(copy);
    return code;
}

static inline void fixture_destroy(word_model_fixture *f)
{
    if (f->kind && f->scratch)
        f->kind->scratch_destroy(f->scratch);
    if (f->kind)
        f->kind->destroy(f->model);
    pm_json_tree_destroy(f->options);
    pm_token_table_destroy(&f->table);
    for (size_t i = 0; i < f->n; i++)
        free((char *)f->entries[i].bytes);
    free(f->entries);
    free(f);
}

#endif
