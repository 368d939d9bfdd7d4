/* Long pieces without merging them: a search for the one sequence of tokens that merging would give.
 *
 * A sequence of tokens is what merging gives if and only if each token is what merging its own bytes gives, and each
 * two neighbours are what merging their bytes together gives: were there a first merge across a boundary, it would be
 * there with these two alone, as nothing before it can have come from outside. (This holds for every table of merges
 * that are applied by rank and then from the left.) So there is one such sequence for each prefix of the piece, and the
 * search may go from the left, longest token first, and need never come back to a place where it got stuck.
 *
 * Which tokens are themselves and which pairs are neighbours is found out by merging, once, and remembered. The idea of
 * searching over compatible neighbours is that of the `bpe` crate (github/rust-gems).
 */
#include <stdlib.h>
#include <string.h>

#include "bpe/bpe.h"
#include "parts/utf8_read.h"

/* ---- The trie, made when the first long piece comes ---- */

static pm_plugin_code make_trie(const bpe_model *bpe, pm_byte_trie *trie, const pm_plugin_message *message)
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
    pm_plugin_code code = pm_byte_trie_create(keys, n, trie, message);
    free(keys);
    return code;
}

pm_plugin_code bpe_long_prepare(const bpe_model *bpe, const pm_plugin_message *message)
{
    bpe_model *own = (bpe_model *)bpe; /* only what is made once changes */
    pm_plugin_code code = PM_PLUGIN_OK;
    if (atomic_load_explicit(&own->trie_is_there, memory_order_acquire))
        return code;
    pthread_mutex_lock(&own->making);
    if (!atomic_load_explicit(&own->trie_is_there, memory_order_relaxed)) {
        code = make_trie(bpe, &own->trie, message);
        if (code == PM_PLUGIN_OK)
            atomic_store_explicit(&own->trie_is_there, 1, memory_order_release);
    }
    pthread_mutex_unlock(&own->making);
    return code;
}

/* ---- What merging gives ---- */

/* Merges bytes[0, n) in the scratch of pairs; the result lies in e->symbols. */
static pm_plugin_code merge_bytes(bpe_encoding *e, const char *bytes, size_t n)
{
    e->n_symbols = 0;
    if (!pm_grow((void **)&e->symbols, &e->symbols_capacity, n + 1, sizeof *e->symbols))
        return pm_plugin_fail_memory(e->message, "a piece of text");
    bpe_add_symbols(e, bytes, n);
    return bpe_apply(e);
}

static pm_plugin_code is_itself(bpe_encoding *e, int32_t id, int *yes)
{
    _Atomic(uint8_t) *whole = &e->bpe->wholes[id];
    uint8_t known = atomic_load_explicit(whole, memory_order_relaxed);
    if (known == BPE_WHOLE_NOT_TRIED) {
        size_t n;
        const char *bytes = pm_token_bytes(e->bpe->table, id, &n);
        PM_PLUGIN_TRY(merge_bytes(e, bytes, n));
        known = e->n_symbols == 1 && e->symbols[0].id == id ? BPE_WHOLE_ITSELF : BPE_WHOLE_OTHERS;
        atomic_store_explicit(whole, known, memory_order_relaxed);
    }
    *yes = known == BPE_WHOLE_ITSELF;
    return PM_PLUGIN_OK;
}

static pm_plugin_code are_neighbours(bpe_encoding *e, int32_t left, int32_t right, int *yes)
{
    const pm_token_table *table = e->bpe->table;
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint64_t *slot = &e->pairs[bpe_first_slot(pair, 64 - BPE_PAIRS_LOG)];
    if (*slot >> 1 == pair + 1) {
        *yes = (int)(*slot & 1);
        return PM_PLUGIN_OK;
    }
    size_t n_left, n_right;
    const char *left_bytes = pm_token_bytes(table, left, &n_left);
    const char *right_bytes = pm_token_bytes(table, right, &n_right);
    if (!pm_grow((void **)&e->joined, &e->joined_capacity, n_left + n_right, 1))
        return pm_plugin_fail_memory(e->message, "a piece of text");
    memcpy(e->joined, left_bytes, n_left);
    memcpy(e->joined + n_left, right_bytes, n_right);
    PM_PLUGIN_TRY(merge_bytes(e, e->joined, n_left + n_right));
    *yes = e->n_symbols == 2 && e->symbols[0].id == left && e->symbols[1].id == right;
    *slot = (pair + 1) << 1 | (uint64_t)*yes;
    return PM_PLUGIN_OK;
}

/* ---- The search ---- */

/* The longest token at text[at, end) that is shorter than `below`; its length, or 0. */
static size_t longest_token(const bpe_model *bpe, const char *text, size_t at, size_t end, size_t below, int32_t *id)
{
    pm_trie_unit unit = bpe->trie.root;
    size_t best = 0;
    for (size_t i = at; i < end && i - at + 1 < below; i++) {
        unsigned char byte = (unsigned char)text[i];
        unit = pm_trie_next(&bpe->trie, unit, byte);
        if (!pm_trie_is_child(unit, byte))
            break;
        if (pm_trie_has_value(unit)) {
            best = i - at + 1;
            *id = pm_trie_value(unit);
        }
    }
    return best;
}

static int is_stuck(const bpe_encoding *e, size_t at)
{
    return (int)(e->stuck[at / 64] >> (at % 64) & 1);
}

static pm_plugin_code prepare_search(bpe_encoding *e, size_t n)
{
    if (!pm_grow((void **)&e->found, &e->found_capacity, n + 1, sizeof *e->found) ||
        !pm_grow((void **)&e->stuck, &e->stuck_capacity, n / 64 + 1, sizeof *e->stuck))
        return pm_plugin_fail_memory(e->message, "a piece of text");
    memset(e->stuck, 0, (n / 64 + 1) * sizeof *e->stuck);
    return PM_PLUGIN_OK;
}

/* The next token of the search: the longest one at `at` that is shorter than `below`, is itself, goes with the one
 * before it, and ends where the search has not been stuck. *length is 0 where there is none. */
static pm_plugin_code next_token(bpe_encoding *e, const char *text, size_t at, size_t n, size_t below, int32_t before,
                                 int32_t *id, size_t *length)
{
    for (;;) {
        int good;
        below = *length = longest_token(e->bpe, text, at, n, below, id);
        if (*length == 0)
            return PM_PLUGIN_OK;
        if (is_stuck(e, at + *length))
            continue;
        PM_PLUGIN_TRY(is_itself(e, *id, &good));
        if (good && before != PM_NO_TOKEN)
            PM_PLUGIN_TRY(are_neighbours(e, before, *id, &good));
        if (good)
            return PM_PLUGIN_OK;
    }
}

pm_plugin_code bpe_long_encode(bpe_encoding *e, const char *text, size_t n, size_t *n_found)
{
    size_t at = 0, count = 0, below = SIZE_MAX;
    PM_PLUGIN_TRY(bpe_long_prepare(e->bpe, e->message));
    PM_PLUGIN_TRY(prepare_search(e, n));
    while (at < n) {
        int32_t id = PM_NO_TOKEN;
        size_t length;
        PM_PLUGIN_TRY(next_token(e, text, at, n, below, count ? e->found[count - 1].id : PM_NO_TOKEN, &id, &length));
        if (length > 0) {
            e->found[count++] = (bpe_found){id, (uint32_t)(at + length)};
            at += length;
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
