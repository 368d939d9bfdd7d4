/* Building the trie of byte_trie.h: top down, sorting keys on the way.
 *
 * A node in the making is a range of keys that agree in their first `depth` bytes. Its keys are ordered by the
 * next byte (counting sort; small ranges are sorted whole, once), and each run of equal bytes becomes a child.
 * Where the children go is found 64 candidates at a time, with bit sets of taken units and taken bases.
 */
#include "parts/byte_trie.h"

#include <stdlib.h>
#include <string.h>

enum { SORTED_AT_ONCE = 16, N_CURSORS = 8 };

typedef struct trie_node {
    uint32_t begin, end; /* keys */
    uint32_t depth;
    uint32_t unit; /* where it is; ROOT for the root */
    int is_sorted;
} trie_node;

#define ROOT UINT32_MAX

typedef struct trie_builder {
    pm_byte_trie *trie;
    pm_trie_key *keys, *spare;
    trie_node *nodes; /* to be done: a stack, so that what is near in the trie is near in memory */
    size_t n_nodes, nodes_capacity;
    uint64_t *units_taken, *bases_taken; /* bit sets of n_units bits and one word more */
    size_t cursors[N_CURSORS];           /* the word where the search for 1, 2, 3-4, 5-8, ... children goes on */
} trie_builder;

static unsigned char key_byte(const pm_trie_key *key, uint32_t depth)
{
    return (unsigned char)key->bytes[depth];
}

/* ---- Order ---- */

/* The next bytes of a key as a number that orders as they do; missing ones are 0. */
static uint64_t prefix_of(const pm_trie_key *key, uint32_t depth)
{
    uint64_t prefix = 0;
    uint32_t n = key->n - depth < 8 ? key->n - depth : 8;
    for (uint32_t i = 0; i < n; i++)
        prefix |= (uint64_t)key_byte(key, depth + i) << (56 - 8 * i);
    return prefix;
}

static int is_after(const pm_trie_key *a, const pm_trie_key *b, uint32_t depth)
{
    uint32_t n = a->n < b->n ? a->n : b->n;
    int order = memcmp(a->bytes + depth, b->bytes + depth, n - depth);
    return order > 0 || (order == 0 && a->n > b->n);
}

static void insertion_sort(pm_trie_key *keys, size_t n, uint32_t depth)
{
    uint64_t prefixes[SORTED_AT_ONCE];
    for (size_t i = 0; i < n; i++) {
        pm_trie_key key = keys[i];
        uint64_t prefix = prefix_of(&key, depth);
        size_t at = i;
        for (; at > 0; at--) {
            if (prefixes[at - 1] < prefix || (prefixes[at - 1] == prefix && !is_after(&keys[at - 1], &key, depth)))
                break;
            keys[at] = keys[at - 1];
            prefixes[at] = prefixes[at - 1];
        }
        keys[at] = key;
        prefixes[at] = prefix;
    }
}

/* Orders keys, all longer than depth, by the byte there; stable. */
static void counting_sort(trie_builder *b, size_t begin, size_t end, uint32_t depth)
{
    uint32_t starts[256] = {0};
    for (size_t i = begin; i < end; i++)
        starts[key_byte(&b->keys[i], depth)]++;
    uint32_t at = (uint32_t)begin;
    for (unsigned c = 0; c < 256; c++) {
        uint32_t n = starts[c];
        starts[c] = at;
        at += n;
    }
    memcpy(b->spare + begin, b->keys + begin, (end - begin) * sizeof *b->keys);
    for (size_t i = begin; i < end; i++)
        b->keys[starts[key_byte(&b->spare[i], depth)]++] = b->spare[i];
}

/* The keys that end at this node go to the front, in order; returns how many they are. */
static uint32_t split_off_ended(trie_builder *b, const trie_node *node)
{
    uint32_t n = 0;
    if (node->is_sorted) {
        while (node->begin + n < node->end && b->keys[node->begin + n].n == node->depth)
            n++;
        return n;
    }
    for (uint32_t i = node->begin; i < node->end; i++)
        n += b->keys[i].n == node->depth;
    if (n == 0)
        return n;
    uint32_t ended = node->begin;
    uint32_t rest = node->begin + n;
    memcpy(b->spare + node->begin, b->keys + node->begin, (node->end - node->begin) * sizeof *b->keys);
    for (uint32_t i = node->begin; i < node->end; i++)
        b->keys[b->spare[i].n == node->depth ? ended++ : rest++] = b->spare[i];
    return n;
}

