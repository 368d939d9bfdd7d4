// What every shader shares: the run parameters (set 0, binding 0), the local size (specialization constant 0), and
// the number of this workgroup when a one-dimensional grid is folded into x and y (pm_vk_grid).
#ifndef PM_PARAMS_GLSL
#define PM_PARAMS_GLSL

#include "graph/run_params.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

layout(set = 0, binding = 0, std140) uniform pm_run_params_block {
    pm_run_params run;
};

// How much of a dimension of size n this run has, when the run parameter numbered `counted` (enum pm_rows) counts it.
uint pm_counted(uint counted, uint n)
{
    return counted == 1 ? min(n, uint(run.n_tokens)) : counted == 2 ? min(n, uint(run.n_outputs)) : n;
}

uint pm_group()
{
    return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
}

uint pm_invocation()
{
    return pm_group() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
}

#endif
