/* Push constants of kv_store.comp. */
#include "common/rows.push.h"

struct pm_kv_store_push {
    PM_PUSH_ROWS       /* tokens: T */
    PM_U32 n_head;     /* values in a head: D */
    PM_U32 n_heads;    /* heads of a token: H */
    PM_U32 n_ctx;      /* positions of the cache; others are clamped */
    PM_U32 first_head; /* heads [first_head, first_head + count) are in this chunk of the cache */
    PM_U32 count;
};
