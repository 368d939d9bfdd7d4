/* What is remembered of pieces: see bpe_cache in bpe.h. */
#include <string.h>

#include "bpe/bpe.h"

/* Two 64-bit words and the length, mixed; keys are at most BPE_CACHE_KEY bytes long. */
static size_t slot_of(const char *bytes, size_t n)
{
    return (size_t)(pm_hash_bytes(bytes, n) >> 20) % BPE_CACHE_ENTRIES;
}

int bpe_cache_emit(const bpe_cache *cache, const char *bytes, size_t n, size_t begin, pm_token_sink *sink)
{
    if (n > BPE_CACHE_KEY)
        return 0;
    const bpe_cache_entry *entry = &cache->entries[slot_of(bytes, n)];
    if (entry->n_key != n || memcmp(entry->key, bytes, n) != 0)
        return 0;
    size_t at = begin;
    for (size_t i = 0; i < entry->n_ids; i++) {
        pm_token_emit(sink, entry->ids[i], at, begin + entry->ends[i]);
        at = begin + entry->ends[i];
    }
    return 1;
}

void bpe_cache_add(bpe_encoding *e, const char *bytes, size_t n)
{
    const bpe_symbol *symbols = e->symbols;
    size_t n_symbols = e->n_symbols;
    if (n > BPE_CACHE_KEY || n_symbols == 0 || n_symbols > BPE_CACHE_IDS)
        return;
    bpe_cache_entry *entry = &e->cache.entries[slot_of(bytes, n)];
    size_t at = symbols[0].begin;
    for (size_t i = 0; i < n_symbols; i++) {
        if (symbols[i].begin != at || symbols[i].id < 0 || (size_t)symbols[i].id >= e->bpe->table->n)
            return; /* something was left out, or is unknown: that is counted each time anew */
        at = symbols[i].end;
    }
    if (at - symbols[0].begin != n)
        return;
    entry->n_key = (uint8_t)n;
    entry->n_ids = (uint8_t)n_symbols;
    memcpy(entry->key, bytes, n);
    for (size_t i = 0; i < n_symbols; i++) {
        entry->ids[i] = symbols[i].id;
        entry->ends[i] = (uint8_t)(symbols[i].end - symbols[0].begin);
    }
}
