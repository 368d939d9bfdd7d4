// The body of the ops that go element by element: the file that includes this has defined PM_MAP(a), or, with
// PM_TWO_INPUTS, PM_MAP(a, b), for vec4 and for float. One invocation makes four values, or, where C is no multiple of
// four, one.
#ifndef PM_ELEMENTWISE_GLSL
#define PM_ELEMENTWISE_GLSL

#include "common/rows.glsl"
#include "common/elementwise.push.h"

layout(constant_id = 1) const uint PM_ALIGNED = 1; // C is a multiple of 4

layout(push_constant) uniform push_block { pm_elementwise_push push; };
layout(set = 1, binding = 0) readonly restrict buffer a_block { vec4 a[]; };
#ifdef PM_TWO_INPUTS
layout(set = 1, binding = 1) readonly restrict buffer b_block { vec4 b[]; };
layout(set = 1, binding = 2) writeonly restrict buffer out_block { vec4 result[]; };
#define PM_RESULT(load, i, period) PM_MAP(load(a, i), load(b, push.repeat_b == 1 ? (i) % (period) : (i)))
#else
layout(set = 1, binding = 1) writeonly restrict buffer out_block { vec4 result[]; };
#define PM_RESULT(load, i, period) PM_MAP(load(a, i))
#endif
#define PM_FOUR(array, i) array[i]

void main()
{
    uint n = PM_ROWS_NOW(push) * push.n_row, i = pm_invocation();
    if (PM_ALIGNED != 0) {
        if (4 * i < n)
            result[i] = PM_RESULT(PM_FOUR, i, push.n_row / 4);
    } else if (i < n) {
        PM_AT(result, i) = PM_RESULT(PM_AT, i, push.n_row);
    }
}

#endif
