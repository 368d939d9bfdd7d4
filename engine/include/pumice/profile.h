/* Where the time of a session goes: each op at each shape, with the memory traffic and arithmetic that it cannot
 * do without, so that it can be held against what the device can do at most (pm_device_measure). */
#ifndef PUMICE_PROFILE_H
#define PUMICE_PROFILE_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/session.h"
#include "pumice/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_profile_row {
    char op[32];    /* "matmul", or what a backend calls several ops that it does in one step */
    char shape[64]; /* of the weight where there is one ("Q4_0 576 x 1536"), else of a row of the result ("576") */
    uint64_t n_calls; /* in all passes */
    double seconds;   /* of all calls; from the beginning of one op to that of the next */
    double bytes; /* that all calls must read and write at least: weights, activations, the part of the KV cache
                     seen */
    double ops;   /* of arithmetic; a multiply-add counts as two, exp, sqrt and the like as one */
} pm_profile_row;

typedef struct pm_profile {
    pm_profile_row *rows; /* most time first; none where the device has no timestamps */
    size_t n_rows;
    double seconds; /* of all passes by the host's clock; more than the sum of the rows by what happens between */
    uint64_t n_passes;
} pm_profile;

/* From here on every pass of the session is timed op by op. A Vulkan device records commands with timestamps at
 * the first pass of each shape: run each once before what counts. PM_ERR_ARGUMENT where profiling has begun
 * already, or the session has a trace or is checked. */
pm_status pm_session_profile_begin(pm_session *session, pm_error *err);

/* Forgets what was collected so far. */
void pm_session_profile_reset(pm_session *session);

/* Ends it. out->rows are the caller's to free with pm_profile_clear. PM_ERR_ARGUMENT where it had not begun. */
pm_status pm_session_profile_end(pm_session *session, pm_profile *out, pm_error *err);
void pm_profile_clear(pm_profile *profile); /* fine on one that is all zero */

#ifdef __cplusplus
}
#endif
#endif
