/* From the spelling of a token to its id, while a vocabulary is read: for merges, which name tokens by their spelling.
 *
 * Looking up takes two steps, so that many look-ups can be under way at once: the hash, which asks for the slot's memory,
 * and later the search. Spellings count as equal where all 64 bits of their hashes are, which saves visiting the
 * spelling itself; two different ones of 200,000 do so by chance once in a billion vocabularies. The hash is seeded
 * anew for every index, so no file can be made to collide.
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
    uint64_t seeds[2];
} pm_vocabulary_index;

/* Room for n spellings; 0 when out of memory. */
int pm_vocabulary_index_create(pm_vocabulary_index *index, size_t n);
void pm_vocabulary_index_destroy(pm_vocabulary_index *index); /* fine on one that is all zero */

/* Adds the first n spellings, those of entries whose kind's bit is in `kinds` and that are not empty. Returns the first
 * that is in the index already (it is left out), or PM_NO_TOKEN. */
int32_t pm_vocabulary_index_add(pm_vocabulary_index *index, const pm_spelling *spellings,
                                const pm_vocab_entry *entries, size_t n, unsigned kinds);

static inline uint64_t pm_load_bytes(const char *p, size_t n) /* n <= 8; different bytes give different values */
{
    uint64_t value = 0;
    if (n == 8) {
        memcpy(&value, p, 8);
    } else if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        value = (uint64_t)high << 32 | low;
    } else if (n > 0) {
        value = (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n >> 1] << 8 | (uint8_t)p[n - 1];
    }
    return value;
}

static inline int pm_same_bytes(const char *a, const char *b, size_t n)
{
    for (; n > 8; a += 8, b += 8, n -= 8)
        if (pm_load_bytes(a, 8) != pm_load_bytes(b, 8))
            return 0;
    return pm_load_bytes(a, n) == pm_load_bytes(b, n);
}

static inline uint64_t pm_mix_words(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t pm_vocabulary_hash(const pm_vocabulary_index *index, const char *bytes, size_t n)
{
    uint64_t length = n * UINT64_C(0x9E3779B97F4A7C15), low, high = 0;
    uint64_t h = index->seeds[0];
    for (; n > 16; bytes += 8, n -= 8)
        h = pm_mix_words(h ^ pm_load_bytes(bytes, 8), index->seeds[1]);
    if (n <= 8) {
        low = pm_load_bytes(bytes, n);
    } else {
        low = pm_load_bytes(bytes, 8);
        high = pm_load_bytes(bytes + n - 8, 8); /* the two overlap, and the length says how far */
    }
    return pm_mix_words(h ^ low, index->seeds[1] ^ high ^ length);
}

static inline void pm_vocabulary_prefetch(const pm_vocabulary_index *index, uint64_t hash)
{
    __builtin_prefetch(&index->slots[hash & index->mask]);
}

/* The id of the token whose spelling has this hash, or PM_NO_TOKEN or PM_UNUSED_TOKEN. */
static inline int32_t pm_vocabulary_find(const pm_vocabulary_index *index, uint64_t hash)
{
    for (size_t at = hash & index->mask; index->slots[at].id_plus_1 != 0; at = (at + 1) & index->mask)
        if (index->slots[at].hash == hash)
            return index->slots[at].is_unused ? PM_UNUSED_TOKEN : (int32_t)(index->slots[at].id_plus_1 - 1);
    return PM_NO_TOKEN;
}

#endif
