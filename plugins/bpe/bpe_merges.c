/* The merges of a BPE vocabulary as a hash from pairs of symbols to ranks.
 *
 * SentencePiece vocabularies have no merges but scores: of all neighbours whose concatenation is a token, the one
 * with the highest score merges first. That is the same as a merge for every way to cut a token into two symbols,
 * ranked by the token's score; equal scores share a rank, and the leftmost goes first either way.
 */
#include "bpe/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "parts/utf8_read.h"

enum { PREFETCHED = 16 }; /* merges ahead of the one that is added */

pm_plugin_code bpe_merges_allocate(bpe_merges *merges, size_t n, const pm_plugin_message *message)
{
    size_t n_slots = 16;
    merges->shift = 64 - 4;
    for (; n_slots < n + n / 2; n_slots *= 2)
        merges->shift--;
    merges->slots = pm_table_allocate(n_slots * sizeof *merges->slots);
    merges->mask = n_slots - 1;
    if (!merges->slots)
        return pm_plugin_fail_memory(message, "the merges");
    size_t n_words = 16;
    merges->filter_shift = 64 - 4;
    for (; n_words < n / 8; n_words *= 2)
        merges->filter_shift--;
    merges->n_filter = n_words;
    merges->filter = pm_table_allocate(n_words * sizeof *merges->filter);
    if (!merges->filter)
        return pm_plugin_fail_memory(message, "the merges");
    memset(merges->slots, 0xFF, n_slots * sizeof *merges->slots); /* every pair is BPE_NO_PAIR */
    return PM_PLUGIN_OK;
}

/* Starts to load what add_merge will touch: the table is larger than the nearer caches. (Always inline: compilers
 * drop calls of functions that do nothing but prefetch.) */
static inline __attribute__((always_inline)) void prefetch_merge(const bpe_merges *merges, int32_t left,
                                                                 int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    __builtin_prefetch(&merges->slots[bpe_first_slot(pair, merges->shift)], 1);
    __builtin_prefetch(&merges->filter[bpe_filter_product(pair) >> merges->filter_shift], 1);
}

/* The pair's slot, or the free one that it would take. */
static bpe_merge *take_slot(bpe_merges *merges, uint64_t pair)
{
    size_t at = bpe_first_slot(pair, merges->shift);
    while (merges->slots[at].pair != BPE_NO_PAIR && merges->slots[at].pair != pair)
        at = (at + 1) & merges->mask;
    return &merges->slots[at];
}

static void add_to_filter(bpe_merges *merges, uint64_t pair)
{
    uint64_t product = bpe_filter_product(pair);
    merges->filter[product >> merges->filter_shift] |= bpe_filter_bits(product);
}

void bpe_add_merge(bpe_merges *merges, const bpe_merge *merge)
{
    bpe_merge *slot = take_slot(merges, merge->pair);
    if (slot->pair == BPE_NO_PAIR) {
        add_to_filter(merges, merge->pair);
        *slot = *merge;
    }
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static int is_id(const bpe_model *bpe, int32_t id)
{
    return id >= 0 && (size_t)id < bpe->table->n;
}

static int has_ids(const bpe_model *bpe, pm_vocab_merge m)
{
    return is_id(bpe, m.left) && is_id(bpe, m.right) && is_id(bpe, m.result);
}

/* No text may become such a token: it would be forged. */
static int makes_special(const bpe_model *bpe, pm_vocab_merge m)
{
    unsigned kind = bpe->table->kinds[m.result];
    return kind == PM_TOKEN_CONTROL || kind == PM_TOKEN_UNKNOWN || kind == PM_TOKEN_BYTE;
}

static inline __attribute__((always_inline)) void prefetch_tokens(const bpe_model *bpe, pm_vocab_merge m)
{
    if (!has_ids(bpe, m))
        return;
    __builtin_prefetch(bpe->table->bytes + bpe->table->offsets[m.left]);
    __builtin_prefetch(bpe->table->bytes + bpe->table->offsets[m.right]);
    __builtin_prefetch(bpe->table->bytes + bpe->table->offsets[m.result]);
}

static int is_concatenation(const bpe_model *bpe, pm_vocab_merge m)
{
    size_t n_left, n_right, n;
    const char *left = pm_token_bytes(bpe->table, m.left, &n_left);
    const char *right = pm_token_bytes(bpe->table, m.right, &n_right);
    const char *result = pm_token_bytes(bpe->table, m.result, &n);
    if (n_right >= bpe->n_prefix && bpe->n_prefix > 0 && memcmp(right, bpe->prefix, bpe->n_prefix) == 0) {
        right += bpe->n_prefix; /* only the first part of a word goes without */
        n_right -= bpe->n_prefix;
    }
    return n == n_left + n_right && memcmp(result, left, n_left) == 0 &&
           memcmp(result + n_left, right, n_right) == 0;
}

pm_plugin_code bpe_check_merges(const bpe_model *bpe, const pm_tokenizer_spec *spec, size_t begin, size_t end,
                                const pm_plugin_message *message)
{
    for (size_t i = begin; i < end; i++) {
        pm_vocab_merge m = spec->merges[i];
        if (i + PREFETCHED < end)
            prefetch_tokens(bpe, spec->merges[i + PREFETCHED]);
        if (!has_ids(bpe, m))
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "merge %zu has an id outside the vocabulary", i);
        if (!makes_special(bpe, m) && !is_concatenation(bpe, m))
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT,
                                  "merge %zu makes token %d, which is not what it joins", i, (int)m.result);
    }
    return PM_PLUGIN_OK;
}

