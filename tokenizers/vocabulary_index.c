/* From spellings to ids: see vocabulary_index.h. Open addressing at a load of at most four fifths. */
#include "vocabulary_index.h"

#include <stdlib.h>

#include "parts/memory.h"

enum { AHEAD = 16 }; /* spellings whose slots are fetched before they are filled in */

uint64_t pm_hash_long_spelling(const pm_vocabulary *v, const char *text, size_t n)
{
    uint64_t seed = v->seeds[0], word;
    size_t length = n;
    for (; n > 16; text += 8, n -= 8) {
        memcpy(&word, text, 8);
        seed = pm_mix_words(seed ^ word, v->seeds[1]);
    }
    return pm_hash_bits(v, seed, pm_spelling_bits(v, text, n), length);
}

int pm_vocabulary_index_create(pm_vocabulary_index *index, size_t n)
{
    size_t n_slots = 64;
    while (n_slots < n + n / 4)
        n_slots *= 2;
    index->mask = n_slots - 1;
    index->slots = pm_table_allocate(n_slots * sizeof *index->slots);
    return index->slots != NULL;
}

void pm_vocabulary_index_destroy(pm_vocabulary_index *index)
{
    pm_table_free(index->slots, (index->mask + 1) * sizeof *index->slots);
    index->slots = NULL;
}

/* 0 where the hash is there already. */
static int put(pm_vocabulary_index *index, uint64_t hash, size_t id, int is_unused)
{
    size_t at = hash >> 1 & index->mask;
    for (; index->slots[at].id_plus_1 != 0; at = (at + 1) & index->mask)
        if (index->slots[at].hash == hash)
            return 0;
    index->slots[at] = (pm_index_slot){hash, (uint32_t)id + 1, (uint32_t)is_unused};
    return 1;
}

int32_t pm_vocabulary_index_add(pm_vocabulary_index *index, const uint64_t *hashes, const pm_vocab_entry *entries,
                                size_t n, unsigned kinds, size_t *n_others)
{
    int32_t twice = PM_NO_TOKEN;
    *n_others = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            pm_vocabulary_prefetch(index, hashes[i + AHEAD]);
        int is_right = kinds >> entries[i].kind & 1;
        *n_others += hashes[i] != 0 && !is_right;
        if (hashes[i] == 0 || !is_right)
            continue;
        if (!put(index, hashes[i], i, entries[i].kind == PM_TOKEN_UNUSED) && twice == PM_NO_TOKEN)
            twice = (int32_t)i;
    }
    return twice;
}
