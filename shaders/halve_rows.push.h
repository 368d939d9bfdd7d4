/* Push constants of halve_rows.comp. */
#include "common/rows.push.h"

struct pm_halve_rows_push {
    PM_PUSH_ROWS
    PM_U32 n_k;      /* values in a row */
    PM_U32 n_blocks; /* blocks of 32 values in a row */
};
