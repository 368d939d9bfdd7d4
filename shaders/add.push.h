/* Push constants of add.comp. */
#include "common/push_types.h"

struct pm_add_push {
    PM_U32 n_row;   /* values in a row (dim[0]) */
    PM_U32 n_rows;  /* rows of the full shape */
    PM_U32 rows_of; /* rows of this run: 0: n_rows; 1: run.n_tokens * rows_per; 2: run.n_outputs * rows_per */
    PM_U32 rows_per;
    PM_U32 repeat_b; /* 1: b is one row, added to every row */
};
