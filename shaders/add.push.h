/* Push constants of add.comp. */
#include "common/push_types.h"

struct pm_add_push {
    PM_U32 n_outer; /* the outermost dimension of the full shape */
    PM_U32 n_inner; /* values in one index of it */
    PM_U32 counted; /* pm_rows: what counts the outermost dimension in this run */
    PM_U32 n_b;     /* values of b, which is repeated where it has fewer than a */
};
