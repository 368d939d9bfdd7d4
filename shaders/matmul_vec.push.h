/* Push constants of matmul_vec.comp. */
#include "common/rows.push.h"

struct pm_matmul_vec_push {
    PM_PUSH_ROWS        /* of x and out: T */
    PM_U32 n_k;         /* values in a row of x: K */
    PM_U32 n_blocks;    /* blocks of 32 values in a row of a weight */
    PM_F32 eps;         /* of the norm */
    PM_U32 first_row;   /* what row 0 of the first weight is in the whole, of which this is a chunk */
    PM_U32 first_group; /* this dispatch makes groups of 4 rows [first_group, end_group) of the first weight */
    PM_U32 end_group;
    PM_U32 quants[3]; /* where the planes of each weight begin, in elements of what is bound */
    PM_U32 scales[3];
    PM_U32 super[3];
    PM_U32 bias[3];  /* the same of each bias, in floats */
    PM_U32 n_out[3]; /* values in a row of each out, 0: there are fewer weights */
};
