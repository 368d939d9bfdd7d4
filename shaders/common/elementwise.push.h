/* Push constants of the ops that go element by element. */
#include "common/rows.push.h"

struct pm_elementwise_push {
    PM_PUSH_ROWS
    PM_U32 n_row;    /* values in a row */
    PM_U32 repeat_b; /* add: 1: b is one row, added to every row */
    PM_F32 value;    /* scale: the factor; tanh: the cap */
};
