/* Push constants of quantize_i8.comp. */
#include "common/rows.push.h"

struct pm_quantize_i8_push {
    PM_PUSH_ROWS
    PM_U32 n_blocks; /* blocks of 32 values in a row */
};
