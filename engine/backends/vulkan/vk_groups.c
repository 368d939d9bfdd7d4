/* Finding groups: see vk_groups.h. Nodes of a group are near each other, so each search looks a few nodes ahead.
 */
#include "backends/vulkan/vk_groups.h"

#include <stdlib.h>

enum { AHEAD = 12, WEIGHT = 0, X = 1, BIAS = 2, RESIDUAL = 3, MOST_MEMBERS = 8 };

typedef struct finder {
    pm_vk_lowering *l;
    const pm_graph *graph;
    pm_vk_groups *groups;
    int32_t *uses;   /* by tensor id: how often the storage is read; as an output of the graph, once more */
    int32_t *writer; /* by tensor id: 1 + the node that makes it */
} finder;

static int32_t storage_id(const pm_tensor *tensor)
{
    return pm_tensor_storage(tensor)->id;
}

static void gather(finder *f)
{
    for (size_t i = 0; i < f->graph->n_tensors; i++)
        if (f->graph->tensors[i]->is_output)
            f->uses[storage_id(f->graph->tensors[i])]++;
    for (size_t n = 0; n < f->graph->n_nodes; n++) {
        const pm_node *node = f->graph->nodes[n];
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i])
                f->uses[storage_id(node->in[i])]++;
        f->writer[storage_id(node->out)] = (int32_t)n + 1;
    }
}

static bool is_free(const finder *f, size_t n, pm_op op)
{
    return n < f->graph->n_nodes && f->graph->nodes[n]->op == op && !f->groups->of_node[n];
}

static bool reads(const pm_node *node, int32_t id)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] && storage_id(node->in[i]) == id)
            return true;
    return false;
}

/* Whether all members can be done where the last of them stands: what is between must not read what they make, nor
 * write what they read or make. `skip`: a tensor that is not made at all once its readers are grouped; -1: none.
 */
static bool can_wait(const finder *f, const size_t *members, int n, int32_t skip)
{
    size_t first = members[0], last = members[0];
    for (int m = 1; m < n; m++) {
        first = members[m] < first ? members[m] : first;
        last = members[m] > last ? members[m] : last;
    }
    for (size_t at = first; at < last; at++) {
        bool member = false;
        for (int m = 0; m < n; m++)
            member = member || members[m] == at;
        const pm_node *between = f->graph->nodes[at];
        for (int m = 0; m < n && !member; m++) {
            const pm_node *node = f->graph->nodes[members[m]];
            int32_t made = storage_id(node->out), written = storage_id(between->out);
            if (made == written || reads(node, written) || (made != skip && reads(between, made)))
                return false;
        }
    }
    return true;
}

static void add_group(finder *f, pm_vk_group group, const size_t *members, int n)
{
    for (int m = 0; m < n; m++) {
        group.last = members[m] > group.last ? members[m] : group.last;
        f->groups->of_node[members[m]] = (int32_t)f->groups->n + 1;
    }
    f->groups->list[f->groups->n++] = group;
}

/* ---- products of the same rows --------------------------------------------------------------------------- */

static bool joins(const finder *f, const size_t *members, int n)
{
    const pm_node *nodes[PM_VK_ROW_PARTS];
    for (int m = 0; m < n; m++)
        nodes[m] = f->graph->nodes[members[m]];
    return pm_vk_lowering_caps(f->l)->software ? pm_vk_matmul_row_joins(f->l, nodes, n)
                                               : pm_vk_matmul_vec_joins(f->l, nodes, n);
}

/* The RMSNorm that makes x, if all that reads x are products that can take the norm upon them. */
static int32_t norm_of(const finder *f, size_t at)
{
    const pm_tensor *x = f->graph->nodes[at]->in[X];
    int32_t id = storage_id(x), writer = f->writer[id], n_taken = 0;
    if (x->role != PM_ROLE_ACTIVATION || !writer)
        return -1;
    const pm_node *norm = f->graph->nodes[writer - 1];
    if (norm->op != PM_OP_RMS_NORM || norm->out->dim[0] != x->dim[0] ||
        pm_tensor_rows(norm->out) != pm_tensor_rows(x))
        return -1;
    for (size_t n = (size_t)writer; n < f->graph->n_nodes && n < (size_t)writer + AHEAD; n++) {
        const pm_node *node = f->graph->nodes[n];
        if (node->op == PM_OP_MATMUL && storage_id(node->in[X]) == id && joins(f, &n, 1))
            n_taken++;
    }
    return n_taken == f->uses[id] ? writer - 1 : -1;
}

static bool has(const pm_node *matmul, int input)
{
    return matmul->n_in > input && matmul->in[input];
}

