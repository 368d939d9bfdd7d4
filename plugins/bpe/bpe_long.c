/* Long pieces without merging them: a search for the one sequence of tokens that merging would give.
 *
 * A sequence of tokens is what merging gives if and only if each token is what merging its own bytes gives, and
 * each two neighbours are what merging their bytes together gives: were there a first merge across a boundary, it
 * would be there with these two alone, as nothing before it can have come from outside. (This holds for every
 * table of merges that are applied by rank and then from the left.) So there is one such sequence for each prefix
 * of the piece, and the search may go from the left, longest token first, and need never come back to a place
 * where it got stuck.
 *
 * Which tokens are themselves and which pairs are neighbours is found out by merging, once, and remembered. The
 * idea of searching over compatible neighbours is that of the `bpe` crate (github/rust-gems).
 */
#include <stdlib.h>
#include <string.h>

#include "bpe/bpe.h"
#include "parts/utf8_read.h"

/* ---- The trie, made when the first long piece comes ---- */

static pm_plugin_code make_trie(bpe_model *bpe, const pm_plugin_message *message)
{
    const pm_token_table *table = bpe->table;
    pm_trie_key *keys = malloc((table->n + 1) * sizeof *keys);
    size_t n = 0;
    if (!keys)
        return pm_plugin_fail_memory(message, "a BPE model");
    for (size_t i = 0; i < table->n; i++) {
        size_t size;
        const char *bytes = pm_token_bytes(table, (int32_t)i, &size);
        int is_of_model = table->kinds[i] == PM_TOKEN_NORMAL ||
                          (table->kinds[i] == PM_TOKEN_USER_DEFINED && table->flags[i] & PM_TOKEN_IN_MODEL);
        if (is_of_model && size > 0)
            keys[n++] = (pm_trie_key){bytes, (uint32_t)size, (uint32_t)i};
    }
    pm_plugin_code code = pm_byte_trie_create(keys, n, &bpe->trie, message);
    free(keys);
    return code;
}

/* ---- What merging gives ---- */

/* Merges bytes[0, n) in the scratch of pairs; the result lies in e->symbols. */
static pm_plugin_code merge_bytes(bpe_encoding *e, const char *bytes, size_t n)
{
    e->n_symbols = 0;
    if (!pm_grow((void **)&e->symbols, &e->symbols_capacity, n + 1, sizeof *e->symbols))
        return pm_plugin_fail_memory(e->message, "a piece of text");
    e->last = (bpe_split){PM_NO_TOKEN, PM_NO_TOKEN, 0};
    bpe_add_symbols(e, bytes, n);
    return bpe_apply(e);
}

/* What a thread has found out is there for all; of several that find out the same the first one tells. */
static void tell(const bpe_model *bpe, int32_t id, bpe_whole whole, const bpe_split *split)
{
    pthread_mutex_t *telling = &((bpe_model *)bpe)->telling;
    pthread_mutex_lock(telling);
    if (atomic_load_explicit(&bpe->wholes[id], memory_order_relaxed) == BPE_WHOLE_NOT_TRIED) {
        bpe->splits[id] = *split;
        atomic_store_explicit(&bpe->wholes[id], (uint8_t)whole, memory_order_release);
    }
    pthread_mutex_unlock(telling);
}

/* Whether merging the token's bytes gives it. Where it does, how it came about is remembered with it. */
static pm_plugin_code look_at(bpe_encoding *e, int32_t id, uint8_t *out)
{
    const bpe_model *bpe = e->bpe;
    size_t n;
    const char *bytes = pm_token_bytes(bpe->table, id, &n);
    PM_PLUGIN_TRY(merge_bytes(e, bytes, n));
    bpe_split split = {0};
    *out = BPE_WHOLE_OTHERS;
    if (e->n_symbols == 1 && e->symbols[0].id == id) {
        split = e->last; /* its parts are themselves too: nothing outside of them took part */
        int n_tokens = (int)bpe->table->n, odd = 0;
        if (split.rank > 0 && split.left < n_tokens && split.right < n_tokens) {
            uint8_t left, right;
            PM_PLUGIN_TRY(bpe_whole_of(e, split.left, &left));
            PM_PLUGIN_TRY(bpe_whole_of(e, split.right, &right));
            odd = left != BPE_WHOLE_ITSELF || right != BPE_WHOLE_ITSELF ||
                  bpe->splits[split.left].rank >= split.rank || bpe->splits[split.right].rank >= split.rank;
        } else if (split.rank > 0) {
            odd = 1; /* of a character that is no token */
        }
        *out = odd ? BPE_WHOLE_ODD : BPE_WHOLE_ITSELF;
    }
    tell(bpe, id, *out, &split);
    return PM_PLUGIN_OK;
}

