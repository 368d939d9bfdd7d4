/* Push constants of attention.comp and attention_merge.comp. */
#include "common/rows.push.h"

struct pm_attention_push {
    PM_PUSH_ROWS       /* tokens: T */
    PM_U32 first_row;  /* this dispatch makes tokens [first_row, end_row) */
    PM_U32 end_row;
    PM_U32 n_head;     /* values in a head: D */
    PM_U32 n_heads;    /* H */
    PM_U32 per_kv;     /* query heads that share a head of the cache */
    PM_U32 first_head; /* query heads [first_head, first_head + count) are in this chunk of the caches */
    PM_U32 count;
    PM_U32 n_ctx;      /* slots of the caches */
    PM_U32 window;     /* 0: none */
    PM_U32 n_splits;   /* parts of the range of positions; more than 1: parts go to scratch and are merged */
    PM_U32 least;      /* positions that a part has at least */
    PM_U32 page;       /* with pages: slots of one, and the table's [n_pages, n_sequences] */
    PM_U32 n_pages;
    PM_U32 n_sequences;
    PM_U32 n_bias;     /* values of bias for a head: 2 M + 1 */
    PM_F32 scale;
    PM_F32 softcap;    /* 0: none */
};
