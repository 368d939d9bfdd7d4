/* Push constants of the matmul shaders. */
#include "common/rows.push.h"

struct pm_matmul_push {
    PM_PUSH_ROWS        /* of x and out: T */
    PM_U32 n_k;         /* values in a row of x: K */
    PM_U32 n_blocks;    /* blocks of 32 values in a row of the weight */
    PM_U32 n_out;       /* values in a row of out: N */
    PM_U32 first_row;   /* of the weight: what row 0 of this chunk is in the whole */
    PM_U32 first_group; /* this dispatch makes groups of 4 rows [first_group, end_group) of the chunk */
    PM_U32 end_group;
    PM_U32 n_part;      /* blocks along K that a workgroup of matmul_tiles.comp adds up */
};
