/* The byte-pair-encoding tokenizer: what its files share.
 *
 * A piece goes: symbols, one a byte or character -> merges by rank (bpe_apply.c) -> ids. Both families of
 * vocabularies use the same merges over ids: byte-level ones (GPT-2) give them in their file, SentencePiece ones
 * imply them by their scores (bpe_merges.c).
 *
 * A symbol is a token id; ids from table.n on are characters that are no token but that merges start from. A
 * model is immutable; everything a call changes lives in its bpe_encoding.
 */
#ifndef PUMICE_PLUGIN_BPE_H
#define PUMICE_PLUGIN_BPE_H

#include <pthread.h>
#include <stdatomic.h>

#include "parts/byte_trie.h"
#include "parts/token_model.h"

#define BPE_NO_RANK UINT32_MAX

typedef struct bpe_merge {
    uint64_t pair; /* left << 32 | right; BPE_NO_PAIR where the slot is free */
    uint32_t rank;
    int32_t result;
} bpe_merge;

#define BPE_NO_PAIR UINT64_MAX

typedef struct bpe_merges {
    uint64_t *filter; /* a Bloom filter of the pairs, a word a pair: most pairs that are asked for have no merge,
                       * and it says so from a nearer cache. About 10 bits a merge */
    size_t n_filter;  /* words */
    int filter_shift; /* 64 - log2(n_filter) */
    bpe_merge *slots; /* open addressing */
    size_t mask;      /* number of slots - 1 */
    int shift;        /* 64 - log2(number of slots) */
} bpe_merges;

/* What may happen at the edges of a token, as sets of 64 classes of symbols. */
typedef struct bpe_edges {
    uint64_t joins;   /* of those that what comes to stand at its end merges with */
    uint64_t symbols; /* of those that come to stand at its beginning */
} bpe_edges;

typedef struct bpe_pruned {
    bpe_merges merges; /* those that ever happen */
    bpe_edges *edges;  /* by id; all ones where it is not known */
    size_t n_edges;
} bpe_pruned;

/* Where the search for a pair starts, in a table of 1 << (64 - shift) slots. The highest bits of the product
 * depend on all bits of the pair. */
static inline size_t bpe_first_slot(uint64_t pair, int shift)
{
    return (size_t)(pair * 0x9E3779B97F4A7C15u >> shift);
}

/* The pairs of neighbouring symbols that occur inside tokens. Between two symbols that are no such pair no merge
 * can ever reach, so a long piece may be cut there. */
typedef struct bpe_neighbours {
    uint64_t *pairs; /* open addressing; left << 32 | right; BPE_NO_PAIR where the slot is free */
    size_t mask;
    int shift;
    size_t n;
} bpe_neighbours;

/* Whether characters of one class may stand before those of another one inside tokens: bpe_cuts.c. */
enum { BPE_CLASSES = 256 };

typedef struct bpe_cuts {
    uint64_t joined[BPE_CLASSES][BPE_CLASSES / 64]; /* a bit a pair, by left and right */
} bpe_cuts;

/* A character that is no token of its own. */
typedef struct bpe_character {
    uint32_t code;
    int32_t symbol;
} bpe_character;

typedef struct bpe_model {
    const pm_token_table *table;
    pm_token_map map; /* the tokens that text may become */
    bpe_merges merges;
    bpe_neighbours neighbours; /* made when the first long piece is merged */
    bpe_cuts cuts;             /* made when the first piece comes that may be cut */
    bpe_pruned pruned;         /* made when much has been searched: bpe_pruned.c */
    int is_bytes;              /* symbols are bytes, else characters */
    int ignore_merges, byte_fallback, fuse_unknown;
    int32_t unk;
    int32_t byte_symbols[256];      /* is_bytes; PM_NO_TOKEN where the vocabulary lacks the byte */
    int32_t ascii_symbols[128];     /* of characters */
    bpe_character *part_characters; /* of characters: sorted by code */
    size_t n_part_characters;
    _Atomic(uint8_t) *wholes; /* by id: what merging the token's own bytes gives; a bpe_whole */
    struct bpe_split *splits; /* by id, of tokens that are known to be themselves */
    pthread_mutex_t telling;  /* held while `wholes` and `splits` change: each changes once */
    int is_searched;          /* of bytes, every one of which is a token: bpe_long.c serves */
    int is_cut;               /* of characters: bpe_cuts.c serves */
    pthread_mutex_t making;   /* held while one of these is made */
    _Atomic(int) trie_is_there, neighbours_are_there, cuts_are_there, pruned_is_there;
    pm_byte_trie trie;     /* the tokens that text may become; for long pieces, made when the first one comes */
    char *prefix, *suffix; /* continuing_subword_prefix of all symbols but the first; end_of_word_suffix */
    size_t n_prefix, n_suffix;
} bpe_model;

/* One symbol of a piece; what of it it stands for. */
typedef struct bpe_symbol {
    int32_t id;    /* PM_NO_TOKEN: an unknown character, which never merges */
    uint32_t rank; /* of the merge with the next one */
    uint32_t begin, end;
    int32_t previous, next; /* only while a long piece is merged */
} bpe_symbol;

