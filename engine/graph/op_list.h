/* The one list of ops. Everything that goes by op (enum, names, reference kernels, CPU kernels, Vulkan lowering, the
 * op test table) is generated from it; contracts are in ops/ops.h. */
#ifndef PUMICE_GRAPH_OP_LIST_H
#define PUMICE_GRAPH_OP_LIST_H

/* clang-format off */
#define PM_OP_LIST(X) \
    X(EMBEDDING, embedding)           \
    X(MATMUL, matmul)                 \
    X(RMS_NORM, rms_norm)             \
    X(LAYER_NORM, layer_norm)         \
    X(ROPE, rope)                     \
    X(KV_STORE, kv_store)             \
    X(KV_COPY, kv_copy)               \
    X(ATTENTION, attention)           \
    X(SOFTMAX, softmax)               \
    X(SILU, silu)                     \
    X(SWIGLU, swiglu)                 \
    X(GELU, gelu)                     \
    X(RELU, relu)                     \
    X(TANH, tanh)                     \
    X(SCALE, scale)                   \
    X(ADD, add)                       \
    X(MUL, mul)                       \
    X(REPEAT_PENALTY, repeat_penalty) \
    X(ARGMAX, argmax)                 \
    X(SAMPLE, sample)
/* clang-format on */

typedef enum pm_op {
#define PM_OP_ENUM(upper, lower) PM_OP_##upper,
    PM_OP_LIST(PM_OP_ENUM)
#undef PM_OP_ENUM
    PM_OP_COUNT
} pm_op;

/* The op's name as in this list ("rms_norm"), "?" outside it. */
const char *pm_op_name(pm_op op);

#endif
