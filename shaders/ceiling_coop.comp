// The ceiling of cooperative matrices: PM_CHAINS independent chains of products of halves, added up in fp32, a subgroup; a
// step is one of each.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "ceiling.push.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant) uniform push_block { pm_ceiling_push push; };
layout(set = 1, binding = 0) writeonly restrict buffer out_block { float result[]; };

const uint PM_CHAINS = 8;
#define MATRIX(type, use) coopmat<type, gl_ScopeSubgroup, 16, 16, use>

void main()
{
    MATRIX(float16_t, gl_MatrixUseA) a[2];
    MATRIX(float16_t, gl_MatrixUseB) b[4];
    MATRIX(float, gl_MatrixUseAccumulator) sums[PM_CHAINS];
    float16_t own = float16_t(0.001 * float(gl_LocalInvocationID.x + 1));
    [[unroll]] for (uint i = 0; i < 2; i++)
        a[i] = MATRIX(float16_t, gl_MatrixUseA)(own * float16_t(i + 1));
    [[unroll]] for (uint j = 0; j < 4; j++)
        b[j] = MATRIX(float16_t, gl_MatrixUseB)(own * float16_t(j + 3));
    [[unroll]] for (uint c = 0; c < PM_CHAINS; c++)
        sums[c] = MATRIX(float, gl_MatrixUseAccumulator)(float(c));
    for (uint i = 0; i < push.steps; i++) {
        [[unroll]] for (uint c = 0; c < PM_CHAINS; c++)
            sums[c] = coopMatMulAdd(a[c / 4], b[c % 4], sums[c]);
    }
    float sum = 0.0;
    [[unroll]] for (uint c = 0; c < PM_CHAINS; c++)
        sum += sums[c][0];
    if (sum == uintBitsToFloat(push.never)) { // it is not, but the compiler cannot know
        [[unroll]] for (uint c = 0; c < PM_CHAINS; c++)
            coopMatStore(sums[c], result, c * 256, 16, gl_CooperativeMatrixLayoutRowMajor);
    }
}
