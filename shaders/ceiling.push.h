/* Push constants of the ceiling_* shaders, which measure what a device can do at most. */
#ifndef PM_CEILING_PUSH_H
#define PM_CEILING_PUSH_H

#include "common/push_types.h"

struct pm_ceiling_push {
    PM_U32 steps; /* loads, or rounds of arithmetic, an invocation */
    PM_U32 never; /* a value that no result has */
};

#endif