/* ---- Places ---- */

static int grow_units(trie_builder *b, size_t n)
{
    size_t old = b->trie->n_units;
    if (n > UINT32_MAX - 1024)
        return 0;
    size_t size = old * 2 < UINT32_MAX - 1024 ? old * 2 : UINT32_MAX - 1024;
    size = (size > n ? size : n) / 64 * 64 + 64;
    pm_trie_unit *units = pm_table_allocate(size * sizeof *units);
    if (!units)
        return 0;
    if (old > 0)
        memcpy(units, b->trie->units, old * sizeof *units);
    pm_table_free(b->trie->units, old * sizeof *units);
    b->trie->units = units;
    b->trie->n_units = size;
    uint64_t *taken = realloc(b->units_taken, (size / 64 + 1) * sizeof *taken);
    if (!taken)
        return 0;
    b->units_taken = taken;
    uint64_t *bases = realloc(b->bases_taken, (size / 64 + 1) * sizeof *bases);
    if (!bases)
        return 0;
    b->bases_taken = bases;
    size_t first_word = old ? old / 64 + 1 : 0;
    memset(taken + first_word, 0, (size / 64 + 1 - first_word) * sizeof *taken);
    memset(bases + first_word, 0, (size / 64 + 1 - first_word) * sizeof *bases);
    return 1;
}

/* 64 bits of a set from any bit on. */
static uint64_t bits_at(const uint64_t *set, size_t bit)
{
    size_t word = bit / 64;
    unsigned shift = (unsigned)(bit % 64);
    return shift == 0 ? set[word] : set[word] >> shift | set[word + 1] << (64 - shift);
}

static size_t *cursor_of(trie_builder *b, size_t n_labels)
{
    size_t i = 0;
    while (i + 1 < N_CURSORS && (size_t)1 << i < n_labels)
        i++;
    return &b->cursors[i];
}

/* A base at which all labels are free; 0 when out of memory. Marks what it takes. */
static uint32_t take_base(trie_builder *b, const unsigned char *labels, size_t n_labels)
{
    size_t *cursor = cursor_of(b, n_labels);
    for (size_t word = *cursor;; word++) {
        if (word * 64 + 512 > b->trie->n_units && !grow_units(b, word * 64 + 512))
            return 0;
        uint64_t free = ~b->bases_taken[word];
        for (size_t i = 0; i < n_labels && free; i++)
            free &= ~bits_at(b->units_taken, word * 64 + labels[i]);
        if (!free)
            continue;
        *cursor = word;
        size_t base = word * 64 + (size_t)__builtin_ctzll(free);
        b->bases_taken[word] |= free & -free;
        for (size_t i = 0; i < n_labels; i++)
            b->units_taken[(base + labels[i]) / 64] |= (uint64_t)1 << (base + labels[i]) % 64;
        return (uint32_t)base;
    }
}

/* ---- Nodes ---- */

static pm_trie_unit *unit_of(trie_builder *b, uint32_t unit)
{
    return unit == ROOT ? &b->trie->root : &b->trie->units[unit];
}

static void set_value(trie_builder *b, uint32_t unit, uint32_t value)
{
    *unit_of(b, unit) |= ((uint64_t)value + 1) << 9;
}

/* The only child of a node; 0 when out of memory. */
static uint32_t add_child(trie_builder *b, uint32_t unit, unsigned char label)
{
    uint32_t base = take_base(b, &label, 1);
    if (base == 0)
        return 0;
    *unit_of(b, unit) |= (uint64_t)base << 32;
    b->trie->units[base + label] = 0x100u | label;
    return base + label;
}

/* The rest of a single key: a chain. */
static int add_tail(trie_builder *b, const pm_trie_key *key, uint32_t depth, uint32_t unit)
{
    for (; depth < key->n; depth++) {
        unit = add_child(b, unit, key_byte(key, depth));
        if (unit == 0)
            return 0;
    }
    set_value(b, unit, key->value);
    return 1;
}

