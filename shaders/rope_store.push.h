/* Push constants of rope_store.comp. */
#include "common/rows.push.h"

struct pm_rope_store_push {
    PM_PUSH_ROWS       /* tokens: T */
        PM_U32 n_head; /* values in a head: D */
    PM_U32 n_heads;    /* of queries */
    PM_U32 n_kv_heads;
    PM_U32 n_positions; /* positions that the table reaches; others are clamped */
    PM_U32 n_fine;      /* PM_ROPE_FINE */
    PM_U32 n_ctx;       /* slots of the caches; others are clamped */
};
