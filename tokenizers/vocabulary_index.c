/* From spellings to ids: see vocabulary_index.h. Open addressing at a load of at most four fifths. */
#include "vocabulary_index.h"

#include <stdlib.h>
#include <time.h>

enum { AHEAD = 16 }; /* spellings whose slots are fetched before they are filled in */

int pm_vocabulary_index_create(pm_vocabulary_index *index, size_t n)
{
    size_t n_slots = 64;
    struct timespec now = {0};
    while (n_slots < n + n / 4)
        n_slots *= 2;
    index->mask = n_slots - 1;
    index->slots = calloc(n_slots, sizeof *index->slots);
    clock_gettime(CLOCK_MONOTONIC, &now);
    index->seeds[0] = pm_mix_words((uint64_t)(uintptr_t)index->slots ^ UINT64_C(0xA0761D6478BD642F),
                                   (uint64_t)now.tv_nsec ^ UINT64_C(0xE7037ED1A0B428DB));
    index->seeds[1] = pm_mix_words((uint64_t)(uintptr_t)&now ^ UINT64_C(0x8EBC6AF09C88C6E3),
                                   index->seeds[0] ^ UINT64_C(0x589965CC75374CC3)) | 1;
    return index->slots != NULL;
}

void pm_vocabulary_index_destroy(pm_vocabulary_index *index)
{
    free(index->slots);
    index->slots = NULL;
}

/* 0 where the hash is there already. */
static int put(pm_vocabulary_index *index, uint64_t hash, size_t id, int is_unused)
{
    size_t at = hash & index->mask;
    for (; index->slots[at].id_plus_1 != 0; at = (at + 1) & index->mask)
        if (index->slots[at].hash == hash)
            return 0;
    index->slots[at] = (pm_index_slot){hash, (uint32_t)id + 1, (uint32_t)is_unused};
    return 1;
}

int32_t pm_vocabulary_index_add(pm_vocabulary_index *index, const pm_spelling *spellings,
                                const pm_vocab_entry *entries, size_t n, unsigned kinds)
{
    uint64_t hashes[AHEAD];
    size_t ids[AHEAD], n_started = 0, n_put = 0;
    int32_t twice = PM_NO_TOKEN;
    for (size_t i = 0; i < n || n_put < n_started; i++) {
        if (n_put < n_started && (i >= n || n_started - n_put == AHEAD)) {
            size_t id = ids[n_put % AHEAD];
            if (!put(index, hashes[n_put % AHEAD], id, entries[id].kind == PM_TOKEN_UNUSED) && twice == PM_NO_TOKEN)
                twice = (int32_t)id;
            n_put++;
        }
        if (i >= n || spellings[i].n == 0 || (kinds >> entries[i].kind & 1) == 0)
            continue;
        ids[n_started % AHEAD] = i;
        hashes[n_started % AHEAD] = pm_vocabulary_hash(index, spellings[i].text, spellings[i].n);
        pm_vocabulary_prefetch(index, hashes[n_started % AHEAD]);
        n_started++;
    }
    return twice;
}