/* A node whose keys have different next bytes. */
static int add_children(trie_builder *b, const trie_node *node)
{
    unsigned char labels[256];
    uint32_t starts[257];
    size_t n = 0;
    for (uint32_t i = node->begin; i < node->end; i++) {
        unsigned char label = key_byte(&b->keys[i], node->depth);
        if (n == 0 || labels[n - 1] != label) {
            labels[n] = label;
            starts[n++] = i;
        }
    }
    starts[n] = node->end;
    uint32_t base = take_base(b, labels, n);
    if (base == 0 || !pm_grow((void **)&b->nodes, &b->nodes_capacity, b->n_nodes + n, sizeof *b->nodes))
        return 0;
    *unit_of(b, node->unit) |= (uint64_t)base << 32;
    for (size_t i = 0; i < n; i++) {
        b->trie->units[base + labels[i]] = 0x100u | labels[i];
        b->nodes[b->n_nodes++] =
            (trie_node){starts[i], starts[i + 1], node->depth + 1, base + labels[i], node->is_sorted};
    }
    return 1;
}

/* All below a node up to where its keys part. */
static int expand(trie_builder *b, trie_node node)
{
    if (!node.is_sorted && node.end - node.begin <= SORTED_AT_ONCE) {
        insertion_sort(b->keys + node.begin, node.end - node.begin, node.depth);
        node.is_sorted = 1;
    }
    for (;; node.depth++) {
        uint32_t n_ended = split_off_ended(b, &node);
        node.begin += n_ended;
        if (n_ended > 0)
            set_value(b, node.unit, b->keys[node.begin - 1].value);
        if (node.begin == node.end)
            return 1;
        if (node.end - node.begin == 1)
            return add_tail(b, &b->keys[node.begin], node.depth, node.unit);
        unsigned char first = key_byte(&b->keys[node.begin], node.depth);
        if (!node.is_sorted || first != key_byte(&b->keys[node.end - 1], node.depth))
            break;
        node.unit = add_child(b, node.unit, first);
        if (node.unit == 0)
            return 0;
    }
    if (!node.is_sorted)
        counting_sort(b, node.begin, node.end, node.depth);
    return add_children(b, &node);
}

static int build(trie_builder *b, size_t n_keys)
{
    if (!grow_units(b, 1024 + n_keys * 4))
        return 0;
    b->bases_taken[0] |= 1; /* 0 is the base of nodes without children */
    if (n_keys == 0)
        return 1;
    b->spare = malloc(n_keys * sizeof *b->spare);
    if (!b->spare || !expand(b, (trie_node){0, (uint32_t)n_keys, 0, ROOT, 0}))
        return 0;
    while (b->n_nodes > 0)
        if (!expand(b, b->nodes[--b->n_nodes]))
            return 0;
    return 1;
}

pm_plugin_code pm_byte_trie_create(pm_trie_key *keys, size_t n_keys, pm_byte_trie *trie,
                                   const pm_plugin_message *message)
{
    memset(trie, 0, sizeof *trie);
    trie_builder b = {.trie = trie, .keys = keys};
    for (size_t i = 0; i < n_keys; i++) {
        if (keys[i].n == 0 || keys[i].value > PM_TRIE_MAX_VALUE || n_keys > PM_TRIE_MAX_VALUE)
            return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "more than %d tokens are not supported",
                                  PM_TRIE_MAX_VALUE);
        trie->longest = keys[i].n > trie->longest ? keys[i].n : trie->longest;
    }
    int good = build(&b, n_keys);
    free(b.spare);
    free(b.nodes);
    free(b.units_taken);
    free(b.bases_taken);
    if (good)
        return PM_PLUGIN_OK;
    pm_byte_trie_destroy(trie);
    return pm_plugin_fail_memory(message, "the trie of tokens");
}

void pm_byte_trie_destroy(pm_byte_trie *trie)
{
    pm_table_free(trie->units, trie->n_units * sizeof *trie->units);
    memset(trie, 0, sizeof *trie);
}

pm_trie_unit pm_trie_find(const pm_byte_trie *trie, pm_trie_unit from, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        from = pm_trie_next(trie, from, (unsigned char)bytes[i]);
        if (!pm_trie_is_child(from, (unsigned char)bytes[i]))
            return 0;
    }
    return from;
}
