/* Push constants of repeat_penalty.comp and repeat_penalty_copy.comp. */
#include "common/rows.push.h"

struct pm_repeat_penalty_push {
    PM_PUSH_ROWS
    PM_U32 n_row;     /* logits in a row: V */
    PM_U32 n_history; /* tokens that the history has room for */
};
