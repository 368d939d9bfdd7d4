/* Push constants of kv_copy.comp. */
#include "common/rows.push.h"

struct pm_kv_copy_push {
    PM_PUSH_ROWS    /* copies: N */
    PM_U32 n_words; /* of a head's row: D, or D / 2 of fp16 */
    PM_U32 n_ctx;   /* positions of the cache; others are clamped */
    PM_U32 n_heads; /* in this chunk of the cache */
};
