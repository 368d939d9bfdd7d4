// Sums and maxima over a workgroup; every invocation gets the result and all must call. Plain: a tree in shared memory.
// With -DPM_SUBGROUP: subgroup arithmetic, and shared memory only between subgroups; specialization constant 1 says
// that the workgroup is one subgroup, which needs neither shared memory nor barriers.
#ifndef PM_REDUCE_GLSL
#define PM_REDUCE_GLSL

#ifdef PM_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
layout(constant_id = 1) const uint PM_ONE_SUBGROUP = 0;
#endif

#ifndef PM_MAX_LOCAL
#define PM_MAX_LOCAL 256
#endif

#ifdef PM_SUBGROUP
#define PM_REDUCE(name, type, subgroup_op, join)                                                                   \
    shared type name##_parts[PM_MAX_LOCAL];                                                                        \
    type name(type value)                                                                                          \
    {                                                                                                              \
        value = subgroup_op(value);                                                                                \
        if (PM_ONE_SUBGROUP == 0) {                                                                                \
            if (subgroupElect())                                                                                   \
                name##_parts[gl_SubgroupID] = value;                                                               \
            barrier();                                                                                             \
            value = name##_parts[0];                                                                               \
            for (uint i = 1; i < gl_NumSubgroups; i++)                                                             \
                value = join(value, name##_parts[i]);                                                              \
            barrier();                                                                                             \
        }                                                                                                          \
        return value;                                                                                              \
    }
#else
#define PM_REDUCE(name, type, subgroup_op, join)                                                                   \
    shared type name##_parts[PM_MAX_LOCAL];                                                                        \
    type name(type value)                                                                                          \
    {                                                                                                              \
        uint lane = gl_LocalInvocationID.x;                                                                        \
        name##_parts[lane] = value;                                                                                \
        barrier();                                                                                                 \
        for (uint step = gl_WorkGroupSize.x / 2; step > 0; step /= 2) {                                            \
            if (lane < step)                                                                                       \
                name##_parts[lane] = join(name##_parts[lane], name##_parts[lane + step]);                          \
            barrier();                                                                                             \
        }                                                                                                          \
        value = name##_parts[0];                                                                                   \
        barrier();                                                                                                 \
        return value;                                                                                              \
    }
#endif
#define PM_JOIN_ADD(a, b) ((a) + (b))

#endif