/* Found out when a piece of text is such a token for the first time, by whichever thread comes first. */
typedef enum bpe_whole {
    BPE_WHOLE_NOT_TRIED = 0,
    BPE_WHOLE_ITSELF, /* so a piece of text that is the token needs no merging */
    BPE_WHOLE_ODD,    /* likewise, but a merge inside of it has a lower rank than one that it waits for */
    BPE_WHOLE_OTHERS  /* the merges never reach it */
} bpe_whole;

/* Short pieces and what they became, each in the one place that its hash says: never more than that, and what
 * comes last stays. 64 bytes an entry, 256 KiB a thread. */
enum { BPE_CACHE_KEY = 22, BPE_CACHE_IDS = 8, BPE_CACHE_ENTRIES = 4096 };

typedef struct bpe_cache_entry {
    uint8_t n_key, n_ids; /* n_key 0: empty */
    uint8_t ends[BPE_CACHE_IDS];
    char key[BPE_CACHE_KEY];
    int32_t ids[BPE_CACHE_IDS];
} bpe_cache_entry;

typedef struct bpe_cache {
    bpe_cache_entry entries[BPE_CACHE_ENTRIES];
} bpe_cache;

/* The last merge that makes a token. */
typedef struct bpe_split {
    int32_t left, right;
    uint32_t rank; /* + 1; 0: the token is one symbol from the start */
} bpe_split;

/* A token that the search through a piece has found. */
typedef struct bpe_found {
    int32_t id;
    uint32_t end; /* in the piece */
} bpe_found;

enum { BPE_PAIRS_LOG = 16 }; /* pairs of tokens that are remembered, each in the one place that its hash says */

/* What a call works in; kept between calls. */
typedef struct bpe_encoding {
    bpe_cache cache;
    const bpe_model *bpe;
    const bpe_merges *merges; /* of the model: all, or those that ever happen */
    const bpe_edges *edges;   /* NULL until the merges are pruned */
    size_t n_searched;        /* bytes */
    const pm_plugin_message *message;
    bpe_symbol *symbols; /* of the piece at hand */
    size_t n_symbols, symbols_capacity;
    bpe_split last; /* the merge that was done last */
    uint64_t *heap; /* rank << 32 | position */
    size_t n_heap, heap_capacity;

    /* The search through long pieces (bpe_long.c). */
    uint64_t pairs[1 << BPE_PAIRS_LOG]; /* pair + 1, and in the lowest bit whether merging keeps the two apart */
    bpe_found *found, *prefixes;
    uint64_t *stuck; /* a bit a place of the piece: no token goes on from there */
    char *joined;    /* the bytes of a pair */
    size_t found_capacity, prefixes_capacity, stuck_capacity, joined_capacity;
} bpe_encoding;

/* bpe_merges.c. The merges of the spec come in three steps that need each other's results nowhere, after
 * bpe_merges_allocate: they are checked, some at a time; their slots are filled; so is the filter. */
pm_plugin_code bpe_check_merges(const bpe_model *bpe, const pm_tokenizer_spec *spec, size_t begin, size_t end,
                                const pm_plugin_message *message);
void bpe_copy_merges(bpe_model *bpe, const pm_tokenizer_spec *spec);
void bpe_fill_filter(bpe_merges *merges, const pm_tokenizer_spec *spec);
/* Or those that scores imply; the map is there already. */
pm_plugin_code bpe_derive_merges(bpe_model *bpe, const pm_plugin_message *message);
void bpe_merges_destroy(bpe_merges *merges);

/* A table for n merges, to be filled. */
pm_plugin_code bpe_merges_allocate(bpe_merges *merges, size_t n, const pm_plugin_message *message);
/* Adds a merge for which there is room, unless the pair has one already. */
void bpe_add_merge(bpe_merges *merges, const bpe_merge *merge);

/* The symbol of a character, or PM_NO_TOKEN. */
int32_t bpe_character_symbol(const bpe_model *bpe, const char *bytes, size_t size, uint32_t code);

/* The four bits of a pair in its word of the filter. */
static inline uint64_t bpe_filter_bits(uint64_t product)
{
    return UINT64_C(1) << (product & 63) | UINT64_C(1) << (product >> 6 & 63) |
           UINT64_C(1) << (product >> 12 & 63) | UINT64_C(1) << (product >> 18 & 63);
}

/* The lower bits of a product of the pair are as good as the higher ones after one more step. */
static inline uint64_t bpe_filter_product(uint64_t pair)
{
    uint64_t product = (pair ^ pair >> 29) * 0xBF58476D1CE4E5B9u;
    return product ^ product >> 32;
}

