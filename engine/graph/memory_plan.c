/* The memory plan: where each activation lies in one arena, so that storage is reused as soon as it is free.
 *
 * Items are placed largest first, each into the smallest gap that fits between those already placed whose
 * lifetimes meet its own, or above them all. The largest tensors decide the arena's size, and they find it empty;
 * the small ones fill what is left. Quadratic in the number of items, which is some hundreds.
 */
#include "graph/graph.h"

#include <stdlib.h>

typedef struct placed {
    const pm_plan_item *item;
    size_t begin, end;
} placed;

static int by_size_and_time(const void *a, const void *b)
{
    const pm_plan_item *x = *(pm_plan_item *const *)a, *y = *(pm_plan_item *const *)b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1; /* a chain of equal items then takes turns in two places */
    return x < y ? -1 : x > y;               /* the same plan every time */
}

static bool meet(const pm_plan_item *a, const pm_plan_item *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The offset for `item` of `size` bytes; `done` is sorted by begin. */
static size_t find_place(const pm_plan_item *item, size_t size, const placed *done, size_t n_done)
{
    size_t top = 0, best = SIZE_MAX, best_gap = SIZE_MAX;
    for (size_t i = 0; i < n_done; i++) {
        if (!meet(item, done[i].item))
            continue;
        if (done[i].begin > top && done[i].begin - top >= size && done[i].begin - top < best_gap) {
            best = top;
            best_gap = done[i].begin - top;
        }
        if (done[i].end > top)
            top = done[i].end;
    }
    return best != SIZE_MAX ? best : top;
}

static void insert(placed *done, size_t n_done, placed new_one)
{
    size_t at = n_done;
    for (; at > 0 && done[at - 1].begin > new_one.begin; at--)
        done[at] = done[at - 1];
    done[at] = new_one;
}

static pm_status check_items(const pm_plan_item *items, size_t n_items, size_t align, pm_error *err)
{
    if (align == 0 || (align & (align - 1)) != 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "memory plan: alignment %zu is no power of two", align);
    size_t sum = 0;
    for (size_t i = 0; i < n_items; i++) {
        if (items[i].size > 0 && items[i].first > items[i].last)
            return pm_fail(err, PM_ERR_ARGUMENT, "memory plan: item %zu lives from step %d to step %d", i,
                           items[i].first, items[i].last);
        if (items[i].size > SIZE_MAX / 2 - align - sum)
            return pm_fail(err, PM_ERR_LIMIT, "memory plan: the sizes of %zu items overflow", n_items);
        sum += (items[i].size + align - 1) & ~(align - 1);
    }
    return PM_OK;
}

pm_status pm_plan_memory(pm_plan_item *items, size_t n_items, size_t align, size_t *total, pm_error *err)
{
    *total = 0;
    PM_TRY(check_items(items, n_items, align, err));
    pm_plan_item **order = malloc((n_items + 1) * sizeof *order);
    placed *done = malloc((n_items + 1) * sizeof *done);
    if (!order || !done) {
        free(order);
        free(done);
        return pm_fail_memory(err, n_items * sizeof *done, "a memory plan");
    }
    size_t n_order = 0, n_done = 0;
    for (size_t i = 0; i < n_items; i++) {
        items[i].offset = 0;
        if (items[i].size > 0)
            order[n_order++] = &items[i];
    }
    qsort(order, n_order, sizeof(pm_plan_item *), by_size_and_time);
    for (size_t i = 0; i < n_order; i++) {
        size_t size = (order[i]->size + align - 1) & ~(align - 1);
        size_t begin = find_place(order[i], size, done, n_done);
        insert(done, n_done++, (placed){order[i], begin, begin + size});
        order[i]->offset = begin;
        if (begin + size > *total)
            *total = begin + size;
    }
    free(order);
    free(done);
    return PM_OK;
}

pm_status pm_graph_lifetimes(const pm_graph *graph, pm_plan_item *items, pm_error *err)
{
    for (size_t i = 0; i < graph->n_tensors; i++)
        items[i] = (pm_plan_item){.first = -1, .last = -1};
    if (graph->n_nodes >= INT32_MAX)
        return pm_fail(err, PM_ERR_LIMIT, "a graph of %zu nodes is too long", graph->n_nodes);
    for (int32_t step = 0; step < (int32_t)graph->n_nodes; step++) {
        const pm_node *node = graph->nodes[step];
        for (int i = 0; i < node->n_in; i++) {
            const pm_tensor *in = node->in[i] ? pm_tensor_storage(node->in[i]) : NULL;
            if (!in || in->role != PM_ROLE_ACTIVATION)
                continue;
            if (items[in->id].size == 0)
                return pm_fail(err, PM_ERR_INTERNAL, "node %d (%s) reads '%s' before any node has made it", step,
                               pm_op_name(node->op), in->name);
            items[in->id].last = step;
        }
        const pm_tensor *out = pm_tensor_storage(node->out);
        if (out->role != PM_ROLE_ACTIVATION)
            continue;
        pm_plan_item *item = &items[out->id];
        if (item->size == 0)
            item->first = step;
        item->size = pm_tensor_bytes(out);
        item->last = out->is_output ? (int32_t)graph->n_nodes : step;
    }
    for (size_t i = 0; i < graph->n_tensors; i++)
        if (items[i].size > 0 && graph->tensors[i]->is_output)
            items[i].last = (int32_t)graph->n_nodes;
    return PM_OK;
}
