/* Fusion: nodes that a backend can do in one go become one node. See graph.h.
 *
 * matmul, then add of a residual: y = W x (+ bias); z = y + r becomes one matmul with r as its residual, so that y
 * is never written to memory. The new node stands where the add stood: by then every input of both has been made.
 * Left alone: a product that something else reads too, or the host, and an add that repeats a row.
 */
#include "graph/graph.h"

#include <stdlib.h>
#include <string.h>

enum { MATMUL_WEIGHT, MATMUL_X, MATMUL_BIAS, MATMUL_RESIDUAL, MATMUL_INPUTS };

typedef struct fuse_facts {
    int32_t *uses;   /* by tensor id: how often the storage is read, through views too */
    int32_t *writer; /* by tensor id: the node that makes it; -1: none */
} fuse_facts;

static void gather(const pm_graph *graph, fuse_facts *facts)
{
    for (size_t i = 0; i < graph->n_tensors; i++)
        facts->writer[i] = -1;
    for (size_t n = 0; n < graph->n_nodes; n++) {
        const pm_node *node = graph->nodes[n];
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i])
                facts->uses[pm_tensor_storage(node->in[i])->id]++;
        facts->writer[pm_tensor_storage(node->out)->id] = (int32_t)n;
    }
}

/* The matmul that makes `product` and can take a residual; NULL where there is none. */
static const pm_node *open_matmul(const pm_graph *graph, const fuse_facts *facts, const pm_tensor *product)
{
    if (product->role != PM_ROLE_ACTIVATION || product->view_of || product->is_output ||
        facts->uses[product->id] != 1 || facts->writer[product->id] < 0)
        return NULL;
    const pm_node *node = graph->nodes[facts->writer[product->id]];
    if (!node || node->op != PM_OP_MATMUL || (node->n_in > MATMUL_RESIDUAL && node->in[MATMUL_RESIDUAL]))
        return NULL;
    /* A state may be written between the product and the add; it would then be read too late. */
    return pm_tensor_storage(node->in[MATMUL_X])->role == PM_ROLE_STATE ? NULL : node;
}

static bool same_shape(const pm_tensor *a, const pm_tensor *b)
{
    return a->type == b->type && memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}

/* Turns the add at index `at` into a matmul if it can be one; the old matmul's place in the list becomes NULL. */
static void fuse_residual(pm_graph *graph, const fuse_facts *facts, size_t at, pm_supports_fn supports,
                          void *context)
{
    pm_node *add = graph->nodes[at];
    for (int side = 1; side >= 0; side--) { /* a + W x, as residual blocks write it, first */
        const pm_tensor *product = add->in[side], *residual = add->in[1 - side];
        if (!same_shape(product, residual))
            return;
        const pm_node *matmul = open_matmul(graph, facts, product);
        if (!matmul || residual == product)
            continue;
        pm_node fused = *matmul;
        fused.n_in = MATMUL_INPUTS;
        fused.in[MATMUL_RESIDUAL] = residual;
        fused.out = add->out;
        if (!supports(context, &fused))
            continue;
        graph->nodes[facts->writer[product->id]] = NULL;
        *add = fused;
        memcpy(add->out->name, product->name, sizeof product->name);
        return;
    }
}

pm_status pm_graph_fuse(pm_graph *graph, pm_supports_fn supports, void *context, pm_error *err)
{
    PM_TRY(pm_graph_status(graph, err));
    fuse_facts facts = {calloc(graph->n_tensors + 1, sizeof(int32_t)),
                        calloc(graph->n_tensors + 1, sizeof(int32_t))};
    if (!facts.uses || !facts.writer) {
        free(facts.uses);
        free(facts.writer);
        return pm_fail_memory(err, graph->n_tensors * sizeof(int32_t), "fusing a graph");
    }
    gather(graph, &facts);
    for (size_t n = 0; n < graph->n_nodes; n++)
        if (graph->nodes[n]->op == PM_OP_ADD)
            fuse_residual(graph, &facts, n, supports, context);
    size_t n_kept = 0;
    for (size_t n = 0; n < graph->n_nodes; n++)
        if (graph->nodes[n])
            graph->nodes[n_kept++] = graph->nodes[n];
    graph->n_nodes = n_kept;
    free(facts.uses);
    free(facts.writer);
    return PM_OK;
}