static inline const bpe_merge *bpe_find_merge(const bpe_merges *merges, int32_t left, int32_t right)
{
    if (left < 0 || right < 0)
        return NULL;
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right, product = bpe_filter_product(pair);
    uint64_t bits = bpe_filter_bits(product);
    if ((merges->filter[product >> merges->filter_shift] & bits) != bits)
        return NULL;
    for (size_t at = bpe_first_slot(pair, merges->shift);; at = (at + 1) & merges->mask) {
        const bpe_merge *slot = &merges->slots[at];
        if (slot->pair == pair)
            return slot;
        if (slot->pair == BPE_NO_PAIR)
            return NULL;
    }
}

/* bpe_model.c: what only some texts need is made when the first of them comes: calls `make`, unless *is_there says
 * that it has done its work. */
typedef pm_plugin_code (*bpe_maker)(bpe_model *bpe, const pm_plugin_message *message);
pm_plugin_code bpe_make_once(bpe_model *bpe, _Atomic(int) *is_there, bpe_maker make,
                             const pm_plugin_message *message);

/* Is the token one that merges may make? */
static inline int bpe_may_be_merged(const pm_token_table *table, size_t id)
{
    unsigned kind = table->kinds[id];
    return kind == PM_TOKEN_NORMAL || kind == PM_TOKEN_USER_DEFINED || kind == PM_TOKEN_UNUSED;
}

/* bpe_neighbours.c: from the tokens and the first symbols of bytes and characters, which must be there already. */
pm_plugin_code bpe_neighbours_create(bpe_model *bpe, const pm_plugin_message *message);
void bpe_neighbours_destroy(bpe_neighbours *neighbours);

/* May a merge ever join what contains left with what contains right, next to each other? */
static inline int bpe_may_join(const bpe_neighbours *neighbours, int32_t left, int32_t right)
{
    if (left < 0 || right < 0)
        return 0;
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t at = bpe_first_slot(pair, neighbours->shift);; at = (at + 1) & neighbours->mask)
        if (neighbours->pairs[at] == pair || neighbours->pairs[at] == BPE_NO_PAIR)
            return neighbours->pairs[at] == pair;
}

/* bpe_cuts.c: from the tokens and the first symbols of characters, which must be there already. */
pm_plugin_code bpe_cuts_create(bpe_model *bpe, const pm_plugin_message *message);

/* The ends of the next parts of bytes[0, n), from *at on, which is moved behind the last of them; how many. */
size_t bpe_cut(const bpe_cuts *cuts, const char *bytes, size_t n, size_t *at, uint32_t *ends, size_t capacity);

/* The place of a piece by its pm_hash_bytes. */
static inline size_t bpe_cache_slot(uint64_t hash)
{
    return (size_t)(hash >> 20) % BPE_CACHE_ENTRIES;
}

/* bpe_cache.c. Emits the tokens of the piece bytes[0, n); 0 where they are not known. */
int bpe_cache_emit(const bpe_cache *cache, const char *bytes, size_t n, uint64_t hash, pm_token_sink *sink);
/* Remembers that e->symbols, or these tokens, are what the piece becomes. */
void bpe_cache_add(bpe_encoding *e, const char *bytes, size_t n, uint64_t hash);
void bpe_cache_add_found(bpe_cache *cache, const char *bytes, size_t n, uint64_t hash, const bpe_found *found,
                         size_t n_found);

/* bpe_long.c. Finds the tokens of text[0, n): e->found[0, *n_found); *n_found is 0 where it is not made of tokens.
 */
pm_plugin_code bpe_long_encode(bpe_encoding *e, const char *text, size_t n, size_t *n_found);

/* bpe_long.c. What merging the token's own bytes gives (a bpe_whole); not for vocabularies with a prefix or
 * suffix. Changes e->symbols. */
pm_plugin_code bpe_whole_of(bpe_encoding *e, int32_t id, uint8_t *out);

/* bpe_long.c. Does merging keep two tokens apart that are themselves, made by merges of rising rank that `splits`
 * has? -1: a merge between them has a rank that should have come earlier; only merging tells. */
int bpe_stay_apart(const bpe_merges *merges, const bpe_split *splits, int32_t left, int32_t right);

/* bpe_pruned.c: for vocabularies of bytes without prefix and suffix. */
pm_plugin_code bpe_pruned_create(bpe_model *bpe, const pm_plugin_message *message);
void bpe_pruned_destroy(bpe_pruned *pruned);

/* bpe_encode.c: appends the first symbols of bytes[0, n) to those of the piece, for which there is room. */
void bpe_add_symbols(bpe_encoding *e, const char *bytes, size_t n);

/* bpe_apply.c: merges the symbols of the piece until no pair has a merge; what is left is symbols[0, n_symbols).
 */
pm_plugin_code bpe_apply(bpe_encoding *e);

/* bpe_encode.c */
pm_plugin_code bpe_encode(const void *model, void *scratch, pm_token_sink *sink, const pm_plugin_message *message);
pm_plugin_code bpe_encode_many(const void *model, void *scratch, const pm_pieces *pieces, pm_token_sink *sink,
                               const pm_plugin_message *message);

/* bpe_model.c */
extern const pm_model_kind bpe_kind;

#endif
