/* The merges that ever happen, for models that much text is searched with.
 *
 * Most tokens could be joined from several pairs, and rank files and tokenizer.json list them all. But merging the
 * bytes of a token goes one way, in any text, as nothing outside of them takes part: of all its merges only the
 * last one on that way is ever done. Taken in the order of their ranks, it is the one whose two sides stay apart
 * under the merges before it, which the search knows how to tell (bpe_stay_apart). What cannot be told is kept.
 *
 * The table is a third as large, and how each token came about is known with it. So is what may happen at its
 * edges, as sets of classes of symbols: two tokens whose sets do not meet stay apart.
 */
#include "bpe/bpe.h"

#include <stdlib.h>
#include <string.h>

/* Merges by rank, and what is known so far. */
typedef struct pruning {
    bpe_model *bpe;
    bpe_pruned *made;
    bpe_merge *sorted;
    size_t n;
    bpe_split *splits; /* of tokens that are known */
    uint8_t *known;    /* merging the token's bytes gives it, by merges of rising rank */
} pruning;

/* Counting sort: ranks are below the number of merges, or of tokens. */
static int sort_merges(pruning *p)
{
    const bpe_merges *all = &p->bpe->merges;
    uint32_t highest = 0;
    for (size_t i = 0; i <= all->mask; i++)
        if (all->slots[i].pair != BPE_NO_PAIR) {
            highest = all->slots[i].rank > highest ? all->slots[i].rank : highest;
            p->n++;
        }
    size_t *begins = calloc((size_t)highest + 2, sizeof *begins);
    p->sorted = malloc((p->n + 1) * sizeof *p->sorted);
    for (size_t i = 0; begins && p->sorted && i <= all->mask; i++)
        if (all->slots[i].pair != BPE_NO_PAIR)
            begins[all->slots[i].rank + 1]++;
    for (size_t rank = 0; begins && rank < highest; rank++)
        begins[rank + 1] += begins[rank];
    for (size_t i = 0; begins && p->sorted && i <= all->mask; i++)
        if (all->slots[i].pair != BPE_NO_PAIR)
            p->sorted[begins[all->slots[i].rank]++] = all->slots[i];
    int good = begins && p->sorted;
    free(begins);
    return good;
}

static int32_t left_of(const bpe_merge *merge)
{
    return (int32_t)(merge->pair >> 32);
}

static int32_t right_of(const bpe_merge *merge)
{
    return (int32_t)(uint32_t)merge->pair;
}

/* 1: the sides of the merge come to stand next to each other, in its result alone; 0: they never do; -1: not
 * known. */
static int happens(const pruning *p, const bpe_merges *table, const bpe_merge *merge)
{
    int32_t left = left_of(merge), right = right_of(merge), n = (int32_t)p->bpe->table->n;
    if (left >= n || right >= n || !p->known[left] || !p->known[right])
        return -1;
    if (p->splits[left].rank > merge->rank || p->splits[right].rank > merge->rank)
        return -1;
    return bpe_stay_apart(table, p->splits, left, right);
}

/* Leaves in p->sorted the merges that are kept, which are in `table` then. */
static void keep_merges(pruning *p, bpe_merges *table)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n; i++) {
        bpe_merge merge = p->sorted[i];
        int yes = p->known[merge.result] ? 0 : happens(p, table, &merge);
        if (yes == 0)
            continue;
        bpe_add_merge(table, &merge);
        p->sorted[kept++] = merge;
        if (yes > 0) {
            p->known[merge.result] = 1;
            p->splits[merge.result] = (bpe_split){left_of(&merge), right_of(&merge), merge.rank + 1};
        }
    }
    p->n = kept;
}

/* The last class is that of tokens of which nothing is known: they may join anything, and be joined by it. */
#define UNKNOWN_CLASS (UINT64_C(1) << 63)

