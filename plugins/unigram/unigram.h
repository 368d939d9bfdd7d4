/* The Unigram model: of all ways to cut a piece of text into tokens, the one with the highest sum of scores.
 *
 * A piece is cut into words where no token reaches over the cut (unigram_encode.c). What a short word becomes is
 * remembered (unigram_cache.c). Any other stretch of text goes through the vocabulary's trie from each of its
 * characters on (unigram_search.c); for each place that a token ends at the best way to get there is kept. A
 * character that is no token costs the lowest score less 10 and becomes the unknown token, or its bytes;
 * neighbours of it are fused.
 *
 * Two implementations exist whose vocabularies are in use. They add up with different precision, so that near ties
 * fall out differently, and they treat special kinds of tokens differently. Options of the model (the "model" of a
 * tokenizer.json), beside Hugging Face's own:
 *
 *   unk_id         id of the unknown token; absent: the spec's unk
 *   byte_fallback  an unknown character becomes the BYTE tokens of its bytes where all are there
 *   sentencepiece  true: as SentencePiece does it. Sums in float; the lowest score is that of NORMAL tokens alone;
 *                  USER_DEFINED tokens are in the trie, whatever their score (they have n_bytes * 0.1 - 0.1);
 *                  unknown neighbours stay unknown whatever they spell. Readers of SentencePiece's files set it.
 *                  false (default): as Hugging Face's tokenizers do. Sums in double; the lowest score is that of
 * all tokens of the model; USER_DEFINED tokens take part where they are flagged IN_MODEL, as any other.
 *
 * In both, CONTROL, UNKNOWN, BYTE and UNUSED tokens are not in the trie: text does not become them.
 */
#ifndef PUMICE_PLUGIN_UNIGRAM_H
#define PUMICE_PLUGIN_UNIGRAM_H

#include "parts/byte_trie.h"
#include "parts/token_model.h"
#include "parts/utf8_read.h"

/* A token inside the model: 0 is none, then id + 1, then unigram_model.unknown, an unknown character, and .none.
 */
typedef uint32_t unigram_value;

/* The places where a token may reach over: a bit for two bytes and, if the second one is a lead byte, the one that
 * follows. Always so before a continuation byte, so that no character is cut. Asked for every byte of a text, and
 * so without branches: rows of 256 bits, by the byte before. */
enum { UNIGRAM_JOINT_ROWS = 0xC0 + 64 * 64 };

typedef struct unigram_joints {
    uint32_t rows[256]; /* times 256; of a lead byte, the first one of 64 */
    uint8_t nexts[256]; /* what counts of the byte that follows */
    uint8_t
        strange[64 * 64]; /* by a lead byte and the next one: no token has any character that begins with them */
    uint64_t bits[UNIGRAM_JOINT_ROWS * 256 / 64];
} unigram_joints;

static inline size_t unigram_joint(const unigram_joints *joints, unsigned char before, unsigned char byte,
                                   unsigned char next)
{
    return joints->rows[byte] + ((next & joints->nexts[byte]) << 8) + before;
}

typedef struct unigram_model {
    pm_byte_trie trie;
    const pm_token_table *table; /* borrowed */
    double *scores;              /* by unigram_value; values of type float where sums_are_float. Of 0: -infinity */
    unigram_value unknown;
    unigram_value none;  /* a token that is not there, and adds nothing to a sum */
    float *float_scores; /* the same where sums_are_float; else NULL */
    double most;         /* no score is larger, but for the sign */
    int32_t unk;         /* or PM_NO_TOKEN */
    int sums_are_float, is_bytes, byte_fallback;
    unigram_value bytes[256];  /* of words that are one byte */
    unigram_value *characters; /* of words that are one character, by its code; 0: unknown */
    unigram_joints *joints;
} unigram_model;

enum {
    UNIGRAM_CHARACTERS = 0x10000, /* those of higher codes are looked up in the trie */
    UNIGRAM_WORD_BYTES = 16,      /* longer words are not remembered: pm_first_bytes */
    UNIGRAM_WORD_TOKENS = 8,      /* nor are those that become more tokens */
    UNIGRAM_CACHE_BITS = 15       /* words, of 64 bytes each: 2 MiB a thread at most */
};

/* A sum of scores: in_float where sums_are_float. */
typedef union unigram_sum {
    double in_double;
    float in_float;
} unigram_sum;

/* The best way to a place of a stretch of text. */
typedef struct unigram_node {
    unigram_sum sum;
    unigram_value value; /* the token that ends here */
    uint32_t start;      /* where it begins; once the way is decided, where the next token ends */
} unigram_node;

/* In float, sums that fall below -UNIGRAM_LARGEST_SUM are counted anew from there; see unigram_search.c. */
#define UNIGRAM_LARGEST_SUM 100000

/* A word and what becomes of it. */
typedef struct unigram_word {
    pm_first_bytes key;
    float limit;     /* that, as long as the sum before the word is at most this, but for the sign; -1: never */
    uint8_t n_bytes; /* 0: the entry is free */
    uint8_t n_tokens;
    uint8_t is_plain;                          /* all tokens are known ones, and not the unknown token */
    uint64_t padding;                          /* to the size of a cache line */
    unigram_value values[UNIGRAM_WORD_TOKENS]; /* filled up with unigram_model.none */
} unigram_word;

typedef struct unigram_scratch {
    unigram_node *nodes;
    size_t nodes_capacity;
    unigram_word *words; /* 1 << UNIGRAM_CACHE_BITS, each where a cache line begins */
    void *words_memory;
} unigram_scratch;

/* One piece on its way to tokens. */
typedef struct unigram_run {
    const unigram_model *model;
    unigram_scratch *scratch;
    pm_token_sink *sink;
    const char *text;
    size_t n;
    unigram_sum sum;      /* of the scores so far */
    size_t unknown_begin; /* of unknown text that the next token may belong to; UNIGRAM_NONE: there is none */
    int unknown_is_token; /* all of it is one token, which happens to be the unknown one */
} unigram_run;

#define UNIGRAM_NONE SIZE_MAX

/* The sum of scores as the implementation at hand rounds it. (That of two floats is the same whether it is rounded
 * once, or to double first.) */
static inline double unigram_add(double a, double b, int in_float)
{
    return in_float ? (double)(float)(a + b) : a + b;
}

static inline size_t unigram_character_length(const unigram_model *model, const char *text, size_t at, size_t end)
{
    if (model->is_bytes || !((unsigned char)text[at] & 0x80))
        return 1;
    return pm_read_character(text, at, end).length;
}

/* unigram_encode.c */
pm_plugin_code unigram_encode(const void *model, void *scratch, pm_token_sink *sink,
                              const pm_plugin_message *message);
void unigram_take_token(unigram_run *run, unigram_value value, size_t begin, size_t end);

/* unigram_search.c: tokens of text[begin, end), where no token reaches over begin and end; 0: out of memory. */
int unigram_search(unigram_run *run, size_t begin, size_t end);

/* unigram_cache.c: fills in what becomes of a word of 1 to UNIGRAM_WORD_BYTES bytes, but for the key. */
void unigram_fill_word(const unigram_model *model, const char *text, size_t n, unigram_word *word);

extern const pm_model_kind unigram_kind;

#endif