void bpe_copy_merges(bpe_model *bpe, const pm_tokenizer_spec *spec)
{
    for (size_t i = 0; i < spec->n_merges; i++) {
        pm_vocab_merge m = spec->merges[i],
                       later = spec->merges[i + PREFETCHED < spec->n_merges ? i + PREFETCHED : i];
        uint64_t ahead = pair_of(later.left, later.right);
        __builtin_prefetch(&bpe->merges.slots[bpe_first_slot(ahead, bpe->merges.shift)], 1);
        if (!has_ids(bpe, m) || makes_special(bpe, m))
            continue;
        bpe_merge merge = {pair_of(m.left, m.right), (uint32_t)i, m.result};
        *take_slot(&bpe->merges, merge.pair) = merge; /* of the same merge twice the later one counts */
    }
}

void bpe_fill_filter(bpe_merges *merges, const pm_tokenizer_spec *spec)
{
    for (size_t i = 0; i < spec->n_merges; i++)
        add_to_filter(merges, pair_of(spec->merges[i].left, spec->merges[i].right));
}

/* ---- From scores ---- */

int32_t bpe_character_symbol(const bpe_model *bpe, const char *bytes, size_t size, uint32_t code)
{
    int32_t id = pm_token_map_find(&bpe->map, bytes, size, size);
    size_t low = 0;
    size_t high = id == PM_NO_TOKEN ? bpe->n_part_characters : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bpe->part_characters[middle].code == code)
            return bpe->part_characters[middle].symbol;
        if (bpe->part_characters[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return id;
}

static int compare_characters(const void *a, const void *b)
{
    uint32_t x = ((const bpe_character *)a)->code;
    uint32_t y = ((const bpe_character *)b)->code;
    return (x > y) - (x < y);
}

/* Gives a symbol to each character that occurs in tokens but is none. */
static pm_plugin_code find_part_characters(bpe_model *bpe, const pm_plugin_message *message)
{
    size_t capacity = 0;
    size_t n = 0;
    for (size_t i = 0; i < bpe->table->n; i++) {
        size_t size;
        const char *bytes = pm_token_bytes(bpe->table, (int32_t)i, &size);
        pm_character c;
        for (size_t at = 0; bpe->table->kinds[i] == PM_TOKEN_NORMAL && at < size; at += c.length) {
            c = pm_read_character(bytes, at, size);
            if (c.malformed || pm_token_map_find(&bpe->map, bytes + at, c.length, PM_TOKEN_ROOM) != PM_NO_TOKEN)
                continue;
            if (!pm_grow((void **)&bpe->part_characters, &capacity, n + 1, sizeof *bpe->part_characters))
                return pm_plugin_fail_memory(message, "the characters");
            bpe->part_characters[n++].code = c.code;
        }
    }
    if (n > 0)
        qsort(bpe->part_characters, n, sizeof *bpe->part_characters, compare_characters);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || bpe->part_characters[i].code != bpe->part_characters[i - 1].code) {
            bpe_character *next = &bpe->part_characters[bpe->n_part_characters];
            *next =
                (bpe_character){bpe->part_characters[i].code, (int32_t)(bpe->table->n + bpe->n_part_characters)};
            bpe->n_part_characters++;
        }
    return PM_PLUGIN_OK;
}

/* The symbol of a part of a token: a token, or a character. */
static int32_t part_symbol(const bpe_model *bpe, const char *bytes, size_t size)
{
    pm_character c = pm_read_character(bytes, 0, size);
    if (!bpe->is_bytes && c.length == size && !c.malformed)
        return bpe_character_symbol(bpe, bytes, size, c.code);
    return pm_token_map_find(&bpe->map, bytes, size, PM_TOKEN_ROOM);
}

