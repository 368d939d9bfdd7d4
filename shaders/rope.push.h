/* Push constants of rope.comp. */
#include "common/push_types.h"
#include "common/rows.push.h"

struct pm_rope_push {
    PM_PUSH_ROWS        /* heads of all tokens: H T */
    PM_U32 n_head;      /* values in a head: D */
    PM_U32 n_heads;     /* H */
    PM_U32 n_pairs;     /* n_rot / 2 */
    PM_U32 interleaved; /* 1: pairs (2i, 2i + 1), else (i, i + n_pairs) */
    PM_U32 n_positions; /* positions that the table reaches; others are clamped */
    PM_U32 n_fine;      /* PM_ROPE_FINE */
};
