/* Byte-pair encoding proper: the merge of lowest rank first, the leftmost of equals, until there is none.
 *
 * A long piece is first cut wherever no token could reach across (bpe_neighbours). Short stretches (nearly all)
 * are scanned again for each merge: for a few symbols nothing is faster. Long ones use a linked list and a heap of
 * candidates, so that a megabyte without a space takes n log n. Source: Sennrich, Haddow, Birch 2016, "Neural
 * Machine Translation of Rare Words with Subword Units".
 */
#include "bpe/bpe.h"

#include <stdlib.h>
#include <string.h>

enum { SHORT_PIECE = 32 };

static uint32_t rank_of(const bpe_encoding *e, int32_t left, int32_t right)
{
    const bpe_merge *merge = bpe_find_merge(e->merges, left, right);
    return merge ? merge->rank : BPE_NO_RANK;
}

static int32_t result_of(const bpe_encoding *e, int32_t left, int32_t right)
{
    return bpe_find_merge(e->merges, left, right)->result;
}

/* Merges n symbols and returns how many are left. */
static size_t apply_short(bpe_encoding *e, bpe_symbol *s, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++)
        s[i].rank = rank_of(e, s[i].id, s[i + 1].id);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (s[i].rank < s[best].rank)
                best = i;
        if (s[best].rank == BPE_NO_RANK)
            break;
        e->last = (bpe_split){s[best].id, s[best + 1].id, s[best].rank + 1};
        s[best].id = result_of(e, s[best].id, s[best + 1].id);
        s[best].end = s[best + 1].end;
        memmove(s + best + 1, s + best + 2, (n - best - 2) * sizeof *s);
        n--;
        if (best > 0)
            s[best - 1].rank = rank_of(e, s[best - 1].id, s[best].id);
        if (best + 1 < n)
            s[best].rank = rank_of(e, s[best].id, s[best + 1].id);
    }
    return n;
}

/* ---- Long pieces ---- */

static int heap_push(bpe_encoding *e, uint64_t key)
{
    if (!pm_grow((void **)&e->heap, &e->heap_capacity, e->n_heap + 1, sizeof *e->heap))
        return 0;
    size_t at = e->n_heap++;
    while (at > 0 && e->heap[(at - 1) / 2] > key) {
        e->heap[at] = e->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    e->heap[at] = key;
    return 1;
}

static uint64_t heap_pop(bpe_encoding *e)
{
    uint64_t top = e->heap[0];
    uint64_t key = e->heap[--e->n_heap];
    size_t at = 0;
    for (size_t child = 1; child < e->n_heap; child = 2 * at + 1) {
        if (child + 1 < e->n_heap && e->heap[child + 1] < e->heap[child])
            child++;
        if (key <= e->heap[child])
            break;
        e->heap[at] = e->heap[child];
        at = child;
    }
    e->heap[at] = key;
    return top;
}

/* Looks up the merge of symbol `at` with its next one and makes it a candidate. */
static int add_candidate(bpe_encoding *e, bpe_symbol *s, int32_t at)
{
    s[at].rank = s[at].next < 0 ? BPE_NO_RANK : rank_of(e, s[at].id, s[s[at].next].id);
    return s[at].rank == BPE_NO_RANK || heap_push(e, (uint64_t)s[at].rank << 32 | (uint32_t)at);
}

/* Joins symbol `at` with its next one, which leaves the list. */
static int merge_with_next(bpe_encoding *e, bpe_symbol *s, int32_t at)
{
    bpe_symbol *left = &s[at];
    bpe_symbol *right = &s[left->next];
    e->last = (bpe_split){left->id, right->id, left->rank + 1};
    left->id = result_of(e, left->id, right->id);
    left->end = right->end;
    left->next = right->next;
    right->rank = BPE_NO_RANK; /* candidates of a symbol that is gone no longer count */
    if (left->next >= 0)
        s[left->next].previous = at;
    return add_candidate(e, s, at) && (left->previous < 0 || add_candidate(e, s, left->previous));
}

/* Merges the *n symbols and leaves in *n how many there are then; 0 where memory has run out. */
static int apply_long(bpe_encoding *e, bpe_symbol *s, size_t *n)
{
    int32_t count = (int32_t)*n;
    e->n_heap = 0;
    for (int32_t i = 0; i < count; i++) {
        s[i].previous = i - 1;
        s[i].next = i + 1 < count ? i + 1 : -1;
    }
    for (int32_t i = 0; i < count; i++)
        if (!add_candidate(e, s, i))
            return 0;
    while (e->n_heap > 0) {
        uint64_t key = heap_pop(e);
        int32_t at = (int32_t)(uint32_t)key;
        /* A candidate counts only while its pair still has that rank. */
        if (s[at].rank == key >> 32 && !merge_with_next(e, s, at))
            return 0;
    }
    size_t kept = 0;
    for (int32_t i = 0; i >= 0; i = s[i].next)
        s[kept++] = s[i];
    *n = kept;
    return 1;
}

/* ---- Cutting ---- */

/* The end of the stretch from `begin` that merges can reach across. */
static size_t stretch_end(const bpe_encoding *e, size_t begin)
{
    size_t end = begin + 1;
    if (e->bpe->n_prefix + e->bpe->n_suffix > 0)
        return e->n_symbols;
    while (end < e->n_symbols && bpe_may_join(&e->bpe->neighbours, e->symbols[end - 1].id, e->symbols[end].id))
        end++;
    return end;
}

pm_plugin_code bpe_apply(bpe_encoding *e)
{
    if (e->n_symbols <= SHORT_PIECE) {
        e->n_symbols = apply_short(e, e->symbols, e->n_symbols);
        return PM_PLUGIN_OK;
    }
    bpe_model *bpe = (bpe_model *)e->bpe; /* for what is made once */
    PM_PLUGIN_TRY(bpe_make_once(bpe, &bpe->neighbours_are_there, bpe_neighbours_create, e->message));
    size_t kept = 0;
    size_t end;
    for (size_t begin = 0; begin < e->n_symbols; begin = end) {
        end = stretch_end(e, begin);
        size_t n = end - begin;
        if (n <= SHORT_PIECE)
            n = apply_short(e, e->symbols + begin, n);
        else if (!apply_long(e, e->symbols + begin, &n))
            return pm_plugin_fail_memory(e->message, "the merges of a long piece of text");
        memmove(e->symbols + kept, e->symbols + begin, n * sizeof *e->symbols);
        kept += n;
    }
    e->n_symbols = kept;
    return PM_PLUGIN_OK;
}
