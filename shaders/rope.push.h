/* Push constants of rope.comp. */
#include "common/rows.push.h"

struct pm_rope_push {
    PM_PUSH_ROWS        /* tokens: T */
    PM_U32 n_head;      /* values in a head: D */
    PM_U32 n_heads;     /* H */
    PM_U32 n_pairs;     /* n_rot / 2 */
    PM_U32 n_positions; /* positions that the table reaches; others are clamped */
    PM_U32 n_fine;      /* PM_ROPE_FINE */
    PM_U32 heads_each;  /* heads that a workgroup turns */
};
