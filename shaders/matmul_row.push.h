/* Push constants of matmul_row.comp. */
#include "common/rows.push.h"

struct pm_matmul_row_push {
    PM_PUSH_ROWS      /* of x: one at most */
        PM_U32 n_k;   /* values of x: K */
    PM_U32 n_blocks;  /* blocks of 32 values in a row of a weight */
    PM_F32 eps;       /* of the norm */
    PM_U32 quants[3]; /* where the planes of each weight begin, in texels of their views */
    PM_U32 scales[3];
    PM_U32 super[3];
    PM_U32 n_out[3]; /* rows of each weight, 0: there are fewer weights */
};
