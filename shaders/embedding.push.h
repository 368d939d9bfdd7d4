/* Push constants of embedding.comp and embedding_rows.comp. */
#include "common/rows.push.h"

struct pm_embedding_push {
    PM_PUSH_ROWS     /* of out */
    PM_U32 n_row;    /* values in a row */
    PM_U32 n_blocks; /* blocks of 32 values in a row of the table */
    PM_U32 n_table;  /* rows of the whole table: ids are clamped to it */
    PM_U32 first;    /* the rows [first, first + count) of the table are in this chunk; others are passed over */
    PM_U32 count;
};