/* How a token is made is known, and which merge makes it, once this says so. */
pm_plugin_code bpe_whole_of(bpe_encoding *e, int32_t id, uint8_t *out)
{
    *out = atomic_load_explicit(&e->bpe->wholes[id], memory_order_acquire);
    return *out == BPE_WHOLE_NOT_TRIED ? look_at(e, id, out) : PM_PLUGIN_OK;
}

static pm_plugin_code merge_pair(bpe_encoding *e, int32_t left, int32_t right, int *apart)
{
    size_t n_left, n_right;
    const char *left_bytes = pm_token_bytes(e->bpe->table, left, &n_left);
    const char *right_bytes = pm_token_bytes(e->bpe->table, right, &n_right);
    if (!pm_grow((void **)&e->joined, &e->joined_capacity, n_left + n_right, 1))
        return pm_plugin_fail_memory(e->message, "a piece of text");
    memcpy(e->joined, left_bytes, n_left);
    memcpy(e->joined + n_left, right_bytes, n_right);
    PM_PLUGIN_TRY(merge_bytes(e, e->joined, n_left + n_right));
    *apart = e->n_symbols == 2 && e->symbols[0].id == left && e->symbols[1].id == right;
    return PM_PLUGIN_OK;
}

/* Goes back in time from the two whole tokens: the symbols at the boundary are those on the right edge of the left
 * token's tree and on the left edge of the right one's. Two of them that stood there at the same time and have a
 * merge that came before either was used up would have been joined. */
int bpe_stay_apart(const bpe_merges *merges, const bpe_split *splits, int32_t left, int32_t right)
{
    uint32_t left_until = UINT32_MAX, right_until = UINT32_MAX;
    for (;;) {
        const bpe_split *l = &splits[left], *r = &splits[right];
        const bpe_merge *merge = bpe_find_merge(merges, left, right);
        if (merge) {
            uint32_t rank = merge->rank + 1;
            if (rank <= l->rank || rank <= r->rank)
                return -1;
            if (rank < left_until && rank <= right_until) /* of equal ranks the leftmost comes first */
                return 0;
        }
        if (l->rank == 0 && r->rank == 0)
            return 1;
        if (l->rank > r->rank) {
            left_until = l->rank;
            left = l->right;
        } else {
            right_until = r->rank;
            right = r->left;
        }
    }
}

/* Is the right one itself, and does merging keep it apart from the left one, which is itself? */
static pm_plugin_code are_neighbours(bpe_encoding *e, int32_t left, int32_t right, int *yes)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint64_t *slot = &e->pairs[bpe_first_slot(pair, 64 - BPE_PAIRS_LOG)];
    if (*slot >> 1 == pair + 1) {
        *yes = (int)(*slot & 1);
        return PM_PLUGIN_OK;
    }
    if (e->edges && !(e->edges[left].joins & e->edges[right].symbols)) {
        *yes = 1;
        return PM_PLUGIN_OK;
    }
    uint8_t left_whole, right_whole;
    PM_PLUGIN_TRY(bpe_whole_of(e, left, &left_whole));
    PM_PLUGIN_TRY(bpe_whole_of(e, right, &right_whole));
    *yes = right_whole == BPE_WHOLE_OTHERS ? 0 : -1;
    if (left_whole == BPE_WHOLE_ITSELF && right_whole == BPE_WHOLE_ITSELF)
        *yes = bpe_stay_apart(e->merges, e->bpe->splits, left, right);
    if (*yes < 0)
        PM_PLUGIN_TRY(merge_pair(e, left, right, yes));
    *slot = (pair + 1) << 1 | (uint64_t)*yes;
    return PM_PLUGIN_OK;
}

/* ---- The search ---- */

/* The tokens at text[at, end) that are shorter than `below`, the shortest first, in e->prefixes; how many. */
static size_t find_prefixes(bpe_encoding *e, const char *text, size_t at, size_t end, size_t below)
{
    const pm_byte_trie *trie = &e->bpe->trie;
    pm_trie_unit unit = trie->root;
    size_t n = 0;
    for (size_t i = at; i < end && i - at + 1 < below; i++) {
        unsigned char byte = (unsigned char)text[i];
        unit = pm_trie_next(trie, unit, byte);
        if (!pm_trie_is_child(unit, byte))
            break;
        e->prefixes[n] = (bpe_found){pm_trie_value(unit), (uint32_t)(i + 1)};
        n += pm_trie_has_value(unit);
    }
    return n;
}

/* Starts to load what find_prefixes will look at third at text[at, end); the first two are in the nearer caches.
 * (Always inline: compilers drop calls of functions that do nothing but prefetch.) */
