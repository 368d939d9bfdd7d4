/* A graph: tensors and the operations that make them, in an order in which they can run.
 *
 * Model families build graphs with the functions of ops/ops.h; backends compile them. A graph is a description: it
 * holds no storage but pointers to weights on the host. Building stops at the first mistake, which pm_graph_status
 * reports, so that builders read as formulas: calls on a failed graph return NULL and do nothing.
 */
#ifndef PUMICE_GRAPH_GRAPH_H
#define PUMICE_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "graph/op_list.h"
#include "graph/run_params.h"
#include "pumice/status.h"
#include "pumice/types.h"

enum { PM_MAX_DIMS = 4, PM_MAX_INPUTS = 6, PM_NODE_ARGS_BYTES = 48 };

typedef struct pm_run_params pm_run_params;

typedef enum pm_role {
    PM_ROLE_WEIGHT,    /* constant; slot = index in the model's list of weights */
    PM_ROLE_INPUT,     /* written by the host before each run; slot = pm_input */
    PM_ROLE_STATE,     /* lives on from run to run (KV cache); slot = index in the session's list of states */
    PM_ROLE_ACTIVATION /* made by a node */
} pm_role;

/* The inputs of a run that the host writes; the slots of PM_ROLE_INPUT tensors. */
typedef enum pm_input {
    PM_INPUT_TOKENS,       /* I32 [T]: token ids */
    PM_INPUT_POSITIONS,    /* I32 [T]: position of each token in its sequence, which is also its KV-cache slot */
    PM_INPUT_OUT_ROWS,     /* I32 [R]: the rows of this run whose logits are wanted */
    PM_INPUT_HISTORY,      /* I32 [H]: the tokens of the repetition window */
    PM_INPUT_TYPES,        /* I32 [T]: the segment that each token belongs to, as BERT counts them */
    PM_INPUT_SLOTS,        /* I32 [T]: KV-cache slot of each token, where that is not its position */
    PM_INPUT_SPANS,        /* I32 [3, T]: slot, first and last slot seen: pm_attention */
    PM_INPUT_SOURCE_SPANS, /* I32 [3, T]: likewise for cross-attention */
    PM_INPUT_PLACES,       /* I32 [2, T]: position and sequence of each token: pm_attention_paged */
    PM_INPUT_PAGES,        /* I32 [N, S]: the pages of each sequence */
    PM_INPUT_SETTINGS,     /* I32 [PM_ROW_SAMPLING_WORDS, R]: struct pm_row_sampling of each row that is wanted */
    PM_INPUT_TEST          /* PM_INPUT_TEST + i: any further inputs, as tests and benchmarks have them */
} pm_input;

/* Which run parameter counts the outermost dimension of a tensor; the dimension itself is then the most it can be.
 */
typedef enum pm_rows { PM_ROWS_FIXED, PM_ROWS_TOKENS, PM_ROWS_OUTPUTS } pm_rows;

typedef struct pm_tensor {
    int32_t id; /* index in the graph's list of tensors */
    pm_role role;
    int32_t slot;
    pm_type type;
    int n_dims;
    int64_t dim[PM_MAX_DIMS];        /* dim[0] is contiguous; unused ones are 1 */
    pm_rows rows;                    /* what counts dim[n_dims - 1] */
    bool is_output;                  /* the host reads it after a run: it keeps its storage to the end */
    const struct pm_tensor *view_of; /* not NULL: the same storage under another shape */
    const void *host_data;           /* of a weight: its bytes in the model file's layout; else NULL */
    char name[48];
} pm_tensor;

typedef struct pm_node {
    pm_op op;
    int n_in;
    const pm_tensor *in[PM_MAX_INPUTS]; /* an optional input that is absent is NULL */
    pm_tensor *out;                     /* an activation, or the state that the node writes into */
    union {
        int64_t align;
        unsigned char bytes[PM_NODE_ARGS_BYTES];
    } args; /* the op's pm_<op>_args of ops/ops.h; read with PM_ARGS */
} pm_node;

/* The arguments of a node: const pm_rope_args *a = PM_ARGS(node, pm_rope_args). */
#define PM_ARGS(node, type) ((const type *)(const void *)(node)->args.bytes)

