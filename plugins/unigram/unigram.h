/* The Unigram model: of all ways to cut a piece of text into tokens, the one with the highest sum of scores.
 *
 * A piece goes through the vocabulary's trie from each of its characters on (unigram_encode.c); for each place that
 * a token ends at the best way to get there is kept, and where no token reaches over a place, what lies before it is
 * decided and leaves. A character that is no token costs the lowest score less 10 and becomes the unknown token, or
 * its bytes; neighbours of it are fused.
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
 *                  false (default): as Hugging Face's tokenizers do. Sums in double; the lowest score is that of all
 *                  tokens of the model; USER_DEFINED tokens take part where they are flagged IN_MODEL, as any other.
 *
 * In both, CONTROL, UNKNOWN, BYTE and UNUSED tokens are not in the trie: text does not become them.
 */
#ifndef PUMICE_PLUGIN_UNIGRAM_H
#define PUMICE_PLUGIN_UNIGRAM_H

#include "parts/byte_trie.h"
#include "parts/token_model.h"

typedef struct unigram_model {
    pm_byte_trie trie;
    const pm_token_table *table; /* borrowed */
    double *scores;              /* of each token, as it counts here; float values where sums_are_float */
    double unknown_score;
    int32_t unk; /* or PM_NO_TOKEN */
    int sums_are_float, is_bytes, byte_fallback;
} unigram_model;

/* The best way to a place of the segment at hand. */
typedef struct unigram_node {
    double score;
    int32_t id;     /* the token that ends here; PM_NO_TOKEN: an unknown character */
    uint32_t start; /* where it begins; once the segment is decided, where the next token ends */
} unigram_node;

typedef struct unigram_scratch {
    unigram_node *nodes; /* of the segment: node i is the place `segment + i` of the piece */
    size_t nodes_capacity;
} unigram_scratch;

extern const pm_model_kind unigram_kind;

pm_plugin_code unigram_encode(const void *model, void *scratch, pm_token_sink *sink,
                              const pm_plugin_message *message);

#endif