static inline __attribute__((always_inline)) void prefetch_prefixes(const pm_byte_trie *trie, const char *text,
                                                                    size_t at, size_t end)
{
    pm_trie_unit unit = trie->root;
    for (size_t i = at; i < end && i < at + 2; i++) {
        unsigned char byte = (unsigned char)text[i];
        unit = pm_trie_next(trie, unit, byte);
        if (!pm_trie_is_child(unit, byte))
            return;
    }
    if (end - at > 2)
        __builtin_prefetch(&trie->units[(uint32_t)(unit >> 32) + (size_t)(unsigned char)text[at + 2]]);
}

static int is_stuck(const bpe_encoding *e, size_t at)
{
    return (int)(e->stuck[at / 64] >> (at % 64) & 1);
}

static pm_plugin_code prepare_search(bpe_encoding *e, size_t n)
{
    if (!pm_grow((void **)&e->found, &e->found_capacity, n + 1, sizeof *e->found) ||
        !pm_grow((void **)&e->stuck, &e->stuck_capacity, n / 64 + 1, sizeof *e->stuck) ||
        !pm_grow((void **)&e->prefixes, &e->prefixes_capacity, e->bpe->trie.longest + 1, sizeof *e->prefixes))
        return pm_plugin_fail_memory(e->message, "a piece of text");
    memset(e->stuck, 0, (n / 64 + 1) * sizeof *e->stuck);
    return PM_PLUGIN_OK;
}

/* The next token of the search: the longest one at `at` that is shorter than `below`, is itself, goes with the one
 * before it, and ends where the search has not been stuck. Its id is PM_NO_TOKEN where there is none. */
static pm_plugin_code next_token(bpe_encoding *e, const char *text, size_t at, size_t n, size_t below,
                                 int32_t before, bpe_found *out)
{
    for (size_t left = find_prefixes(e, text, at, n, below); left > 0; left--) {
        uint8_t whole;
        int good;
        *out = e->prefixes[left - 1];
        if (is_stuck(e, out->end))
            continue;
        prefetch_prefixes(&e->bpe->trie, text, out->end, n);
        if (before != PM_NO_TOKEN) {
            PM_PLUGIN_TRY(are_neighbours(e, before, out->id, &good));
        } else {
            PM_PLUGIN_TRY(bpe_whole_of(e, out->id, &whole));
            good = whole != BPE_WHOLE_OTHERS;
        }
        if (good)
            return PM_PLUGIN_OK;
    }
    out->id = PM_NO_TOKEN;
    return PM_PLUGIN_OK;
}

/* So many bytes searched by a thread are worth pruning the merges for. (A test has fewer.) */
#ifndef BPE_WORTH_PRUNING
#define BPE_WORTH_PRUNING (1 << 18)
#endif

static pm_plugin_code take_pruned(bpe_encoding *e, size_t n)
{
    bpe_model *bpe = (bpe_model *)e->bpe; /* for what is made once */
    e->n_searched += n;
    if (e->edges || e->n_searched < BPE_WORTH_PRUNING)
        return PM_PLUGIN_OK;
    PM_PLUGIN_TRY(bpe_make_once(bpe, &bpe->pruned_is_there, bpe_pruned_create, e->message));
    e->merges = &bpe->pruned.merges;
    e->edges = bpe->pruned.edges;
    return PM_PLUGIN_OK;
}

pm_plugin_code bpe_long_encode(bpe_encoding *e, const char *text, size_t n, size_t *n_found)
{
    size_t at = 0, count = 0, below = SIZE_MAX;
    bpe_model *bpe = (bpe_model *)e->bpe; /* for what is made once */
    PM_PLUGIN_TRY(bpe_make_once(bpe, &bpe->trie_is_there, make_trie, e->message));
    PM_PLUGIN_TRY(prepare_search(e, n));
    PM_PLUGIN_TRY(take_pruned(e, n));
    while (at < n) {
        bpe_found *next = &e->found[count];
        PM_PLUGIN_TRY(next_token(e, text, at, n, below, count ? next[-1].id : PM_NO_TOKEN, next));
        if (next->id != PM_NO_TOKEN) {
            at = next->end;
            count++;
            below = SIZE_MAX;
            continue;
        }
        if (count == 0)
            break; /* not made of tokens: left to the merges */
        e->stuck[at / 64] |= (uint64_t)1 << (at % 64);
        count--;
        size_t begin = count ? e->found[count - 1].end : 0;
        below = at - begin;
        at = begin;
    }
    *n_found = at == n ? count : 0;
    return PM_PLUGIN_OK;
}
