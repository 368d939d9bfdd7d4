/* Beam search: the likeliest target of an encoder-decoder model's source, as far as a search of this width finds
 * it. */
#ifndef PUMICE_SEARCH_H
#define PUMICE_SEARCH_H

#include "pumice/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_beam_options {
    int32_t n_beams;        /* hypotheses kept at each step; at most the session's n_beams; 0: that */
    float length_penalty;   /* a finished hypothesis scores log P / length ^ length_penalty; 0: 1 */
    uint8_t early_stopping; /* stop as soon as n_beams are finished, not when no better one can be expected */
    int32_t max_tokens;     /* longest target; 0: what fits the context */
    const int32_t *ends;    /* tokens that finish a hypothesis; may be NULL */
    size_t n_ends;
    const int32_t *banned; /* tokens that are never chosen (Marian's padding, which its decoder starts with) */
    size_t n_banned;
} pm_beam_options;

typedef struct pm_hypothesis {
    int32_t *tokens; /* without those it started with; the last one is an end unless it became too long */
    size_t n;
    double log_prob; /* of all its tokens, given the source */
    double score;
} pm_hypothesis;

/* Finished hypotheses, best score first: *out is the caller's to pass to pm_hypotheses_free. The decoder starts
 * with `start`. The source is that of pm_session_set_source; the timeline is empty afterwards. The search is that
 * of Hugging Face's generate with num_beams. Errors: PM_ERR_UNSUPPORTED (no encoder-decoder model),
 * PM_ERR_ARGUMENT (no source, more beams than the session has), PM_ERR_LIMIT, and those of pm_session_next.
 * Source: Sutskever et al. 2014, arXiv:1409.3215; Wu et al. 2016 (length penalty), arXiv:1609.08144. */
pm_status pm_session_beam_search(pm_session *session, const int32_t *start, size_t n_start,
                                 const pm_beam_options *options, pm_hypothesis **out, size_t *n, pm_error *err);
void pm_hypotheses_free(pm_hypothesis *list, size_t n); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