static uint64_t class_bit(int32_t symbol)
{
    return UINT64_C(1) << ((uint32_t)symbol * 0x9E3779B9u >> 8) % 63;
}

/* Each side of a merge is done before the merge itself, in the order of ranks. */
static void find_edges(pruning *p)
{
    bpe_edges *edges = p->made->edges;
    size_t n = p->bpe->table->n;
    for (size_t i = 0; i < n; i++)
        edges[i] = (bpe_edges){UNKNOWN_CLASS, class_bit((int32_t)i)};
    for (size_t i = 0; i < p->n; i++)
        if ((size_t)left_of(&p->sorted[i]) < n)
            edges[left_of(&p->sorted[i])].joins |= class_bit(right_of(&p->sorted[i]));
    for (size_t i = 0; i < p->n; i++) {
        int32_t id = p->sorted[i].result, left = left_of(&p->sorted[i]), right = right_of(&p->sorted[i]);
        if (p->known[id] && p->splits[id].left == left && p->splits[id].right == right) {
            edges[id].joins |= edges[right].joins;
            edges[id].symbols |= edges[left].symbols;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!p->known[i])
            edges[i] = (bpe_edges){UINT64_MAX, UINT64_MAX};
}

/* Tokens that are known to be themselves need no merging to find that out. */
static void tell_wholes(const pruning *p)
{
    bpe_model *bpe = p->bpe;
    pthread_mutex_lock(&bpe->telling);
    for (size_t i = 0; i < bpe->table->n; i++)
        if (p->known[i] && atomic_load_explicit(&bpe->wholes[i], memory_order_relaxed) == BPE_WHOLE_NOT_TRIED) {
            bpe->splits[i] = p->splits[i];
            atomic_store_explicit(&bpe->wholes[i], BPE_WHOLE_ITSELF, memory_order_release);
        }
    pthread_mutex_unlock(&bpe->telling);
}

/* Of the merges that are kept, a table of their own, and what is known of tokens. */
static pm_plugin_code prune(pruning *p, const pm_plugin_message *message)
{
    bpe_merges all = {0};
    PM_PLUGIN_TRY(bpe_merges_allocate(&all, p->n, message));
    keep_merges(p, &all);
    bpe_merges_destroy(&all);
    PM_PLUGIN_TRY(bpe_merges_allocate(&p->made->merges, p->n, message));
    for (size_t i = 0; i < p->n; i++)
        bpe_add_merge(&p->made->merges, &p->sorted[i]);
    find_edges(p);
    tell_wholes(p);
    return PM_PLUGIN_OK;
}

pm_plugin_code bpe_pruned_create(bpe_model *bpe, const pm_plugin_message *message)
{
    pruning p = {.bpe = bpe, .made = &bpe->pruned};
    size_t n = bpe->table->n;
    p.splits = calloc(n + 1, sizeof *p.splits);
    p.known = calloc(n + 1, 1);
    p.made->edges = pm_table_allocate((p.made->n_edges = n + 1) * sizeof *p.made->edges);
    pm_plugin_code code = PM_PLUGIN_OK;
    if (!p.splits || !p.known || !p.made->edges || !sort_merges(&p))
        code = pm_plugin_fail_memory(message, "the merges");
    for (int byte = 0; byte < 256 && code == PM_PLUGIN_OK; byte++)
        if (bpe->byte_symbols[byte] != PM_NO_TOKEN)
            p.known[bpe->byte_symbols[byte]] = 1;
    if (code == PM_PLUGIN_OK)
        code = prune(&p, message);
    if (code != PM_PLUGIN_OK)
        bpe_pruned_destroy(p.made);
    free(p.splits);
    free(p.known);
    free(p.sorted);
    return code;
}

void bpe_pruned_destroy(bpe_pruned *pruned)
{
    bpe_merges_destroy(&pruned->merges);
    pm_table_free(pruned->edges, pruned->n_edges * sizeof *pruned->edges);
    pruned->edges = NULL;
}