/* Two symbols that a token may be cut into. */
typedef struct token_cut {
    int32_t left, right;
} token_cut;

typedef struct token_cuts {
    token_cut *cuts;
    size_t n, capacity;
} token_cuts;

typedef struct scored_token {
    double score;
    int32_t id;
    uint32_t n_cuts;
    size_t first_cut;
} scored_token;

static int compare_scores(const void *a, const void *b)
{
    const scored_token *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Appends the cuts of a token; 0 where memory has run out. */
static int cut_token(const bpe_model *bpe, int32_t id, token_cuts *list)
{
    size_t size, length;
    const char *bytes = pm_token_bytes(bpe->table, id, &size);
    if (!pm_grow((void **)&list->cuts, &list->capacity, list->n + size, sizeof *list->cuts))
        return 0;
    for (size_t at = 0; at < size && size <= 64;
         at += length) { /* so that the look-ups wait for memory together */
        length = bpe->is_bytes ? 1 : pm_read_character(bytes, at, size).length;
        pm_token_map_prefetch(&bpe->map, pm_hash_bytes(bytes, at, PM_TOKEN_ROOM));
        pm_token_map_prefetch(&bpe->map, pm_hash_bytes(bytes + at, size - at, PM_TOKEN_ROOM));
    }
    for (size_t at = 0; at < size; at += length) {
        length = bpe->is_bytes ? 1 : pm_read_character(bytes, at, size).length;
        int32_t left = at > 0 ? part_symbol(bpe, bytes, at) : PM_NO_TOKEN;
        int32_t right = left == PM_NO_TOKEN ? PM_NO_TOKEN : part_symbol(bpe, bytes + at, size - at);
        if (right != PM_NO_TOKEN)
            list->cuts[list->n++] = (token_cut){left, right};
    }
    return 1;
}

/* Ranks the cuts by the scores of their tokens. */
static pm_plugin_code add_cuts(bpe_model *bpe, const scored_token *tokens, size_t n, const token_cuts *list,
                               const pm_plugin_message *message)
{
    uint32_t rank = 0;
    PM_PLUGIN_TRY(bpe_merges_allocate(&bpe->merges, list->n, message));
    for (size_t i = 0; i < n; i++) {
        const token_cut *cuts = list->cuts + tokens[i].first_cut;
        rank += i > 0 && tokens[i].score < tokens[i - 1].score;
        if (i + PREFETCHED < n && tokens[i + PREFETCHED].n_cuts > 0) {
            const token_cut *later = &list->cuts[tokens[i + PREFETCHED].first_cut];
            prefetch_merge(&bpe->merges, later->left, later->right);
        }
        for (size_t k = 0; k < tokens[i].n_cuts; k++)
            bpe_add_merge(&bpe->merges, &(bpe_merge){pair_of(cuts[k].left, cuts[k].right), rank, tokens[i].id});
    }
    return PM_PLUGIN_OK;
}

pm_plugin_code bpe_derive_merges(bpe_model *bpe, const pm_plugin_message *message)
{
    if (!bpe->is_bytes)
        PM_PLUGIN_TRY(find_part_characters(bpe, message));
    scored_token *tokens = malloc(bpe->table->n * sizeof *tokens);
    token_cuts list = {0};
    size_t n = 0;
    int good = tokens != NULL, is_sorted = 1;
    for (size_t i = 0; i < bpe->table->n && good; i++)
        if (bpe->table->kinds[i] == PM_TOKEN_NORMAL) {
            scored_token *token = &tokens[n++];
            *token = (scored_token){.score = bpe->table->scores[i], .id = (int32_t)i, .first_cut = list.n};
            good = cut_token(bpe, token->id, &list);
            token->n_cuts = (uint32_t)(list.n - token->first_cut);
            is_sorted &= n == 1 || token->score <= token[-1].score;
        }
    if (good && !is_sorted)
        qsort(tokens, n, sizeof *tokens, compare_scores);
    pm_plugin_code code =
        good ? add_cuts(bpe, tokens, n, &list, message) : pm_plugin_fail_memory(message, "the merges");
    free(tokens);
    free(list.cuts);
    return code;
}

void bpe_merges_destroy(bpe_merges *merges)
{
    pm_table_free(merges->slots, (merges->mask + 1) * sizeof *merges->slots);
    pm_table_free(merges->filter, merges->n_filter * sizeof *merges->filter);
    memset(merges, 0, sizeof *merges);
}
