/* Push constants of layer_norm.comp. */
#include "common/rows.push.h"

struct pm_layer_norm_push {
    PM_PUSH_ROWS
    PM_U32 n_row; /* values in a row: C */
    PM_F32 eps;
};
