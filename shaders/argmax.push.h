/* Push constants of argmax.comp and sample.comp. */
#include "common/rows.push.h"

struct pm_argmax_push {
    PM_PUSH_ROWS
    PM_U32 n_row; /* values in a row: V */
};
