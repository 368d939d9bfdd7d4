/* Push constants of softmax.comp. */
#include "common/rows.push.h"

struct pm_softmax_push {
    PM_PUSH_ROWS
    PM_U32 n_row; /* values in a row: C */
};
