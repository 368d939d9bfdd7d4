/* From bytes to ids: see vocabulary_index.h. Open addressing at a load of at most a half. */
#include "vocabulary_index.h"

#include <stdlib.h>

enum { AHEAD = 16 }; /* entries whose slots are fetched before they are filled in */

int pm_vocabulary_index_create(pm_vocabulary_index *index, const pm_vocab_entry *entries, size_t n)
{
    size_t n_slots = 64;
    while (n_slots < 2 * n)
        n_slots *= 2;
    *index = (pm_vocabulary_index){.entries = entries, .mask = n_slots - 1};
    index->slots = calloc(n_slots, sizeof *index->slots);
    index->seed = pm_mix_words((uint64_t)(uintptr_t)index->slots, (uint64_t)(uintptr_t)&n_slots);
    return index->slots != NULL;
}

void pm_vocabulary_index_destroy(pm_vocabulary_index *index)
{
    free(index->slots);
    index->slots = NULL;
}

static int is_wanted(const pm_vocab_entry *e, unsigned kinds)
{
    return e->n_bytes > 0 && (kinds >> e->kind & 1) != 0;
}

/* 0 where the bytes are there already. */
static int put(pm_vocabulary_index *index, uint64_t hash, size_t id)
{
    const pm_vocab_entry *e = &index->entries[id];
    size_t at = hash & index->mask;
    for (; index->slots[at] != 0; at = (at + 1) & index->mask) {
        const pm_vocab_entry *other = &index->entries[(uint32_t)index->slots[at] - 1];
        if (index->slots[at] >> 32 == hash >> 32 && other->n_bytes == e->n_bytes &&
            memcmp(other->bytes, e->bytes, e->n_bytes) == 0)
            return 0;
    }
    index->slots[at] = (hash >> 32 << 32) | (uint32_t)(id + 1);
    return 1;
}

int32_t pm_vocabulary_index_add(pm_vocabulary_index *index, size_t begin, size_t end, unsigned kinds)
{
    uint64_t hashes[AHEAD];
    int32_t twice = PM_NO_TOKEN;
    for (size_t i = begin; i < end + AHEAD; i++) {
        if (i >= begin + AHEAD && is_wanted(&index->entries[i - AHEAD], kinds) &&
            !put(index, hashes[i % AHEAD], i - AHEAD) && twice == PM_NO_TOKEN)
            twice = (int32_t)(i - AHEAD);
        if (i < end && is_wanted(&index->entries[i], kinds)) {
            hashes[i % AHEAD] = pm_vocabulary_hash(index, index->entries[i].bytes, index->entries[i].n_bytes);
            pm_vocabulary_prefetch(index, hashes[i % AHEAD]);
        }
    }
    return twice;
}
