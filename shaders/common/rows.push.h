/* Rows of a tensor that a run computes, as part of a push-constant struct; common/rows.glsl reads them. */
#ifndef PUMICE_ROWS_PUSH_H
#define PUMICE_ROWS_PUSH_H

#include "common/push_types.h"

#define PM_PUSH_ROWS                                                                                               \
    PM_U32 n_rows;   /* rows of the full shape */                                                                  \
    PM_U32 rows_of;  /* rows of this run: 0: n_rows; 1: run.n_tokens * rows_per; 2: run.n_outputs * rows_per */    \
    PM_U32 rows_per; /* rows that one of what is counted has */

#endif
