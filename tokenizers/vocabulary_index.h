/* From the spelling of a token to its id, while a vocabulary is read: for merges, which name tokens by their spelling.
 *
 * Looking up takes steps, so that many look-ups can be under way at once, each waiting for memory while the others are
 * worked on: the hash (which asks for the slot), the candidate (which asks for its spelling), the comparison.
 */
#ifndef PUMICE_VOCABULARY_INDEX_H
#define PUMICE_VOCABULARY_INDEX_H

#include <stdint.h>
#include <string.h>

#include "vocabulary.h"

typedef struct pm_vocabulary_index {
    const pm_spelling *spellings;
    uint64_t *slots; /* high half: of the hash, low half: id + 1; 0 is free */
    size_t mask;     /* number of slots - 1 */
    uint64_t seed;   /* differs from run to run, so that no file can be made to collide */
} pm_vocabulary_index;

/* Room for n spellings, none of them in it yet; 0 when out of memory. */
int pm_vocabulary_index_create(pm_vocabulary_index *index, const pm_spelling *spellings, size_t n);
void pm_vocabulary_index_destroy(pm_vocabulary_index *index); /* fine on one that is all zero */

/* Adds the first n spellings, those of entries whose kind's bit is in `kinds` and that are not empty. Returns the first
 * that is in the index already (it is left out), or PM_NO_TOKEN. */
int32_t pm_vocabulary_index_add(pm_vocabulary_index *index, const pm_vocab_entry *entries, size_t n, unsigned kinds);

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
    uint64_t h = index->seed ^ (n * UINT64_C(0x9E3779B97F4A7C15));
    for (; n > 16; bytes += 8, n -= 8)
        h = pm_mix_words(h ^ pm_load_bytes(bytes, 8), UINT64_C(0xA0761D6478BD642F));
    size_t half = n > 8 ? 8 : n;
    uint64_t low = pm_load_bytes(bytes, half), high = pm_load_bytes(bytes + half, n - half);
    return pm_mix_words(h ^ low, high ^ UINT64_C(0xE7037ED1A0B428DB));
}

static inline void pm_vocabulary_prefetch(const pm_vocabulary_index *index, uint64_t hash)
{
    __builtin_prefetch(&index->slots[hash & index->mask]);
}

/* The id of the first token that has this hash, as far as the slots know, or PM_NO_TOKEN. */
static inline int32_t pm_vocabulary_candidate(const pm_vocabulary_index *index, uint64_t hash)
{
    for (size_t at = hash & index->mask; index->slots[at] != 0; at = (at + 1) & index->mask)
        if (index->slots[at] >> 32 == hash >> 32)
            return (int32_t)((uint32_t)index->slots[at] - 1);
    return PM_NO_TOKEN;
}

static inline int pm_vocabulary_is(const pm_vocabulary_index *index, int32_t id, const char *bytes, size_t n)
{
    return index->spellings[id].n == n && pm_same_bytes(index->spellings[id].text, bytes, n);
}

/* The id of the token with this spelling, or PM_NO_TOKEN. */
static inline int32_t pm_vocabulary_find(const pm_vocabulary_index *index, uint64_t hash, const char *bytes,
                                         size_t n)
{
    for (size_t at = hash & index->mask; index->slots[at] != 0; at = (at + 1) & index->mask) {
        int32_t id = (int32_t)((uint32_t)index->slots[at] - 1);
        if (index->slots[at] >> 32 == hash >> 32 && pm_vocabulary_is(index, id, bytes, n))
            return id;
    }
    return PM_NO_TOKEN;
}

#endif