typedef struct pm_graph pm_graph;
struct pm_graph {
    pm_arena arena;
    pm_tensor **tensors;
    size_t n_tensors, cap_tensors;
    pm_node **nodes;
    size_t n_nodes, cap_nodes;
    const char *prefix; /* put before the names of new activations and states, "blk.3."; borrowed until changed */
    pm_error error;     /* the first mistake; status PM_OK while there is none */
};

pm_status pm_graph_create(pm_graph **out, pm_error *err);
void pm_graph_destroy(pm_graph *graph); /* NULL is fine */

/* PM_OK, or the first mistake made while building. */
pm_status pm_graph_status(const pm_graph *graph, pm_error *err);

/* Marks the graph as failed (the first mistake stays) and returns NULL. */
pm_tensor *pm_graph_fail(pm_graph *graph, pm_status status, const char *format, ...) PM_PRINTF(3, 4);

/* Leaves. `dims` has n_dims entries; each at least 1, the product of all below 2^48. Asking for the same role and
 * slot again gives the same tensor (a table that every layer reads, a tied embedding); another shape is a mistake.
 */
pm_tensor *pm_graph_weight(pm_graph *graph, int32_t slot, pm_type type, int n_dims, const int64_t *dims,
                           const void *host_data, const char *name);
pm_tensor *pm_graph_input(pm_graph *graph, int32_t slot, pm_type type, int n_dims, const int64_t *dims,
                          pm_rows rows, const char *name);
pm_tensor *pm_graph_state(pm_graph *graph, int32_t slot, pm_type type, int n_dims, const int64_t *dims,
                          const char *name);

/* For op builders: a new activation, a view of all of `base` under another shape, and a node that makes `out`.
 * args may be NULL when args_size is 0. */
pm_tensor *pm_graph_activation(pm_graph *graph, pm_type type, int n_dims, const int64_t *dims, pm_rows rows,
                               const char *name);
pm_tensor *pm_graph_view(pm_graph *graph, const pm_tensor *base, int n_dims, const int64_t *dims);
pm_node *pm_graph_node(pm_graph *graph, pm_op op, pm_tensor *out, int n_in, const pm_tensor *const *in,
                       const void *args, size_t args_size);

/* Marks a tensor as read by the host after each run. */
void pm_graph_output(pm_graph *graph, pm_tensor *tensor);

/* "Q4_1 [576, 49152]", for messages. Returns buffer. */
const char *pm_tensor_describe(const pm_tensor *tensor, char *buffer, size_t capacity);

/* Facts about a tensor. Elements and bytes are for the full shape; rows are the product of all dims but dim[0]. */
int64_t pm_tensor_elems(const pm_tensor *tensor);
size_t pm_tensor_bytes(const pm_tensor *tensor);
int64_t pm_tensor_rows(const pm_tensor *tensor);
/* The rows that a run with these parameters has; of a counted tensor with one dimension, its elements. */
int64_t pm_tensor_rows_now(const pm_tensor *tensor, const pm_run_params *params);
/* The tensor whose storage this one uses: itself, or what it is a view of. */
const pm_tensor *pm_tensor_storage(const pm_tensor *tensor);

/* Fusion: rewrites nodes into fewer ones that mean the same, where the backend says that it has the richer form.
 * Today: matmul followed by an add of a residual. */
typedef bool (*pm_supports_fn)(void *context, const pm_node *node);
pm_status pm_graph_fuse(pm_graph *graph, pm_supports_fn supports, void *context, pm_error *err);

/* Memory plan: packs items with known lifetimes into one arena. offset is filled in. Returns the arena's size.
 * An item is alive from step `first` to step `last`, both inclusive; two items whose lifetimes meet never overlap.
 */
typedef struct pm_plan_item {
    size_t size;
    int32_t first, last;
    size_t offset; /* out; a multiple of align */
} pm_plan_item;
pm_status pm_plan_memory(pm_plan_item *items, size_t n_items, size_t align, size_t *total, pm_error *err);

/* The lifetimes of a graph's activations, one item a tensor id: size 0 for tensors that need no place in the arena
 * (weights, inputs, states, views). An output lives to the end. */
pm_status pm_graph_lifetimes(const pm_graph *graph, pm_plan_item *items, pm_error *err);

#endif
