/* What encoders give: hidden states, embeddings, masked tokens, next sentences; and the source of an
 * encoder-decoder.
 *
 * Sequences of unequal length are evaluated together, one behind the other in one pass: nothing is padded.
 */
#ifndef PUMICE_ENCODE_H
#define PUMICE_ENCODE_H

#include "pumice/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One text, or a pair of them in one sequence, with its special tokens. Borrowed for the call. */
typedef struct pm_token_sequence {
    const int32_t *tokens;
    const int32_t *types; /* the segment of each token, from 0; NULL: all 0 */
    size_t n;             /* at least 1, at most pm_session_max_sequence */
} pm_token_sequence;

/* The most tokens of a sequence: what the model was trained on. */
int32_t pm_session_max_sequence(const pm_session *session);

/* Hidden states after the last layer and its norm: hidden[all tokens, one sequence after the other][n_embd].
 * Encoder-only models alone. Errors: PM_ERR_UNSUPPORTED (the model is of another shape), PM_ERR_ARGUMENT (a token
 * or type that the model does not have, an empty sequence), PM_ERR_LIMIT (a sequence too long), and those of
 * pm_session_next. */
pm_status pm_session_encode(pm_session *session, const pm_token_sequence *sequences, size_t n, float *hidden,
                            pm_error *err);

/* The source that an encoder-decoder model's decoder looks at; empties the timeline. hidden: [n][n_embd], the
 * encoder's output, or NULL. The same errors. */
pm_status pm_session_set_source(pm_session *session, const int32_t *tokens, size_t n, float *hidden,
                                pm_error *err);

/* What flows through the encoder's layers: layers[0][n][n_embd] enters the first, layers[l + 1] leaves layer l. */
pm_status pm_session_encode_layers(pm_session *session, const pm_token_sequence *sequence, float *layers, pm_error *err);

/* How a text's hidden states become one vector. */
typedef enum pm_pooling {
    PM_POOLING_MEAN, /* their mean */
    PM_POOLING_CLS,  /* the first token's */
    PM_POOLING_LAST  /* the last token's, as decoder-only embedding models do */
} pm_pooling;

/* embeddings[n][n_embd], each of length 1 where `normalize`. Any shape of model: of an encoder-decoder the
 * encoder's states, of a decoder-only model those after the last norm; these two evaluate a sequence at a time and
 * empty the timeline. Types other than 0 are for encoder-only models. The same errors. */
pm_status pm_session_embed(pm_session *session, const pm_token_sequence *sequences, size_t n, pm_pooling pooling,
                           int normalize, float *embeddings, pm_error *err);

/* Logits over the vocabulary for the tokens at `rows` of the sequence, usually [MASK]: logits[n_rows][n_vocab].
 * PM_ERR_UNSUPPORTED where the file has no head for masked tokens (pm_model_info.has_masked_logits). */
pm_status pm_session_masked_logits(pm_session *session, const pm_token_sequence *sequence, const int32_t *rows,
                                   size_t n_rows, float *logits, pm_error *err);

/* The masked language model as a pseudo-probability: log_probs[i] = log P(tokens[i] | all other tokens), for each i in
 * turn with `mask` in its place; 0 where skip[i] (special tokens; NULL: none). top as in pm_session_score. The same errors.
 * Source: Salazar et al. 2020, arXiv:1910.14659. */
pm_status pm_session_score_masked(pm_session *session, const pm_token_sequence *sequence, int32_t mask,
                                  const uint8_t *skip, double *log_probs, size_t n_top, pm_token_prob *top,
                                  pm_error *err);

/* BERT's next-sentence prediction for a pair: logits of "it follows" and "it does not". PM_ERR_UNSUPPORTED where
 * the file has no such head (pm_model_info.has_next_sentence). */
pm_status pm_session_next_sentence(pm_session *session, const pm_token_sequence *pair, float logits[2], pm_error *err);

#ifdef __cplusplus
}
#endif
#endif
