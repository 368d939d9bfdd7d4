/* What the trainers share: the words of the texts with their counts, and the vocabulary that comes out.
 *
 * Flow: files -> word_counts.c (normaliser and pre-tokenizer of the tokenizer to be, on all threads) -> one
 * trainer (train_bpe.c, train_unigram.c, train_wordlevel.c) -> tokenizer_json.c. Words are sorted by their bytes,
 * so nothing behind word_counts.c depends on threads. Byte-level words are spelled in GPT-2's alphabet, as the
 * vocabulary will be.
 */
#ifndef PUMICE_TRAIN_H
#define PUMICE_TRAIN_H

#include "base/arena.h"
#include "base/error.h"
#include "base/threads.h"
#include "json_writer.h"
#include "pumice/tokenizer_train.h"

typedef struct train_word {
    const char *bytes; /* valid UTF-8: what is malformed counts as U+FFFD */
    uint32_t n;
    uint64_t count;
} train_word;

typedef struct train_words {
    train_word *list;
    size_t n;
    char *bytes; /* of all words */
    uint64_t n_text_bytes;
    int is_bytes; /* words are bytes, spelled in their alphabet */
} train_words;

void train_words_free(train_words *words);

/* A token of the vocabulary; its id is its place. */
typedef struct train_token {
    const char *bytes;
    size_t n;
    double score; /* Unigram */
} train_token;

typedef struct train_merge {
    uint32_t left, right;
} train_merge;

typedef struct train_vocabulary {
    pm_arena arena; /* bytes of tokens */
    train_token *tokens;
    size_t n, capacity;
    train_merge *merges;
    size_t n_merges, merges_capacity;
    size_t n_special; /* the first ones */
    uint32_t *slots;  /* ids by bytes, open addressing; UINT32_MAX: free */
    size_t mask;
} train_vocabulary;

enum { TRAIN_NO_TOKEN = UINT32_MAX };

uint32_t train_find(const train_vocabulary *v, const char *bytes, size_t n); /* TRAIN_NO_TOKEN: none */
/* The id of the token, which is added where there is none; TRAIN_NO_TOKEN when out of memory. */
uint32_t train_add(train_vocabulary *v, const char *bytes, size_t n);
void train_vocabulary_free(train_vocabulary *v);

/* How one run reports: progress that may cancel, and errors. */
typedef struct train_run {
    const pm_train_options *options;
    pm_threads *threads;
    const char *description; /* JSON: normalizer, pre_tokenizer, post_processor, decoder */
    size_t n_description;
    pm_error *err;
} train_run;

/* PM_ERR_CANCELLED where the caller wants no more. */
pm_status train_progress(const train_run *run, const char *what, uint64_t done, uint64_t total);

/* word_counts.c */
pm_status train_count_words(const train_run *run, const char *const *files, size_t n_files, train_words *out);

/* The trainers: from words to tokens, behind the special ones, which are there. */
pm_status train_bpe(const train_run *run, const train_words *words, train_vocabulary *v);
pm_status train_wordlevel(const train_run *run, const train_words *words, train_vocabulary *v);
pm_status train_unigram(const train_run *run, const train_words *words, train_vocabulary *v);

/* tokenizer_json.c. The parts of the tokenizer around its model, for the options: from the settings, or the type's
 * usual ones. `v` holds the special tokens. */
pm_status train_describe(const train_run *run, const train_vocabulary *v, pm_json_writer *out);
pm_status train_write(const train_run *run, const train_vocabulary *v, const char *path);
/* The token for what is unknown; NULL: the type has none. */
const char *train_unknown_token(const pm_train_options *options);

#endif
