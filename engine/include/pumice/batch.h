/* A batch: several timelines of tokens over one model, evaluated together, a pass at a time.
 *
 * Sequences join and leave between any two passes (continuous batching). Each pass takes one token of every
 * sequence that is being decoded and fills up with prompts, a block at a time, so that a long prompt does not hold
 * the others up for long. The KV cache is one pool of pages that sequences take as they grow; what a sequence had
 * in whole pages stays there after it has ended, until the room is needed, so that another that begins with the
 * same tokens (a system prompt, a conversation that goes on) does not compute them again. When the pool is full,
 * the sequence that joined last gives its pages back and is evaluated again later: nothing is lost but time.
 * Decoder-only models. Mutable; one thread at a time. Sources: Yu et al. 2022 (Orca, iteration-level scheduling);
 * Kwon et al. 2023 (PagedAttention), arXiv:2309.06180. */
#ifndef PUMICE_BATCH_H
#define PUMICE_BATCH_H

#include "pumice/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_batch pm_batch;

typedef struct pm_batch_options {
    int32_t n_sequences; /* most that are evaluated together; others wait; 0: 16 */
    int32_t n_ctx;       /* most tokens of a sequence; 0: the model's training context, at most 4096 */
    int32_t n_cache;     /* tokens that the KV cache has room for, at least n_ctx; 0: n_sequences * n_ctx, or less
                            where that     would take more than a quarter of the device's free memory */
    int32_t page;        /* tokens of a page; 0: 32 */
    int32_t n_batch;     /* most tokens of a pass; 0: 512 */
    pm_kv_type kv_type;  /* as of a session, and so are the others */
    uint8_t check;
    pm_trace *trace;
    int (*should_stop)(void *user);
    void *stop_user;
} pm_batch_options;

/* options may be NULL. Errors: PM_ERR_UNSUPPORTED (no decoder-only model), PM_ERR_ARGUMENT, and those of
 * pm_session_create. The model must outlive the batch. */
pm_status pm_batch_create(pm_model *model, const pm_batch_options *options, pm_batch **out, pm_error *err);
void pm_batch_destroy(pm_batch *batch); /* NULL is fine */

/* A new sequence that begins with n >= 1 tokens: *id is its number, never used again. It waits its turn; passes
 * choose tokens for it until pm_batch_end. sampling: NULL means greedy; the same seed, settings and tokens choose
 * the same tokens, whatever else is in the batch, as far as the device rounds alike in passes of other sizes.
 * Errors: PM_ERR_ARGUMENT, PM_ERR_LIMIT (more than n_ctx tokens), PM_ERR_MEMORY. */
pm_status pm_batch_add(pm_batch *batch, const int32_t *tokens, size_t n, const pm_sampling *sampling, int64_t *id,
                       pm_error *err);

/* Ends a sequence, waiting or running. PM_ERR_NOT_FOUND where there is none with that number. */
pm_status pm_batch_end(pm_batch *batch, int64_t id, pm_error *err);

typedef struct pm_batch_choice {
    int64_t id;    /* the sequence */
    int32_t token; /* chosen to follow; it stands on the sequence's timeline already */
    uint8_t full;  /* the sequence has n_ctx tokens: no more can be chosen, and it has ended */
} pm_batch_choice;

/* One pass. chosen[n_sequences]: the tokens that it chose, *n of them, at most one a sequence; there may be none
 * while prompts are evaluated. Does nothing where there are no sequences. After an error the batch is as before
 * the pass, but for sequences that may wait again. Errors: those of pm_session_next. */
pm_status pm_batch_step(pm_batch *batch, pm_batch_choice *chosen, size_t *n, pm_error *err);

/* Whether pm_batch_step would do anything. */
int pm_batch_has_work(const pm_batch *batch);

typedef struct pm_batch_stats {
    int32_t n_sequences, n_ctx, page; /* the options, with the defaults filled in */
    int32_t n_pages, n_pages_used;    /* of the cache; used: by sequences that run */
    int32_t n_pages_kept;             /* of sequences that have ended, for others that begin alike */
    int32_t n_running, n_waiting;
    int64_t n_passes, n_evaluated; /* since the batch was created: passes, tokens evaluated in them */
    int64_t n_reused;              /* tokens that were found in the cache instead */
    int64_t n_put_off;             /* how often a sequence had to give its pages back */
} pm_batch_stats;
void pm_batch_get_stats(const pm_batch *batch, pm_batch_stats *stats);

/* Device memory that the batch holds: KV cache and programs. */
uint64_t pm_batch_device_bytes(const pm_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
