/* From spellings to ids: see vocabulary_index.h. Open addressing at a load of at most a half. */
#include "vocabulary_index.h"

#include <stdlib.h>

enum { AHEAD = 16 }; /* spellings whose slots are fetched before they are filled in */

int pm_vocabulary_index_create(pm_vocabulary_index *index, const pm_spelling *spellings, size_t n)
{
    size_t n_slots = 64;
    while (n_slots < 2 * n)
        n_slots *= 2;
    *index = (pm_vocabulary_index){.spellings = spellings, .mask = n_slots - 1};
    index->slots = calloc(n_slots, sizeof *index->slots);
    index->seed = pm_mix_words((uint64_t)(uintptr_t)index->slots, (uint64_t)(uintptr_t)&n_slots);
    return index->slots != NULL;
}

void pm_vocabulary_index_destroy(pm_vocabulary_index *index)
{
    free(index->slots);
    index->slots = NULL;
}

/* 0 where the spelling is there already. */
static int put(pm_vocabulary_index *index, uint64_t hash, size_t id)
{
    const pm_spelling *s = &index->spellings[id];
    size_t at = hash & index->mask;
    for (; index->slots[at] != 0; at = (at + 1) & index->mask)
        if (index->slots[at] >> 32 == hash >> 32 &&
            pm_vocabulary_is(index, (int32_t)((uint32_t)index->slots[at] - 1), s->text, s->n))
            return 0;
    index->slots[at] = (hash >> 32 << 32) | (uint32_t)(id + 1);
    return 1;
}

int32_t pm_vocabulary_index_add(pm_vocabulary_index *index, const pm_vocab_entry *entries, size_t n, unsigned kinds)
{
    uint64_t hashes[AHEAD];
    int32_t twice = PM_NO_TOKEN;
    size_t ids[AHEAD], n_started = 0, n_put = 0;
    for (size_t i = 0; i < n || n_put < n_started; i++) {
        if (n_put < n_started && (i >= n || n_started - n_put == AHEAD)) {
            if (!put(index, hashes[n_put % AHEAD], ids[n_put % AHEAD]) && twice == PM_NO_TOKEN)
                twice = (int32_t)ids[n_put % AHEAD];
            n_put++;
        }
        if (i >= n || index->spellings[i].n == 0 || (kinds >> entries[i].kind & 1) == 0)
            continue;
        ids[n_started % AHEAD] = i;
        hashes[n_started % AHEAD] = pm_vocabulary_hash(index, index->spellings[i].text, index->spellings[i].n);
        pm_vocabulary_prefetch(index, hashes[n_started % AHEAD]);
        n_started++;
    }
    return twice;
}
