/* A session: one timeline of tokens over a model, with its KV cache. Mutable; one thread at a time. */
#ifndef PUMICE_SESSION_H
#define PUMICE_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/model.h"
#include "pumice/status.h"
#include "pumice/trace.h"
#include "pumice/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_session pm_session;

/* What the KV cache keeps a number in. Q8_0: 34 bytes for 32 numbers; heads must have a multiple of 64. */
typedef enum pm_kv_type { PM_KV_F16, PM_KV_F32, PM_KV_Q8_0 } pm_kv_type;

enum { PM_MOST_STEPS = 16 }; /* decode steps that a device makes by itself */

typedef struct pm_session_options {
    int32_t n_ctx;      /* most tokens of the timeline; 0: the model's training context, at most 4096 */
    int32_t n_batch;    /* most tokens evaluated in one pass; 0: 512 */
    int32_t n_source;   /* encoder-decoder: most tokens of the source; 0: what the model was trained on, at most 512 */
    int32_t n_beams;    /* encoder-decoder: hypotheses that a beam search has room for; 0: 1 */
    pm_kv_type kv_type;
    int32_t n_steps;    /* most decode steps of pm_session_decode, to PM_MOST_STEPS; 0: as many as take 20 ms */
    uint8_t check;      /* after each op, compute it on the reference too and stop at the first that diverges */
    pm_trace *trace;    /* not NULL: record host and device spans; must outlive the session */
    /* Polled while the session works, from any thread; nonzero ends the call with PM_ERR_CANCELLED. May be NULL. */
    int (*should_stop)(void *user);
    void *stop_user;
} pm_session_options;

/* How the next token is chosen; all zero means greedy. Applied in this order: repetition penalty, top-k, top-p,
 * min-p, temperature. */
typedef struct pm_sampling {
    float temperature;     /* 0: greedy, the most probable token */
    int32_t top_k;         /* keep the k most probable; 0: all */
    float top_p;           /* keep the smallest set with this much probability; 0 or 1: all */
    float min_p;           /* drop tokens less probable than this share of the most probable; 0: none */
    float repeat_penalty;  /* divides positive logits of recent tokens, multiplies negative ones; 0 or 1: off */
    int32_t repeat_window; /* how many recent tokens that is; 0: 64; at most 1024 */
    uint64_t seed;         /* the same seed, settings and timeline choose the same tokens */
} pm_sampling;

/* options may be NULL. Errors: PM_ERR_LIMIT where n_ctx does not fit into memory (the message says how much would),
 * PM_ERR_UNSUPPORTED (kv_type and the model's heads), PM_ERR_ARGUMENT, PM_ERR_MEMORY, PM_ERR_DEVICE_MEMORY,
 * PM_ERR_DEVICE. */
pm_status pm_session_create(pm_model *model, const pm_session_options *options, pm_session **out, pm_error *err);
void pm_session_destroy(pm_session *session); /* NULL is fine */

int32_t pm_session_n_ctx(const pm_session *session);
int32_t pm_session_n_past(const pm_session *session);          /* tokens on the timeline */
const int32_t *pm_session_tokens(const pm_session *session);   /* those tokens; valid until the next call */

/* Puts n >= 1 tokens at the end of the timeline and chooses the token to follow, which is not yet put there: pass it
 * to the next call. After an error the timeline holds the blocks that were finished (pm_session_n_past says how far).
 * Errors: PM_ERR_ARGUMENT (a token id outside the vocabulary), PM_ERR_LIMIT (the context is full),
 * PM_ERR_CANCELLED, PM_ERR_DIVERGED (check), PM_ERR_DEVICE_LOST ... */
pm_status pm_session_next(pm_session *session, const int32_t *tokens, size_t n, const pm_sampling *sampling,
                          int32_t *next, pm_error *err);

/* Puts `token` at the end of the timeline and decodes: next[0] follows it, next[1] follows next[0], and so on. *n (1 to
 * `most`) of them, as many as the device makes by itself in one submission: see n_steps. All but the last of them are on
 * the timeline: who wants no more than next[0 .. i] then calls pm_session_truncate with n_past - (*n - 1 - i). The same
 * tokens as those of pm_session_next, and the same errors; after one the timeline is as it was. */
pm_status pm_session_decode(pm_session *session, int32_t token, const pm_sampling *sampling, size_t most,
                            int32_t *next, size_t *n, pm_error *err);

/* Puts n >= 1 tokens at the end of the timeline and returns the logits of the last n_logits <= n of them:
 * logits[n_logits][n_vocab], the caller's. The same errors. */
pm_status pm_session_logits(pm_session *session, const int32_t *tokens, size_t n, size_t n_logits, float *logits,
                            pm_error *err);

/* The same for the hidden states that logits are made of, after the last norm: hidden[n][n_embd]. Decoder-only. */
pm_status pm_session_hidden(pm_session *session, const int32_t *tokens, size_t n, float *hidden, pm_error *err);

/* Puts n >= 1 tokens at the end of the timeline and returns what flows through the layers: layers[0][n][n_embd] is what
 * enters the first one, layers[l + 1] the output of layer l, before any norm that follows them all. */
pm_status pm_session_layers(pm_session *session, const int32_t *tokens, size_t n, float *layers, pm_error *err);

/* Forgets the tokens from position n_past on. */
pm_status pm_session_truncate(pm_session *session, int32_t n_past, pm_error *err);

typedef struct pm_token_prob {
    int32_t id;      /* -1: none */
    double log_prob; /* natural logarithm */
} pm_token_prob;

/* The language model as a probability: log_probs[i] = log P(tokens[i] | tokens before it), natural logarithm, for
 * i = 1 .. n-1; log_probs[0] is set to 0 (nothing comes before it). Of an encoder-decoder model also given the source,
 * with the decoder's start token first. top[i][n_top]: the most probable tokens there, best first; n_top 0: not wanted.
 * Starts from an empty timeline. */
pm_status pm_session_score(pm_session *session, const int32_t *tokens, size_t n, double *log_probs, size_t n_top,
                           pm_token_prob *top, pm_error *err);

/* The n_top most probable tokens under the softmax of logits[n_vocab], best first; how many there are (NaN are none). */
size_t pm_top_tokens(const float *logits, int32_t n_vocab, pm_token_prob *top, size_t n_top);

/* Describes the compiled plan for a pass of n_tokens, line by line. */
pm_status pm_session_explain(pm_session *session, int32_t n_tokens, void (*put)(void *user, const char *line),
                             void *user, pm_error *err);

/* Compiles the programs that a prompt of n_tokens and the decoding after it need, so that neither waits for it. */
pm_status pm_session_warm_up(pm_session *session, int32_t n_tokens, pm_error *err);

/* Device memory that the session holds: KV cache and programs. */
uint64_t pm_session_device_bytes(const pm_session *session);

#ifdef __cplusplus
}
#endif
#endif
