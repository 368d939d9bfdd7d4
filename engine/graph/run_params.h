/* What changes from run to run of a compiled plan. Included by C and by GLSL (as the uniform block of every
 * shader), so only 4-byte members; everything else about a plan is fixed when it is compiled. */
#ifndef PUMICE_RUN_PARAMS_H
#define PUMICE_RUN_PARAMS_H

#ifdef GL_core_profile
#define PM_INT   int
#define PM_UINT  uint
#define PM_FLOAT float
#else
#include <stdint.h>
#define PM_INT   int32_t
#define PM_UINT  uint32_t
#define PM_FLOAT float
#endif

struct pm_run_params {
    PM_INT n_tokens;         /* rows of this run, at most the plan's bucket */
    PM_INT n_outputs;        /* rows whose logits are wanted, at most the plan's bucket of outputs */
    PM_INT n_kv;             /* KV-cache positions in use after this run: largest position + 1 */
    PM_INT n_history;        /* tokens in the repetition window */
    PM_FLOAT repeat_penalty; /* 1: off */
    PM_FLOAT temperature;    /* 0: greedy */
    PM_INT top_k;            /* 0: off */
    PM_FLOAT top_p;          /* 1: off */
    PM_FLOAT min_p;          /* 0: off */
    PM_UINT seed_lo;
    PM_UINT seed_hi;
    PM_UINT draw; /* counter of the random draw: the position of the token being sampled */
};

/* Sampling settings of one row, where each row of a run has its own: as above, and draw counts for this row alone.
 */
struct pm_row_sampling {
    PM_INT n_history;
    PM_FLOAT repeat_penalty;
    PM_FLOAT temperature;
    PM_INT top_k;
    PM_FLOAT top_p;
    PM_FLOAT min_p;
    PM_UINT seed_lo;
    PM_UINT seed_hi;
    PM_UINT draw;
};
#define PM_ROW_SAMPLING_WORDS 9

#undef PM_INT
#undef PM_UINT
#undef PM_FLOAT
#endif
