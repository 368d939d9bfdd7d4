/* What the files of the Unigram trainer share: the words as the alphabet cuts them, and pieces with scores. */
#ifndef PUMICE_TRAIN_UNIGRAM_PIECES_H
#define PUMICE_TRAIN_UNIGRAM_PIECES_H

#include "training/train.h"

/* A stretch of a word of characters that are all in the alphabet. */
typedef struct unigram_word {
    const char *bytes;
    uint32_t n;
    uint64_t count;
} unigram_word;

typedef struct unigram_words {
    unigram_word *list;
    size_t n, capacity;
} unigram_words;

/* Bytes are those of some word. */
typedef struct unigram_piece {
    const char *bytes;
    uint32_t n;
    int is_character; /* a single one: never given up */
    double score;     /* log-probability; of seeds: frequency times length */
} unigram_piece;

typedef struct unigram_pieces {
    unigram_piece *list;
    size_t n, capacity;
} unigram_pieces;

/* unigram_seeds.c. All characters, and the strings of up to `max_chars` characters that are worth most, at most
 * `most` of them: those that occur again with something else before or behind them. Sorted by their worth. */
pm_status unigram_find_seeds(const train_run *run, const unigram_words *words, size_t max_chars, size_t most,
                             unigram_pieces *out);

#endif
