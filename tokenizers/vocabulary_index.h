/* From the spelling of a token to its id, while a vocabulary is read: for merges, which name tokens by their
 * spelling.
 *
 * Spellings are known by 64 bits of hash alone, which saves visiting them again; two different ones of 200,000
 * have the same hash by chance once in a billion vocabularies. The hash is seeded anew for every vocabulary, so no
 * file can be made to collide. Looking up takes two steps, so that many look-ups can be under way at once: the
 * hash, which asks for the slot's memory, and later the search.
 *
 * Most spellings have at most 16 bytes. These are handled as one number, without a branch on their length: see
 * pm_spelling_bits.
 */
#ifndef PUMICE_VOCABULARY_INDEX_H
#define PUMICE_VOCABULARY_INDEX_H

#include <stdint.h>
#include <string.h>

#include "vocabulary.h"

typedef struct pm_index_slot {
    uint64_t hash;
    uint32_t id_plus_1; /* 0: free */
    uint32_t is_unused; /* the entry's kind is UNUSED */
} pm_index_slot;

enum { PM_UNUSED_TOKEN = -2 }; /* what is found where the entry is UNUSED */

typedef struct pm_vocabulary_index {
    pm_index_slot *slots;
    size_t mask; /* number of slots - 1 */
} pm_vocabulary_index;

/* Room for n spellings; 0 when out of memory. */
int pm_vocabulary_index_create(pm_vocabulary_index *index, size_t n);
void pm_vocabulary_index_destroy(pm_vocabulary_index *index); /* fine on one that is all zero */

/* Adds the first n spellings, those of entries whose kind's bit is in `kinds`. Returns the first that is in the
 * index already (it is left out), or PM_NO_TOKEN. *n_others: how many spelled entries are of other kinds. */
int32_t pm_vocabulary_index_add(pm_vocabulary_index *index, const uint64_t *hashes, const pm_vocab_entry *entries,
                                size_t n, unsigned kinds, size_t *n_others);

typedef unsigned __int128 pm_bits128;

/* n <= 16 bytes as a number, the first the lowest. Reads 16 bytes where they all lie in the file. */
static inline pm_bits128 pm_spelling_bits(const pm_vocabulary *v, const char *text, size_t n)
{
    uint64_t words[2] = {0, 0};
    if ((uintptr_t)text - (uintptr_t)v->file_begin < v->n_file_padded)
        memcpy(words, text, 16);
    else if (n > 0)
        memcpy(words, text, n);
    pm_bits128 bits = (pm_bits128)words[1] << 64 | words[0];
    return n < 16 ? bits & (((pm_bits128)1 << (8 * n)) - 1) : bits;
}

static inline uint64_t pm_mix_words(uint64_t a, uint64_t b)
{
    pm_bits128 product = (pm_bits128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Never 0. The seed of each spelling depends on what precedes these last bits of it, and on its length. */
static inline uint64_t pm_hash_bits(const pm_vocabulary *v, uint64_t seed, pm_bits128 bits, size_t n)
{
    uint64_t length = n * UINT64_C(0x9E3779B97F4A7C15);
    return pm_mix_words(seed ^ (uint64_t)bits, v->seeds[1] ^ (uint64_t)(bits >> 64) ^ length) | 1;
}

uint64_t pm_hash_long_spelling(const pm_vocabulary *v, const char *text, size_t n);

static inline uint64_t pm_hash_spelling(const pm_vocabulary *v, const char *text, size_t n)
{
    if (n > 16)
        return pm_hash_long_spelling(v, text, n);
    return pm_hash_bits(v, v->seeds[0], pm_spelling_bits(v, text, n), n);
}

static inline void pm_vocabulary_prefetch(const pm_vocabulary_index *index, uint64_t hash)
{
    __builtin_prefetch(&index->slots[hash >> 1 & index->mask]);
}

/* The id of the token whose spelling has this hash, or PM_NO_TOKEN or PM_UNUSED_TOKEN. */
static inline int32_t pm_vocabulary_find(const pm_vocabulary_index *index, uint64_t hash)
{
    for (size_t at = hash >> 1 & index->mask; index->slots[at].id_plus_1 != 0; at = (at + 1) & index->mask)
        if (index->slots[at].hash == hash)
            return index->slots[at].is_unused ? PM_UNUSED_TOKEN : (int32_t)(index->slots[at].id_plus_1 - 1);
    return PM_NO_TOKEN;
}

#endif