/* The swiglu that is all that reads two products, the first as its gate. */
static size_t swiglu_of(const finder *f, const size_t *members)
{
    const pm_node *gate = f->graph->nodes[members[0]], *up = f->graph->nodes[members[1]];
    int32_t gate_id = storage_id(gate->out), up_id = storage_id(up->out);
    for (size_t n = members[1] + 1; n < members[1] + AHEAD; n++)
        if (is_free(f, n, PM_OP_SWIGLU)) {
            const pm_node *node = f->graph->nodes[n];
            bool good = storage_id(node->in[0]) == gate_id && storage_id(node->in[1]) == up_id;
            return good && f->uses[gate_id] == 1 && f->uses[up_id] == 1 && gate->out->dim[0] == up->out->dim[0]
                       ? n
                       : 0;
        }
    return 0;
}

static void find_row(finder *f, size_t at)
{
    const pm_graph *graph = f->graph;
    if (!is_free(f, at, PM_OP_MATMUL) || !joins(f, &at, 1))
        return;
    const pm_node *first = graph->nodes[at];
    pm_vk_group group = {.kind = PM_VK_GROUP_ROW};
    size_t members[MOST_MEMBERS] = {at};
    int n = 1;
    int32_t norm = norm_of(f, at), normed = norm < 0 ? -1 : storage_id(first->in[X]);
    for (size_t next = at + 1; next < at + AHEAD && n < PM_VK_ROW_PARTS && !has(first, RESIDUAL); next++) {
        const pm_node *node = next < graph->n_nodes ? graph->nodes[next] : NULL;
        if (!node || !is_free(f, next, PM_OP_MATMUL) || has(node, RESIDUAL) ||
            has(node, BIAS) != has(first, BIAS) || storage_id(node->in[X]) != storage_id(first->in[X]) ||
            node->in[WEIGHT]->type != first->in[WEIGHT]->type ||
            pm_tensor_rows(node->in[X]) != pm_tensor_rows(first->in[X]))
            continue;
        members[n++] = next;
        if (!joins(f, members, n) || !can_wait(f, members, n, normed))
            n--;
    }
    for (int m = 0; m < n; m++)
        group.row.matmul[m] = graph->nodes[members[m]];
    group.row.n = n;
    size_t swiglu = n == 2 && !has(first, BIAS) ? swiglu_of(f, members) : 0;
    if (swiglu) {
        members[n++] = swiglu;
        if (can_wait(f, members, n, normed))
            group.row.swiglu = graph->nodes[swiglu];
        else
            n--;
    }
    if (norm >= 0) { /* another group may have it already: then it is just done once more */
        group.row.norm = graph->nodes[norm];
        members[n++] = (size_t)norm;
        if (!can_wait(f, members, n, normed))
            return;
    }
    add_group(f, group, members, n);
}

/* ---- queries and keys turned, keys and values stored ---------------------------------------------------- */

static void find_turn(finder *f, size_t at)
{
    const pm_graph *graph = f->graph;
    if (!is_free(f, at, PM_OP_ROPE))
        return;
    pm_vk_group group = {.kind = PM_VK_GROUP_TURN};
    pm_vk_turn_group *turn = &group.turn;
    size_t members[4];
    int n = 0;
    for (size_t next = at; next < at + AHEAD && n < 4; next++) {
        const pm_node *node = next < graph->n_nodes ? graph->nodes[next] : NULL;
        bool rope = is_free(f, next, PM_OP_ROPE), store = is_free(f, next, PM_OP_KV_STORE);
        const pm_node **place = NULL;
        if (rope && !turn->turn_q)
            place = &turn->turn_q;
        else if (rope && !turn->turn_k)
            place = &turn->turn_k;
        else if (store && turn->turn_k && !turn->store_k &&
                 storage_id(node->in[0]) == storage_id(turn->turn_k->out))
            place = &turn->store_k;
        else if (store && turn->store_k && !turn->store_v)
            place = &turn->store_v;
        if (place) {
            *place = node;
            members[n++] = next;
        }
    }
    if (n == 4 && f->uses[storage_id(turn->turn_k->out)] == 1 && can_wait(f, members, n, -1) &&
        pm_vk_rope_store_takes(f->l, turn))
        add_group(f, group, members, n);
}

/* ---- all of them ---------------------------------------------------------------------------------------- */

pm_status pm_vk_groups_find(pm_vk_lowering *l, const pm_graph *graph, pm_vk_groups *out, pm_error *err)
{
    size_t n = graph->n_nodes ? graph->n_nodes : 1, n_tensors = graph->n_tensors ? graph->n_tensors : 1;
    *out = (pm_vk_groups){.list = calloc(n, sizeof *out->list), .of_node = calloc(n, sizeof *out->of_node)};
    finder f = {l, graph, out, calloc(n_tensors, sizeof *f.uses), calloc(n_tensors, sizeof *f.writer)};
    bool good = out->list && out->of_node && f.uses && f.writer;
    if (good) {
        gather(&f);
        for (size_t i = 0; i < graph->n_nodes; i++) {
            find_row(&f, i);
            find_turn(&f, i);
        }
    }
    free(f.uses);
    free(f.writer);
    return good ? PM_OK : pm_fail_memory(err, n * sizeof *out->list, "the groups of a graph");
}

void pm_vk_groups_free(pm_vk_groups *groups)
{
    free(groups->list);
    free(groups->of_node);
}
