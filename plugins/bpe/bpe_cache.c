/* What is remembered of pieces: see bpe_cache in bpe.h. */
#include <string.h>

#include "bpe/bpe.h"

int bpe_cache_emit(const bpe_cache *cache, const char *bytes, size_t n, uint64_t hash, pm_token_sink *sink)
{
    if (n > BPE_CACHE_KEY)
        return 0;
    const bpe_cache_entry *entry = &cache->entries[bpe_cache_slot(hash)];
    if (entry->n_key != n || memcmp(entry->key, bytes, n) != 0)
        return 0;
    size_t begin = 0;
    for (size_t i = 0; i < entry->n_ids; i++) {
        pm_token_emit(sink, entry->ids[i], begin, entry->ends[i]);
        begin = entry->ends[i];
    }
    return 1;
}

void bpe_cache_add(bpe_encoding *e, const char *bytes, size_t n, uint64_t hash)
{
    const bpe_symbol *symbols = e->symbols;
    size_t n_symbols = e->n_symbols;
    if (n > BPE_CACHE_KEY || n_symbols == 0 || n_symbols > BPE_CACHE_IDS)
        return;
    bpe_cache_entry *entry = &e->cache.entries[bpe_cache_slot(hash)];
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

void bpe_cache_add_found(bpe_cache *cache, const char *bytes, size_t n, uint64_t hash, const bpe_found *found,
                         size_t n_found)
{
    if (n > BPE_CACHE_KEY || n_found > BPE_CACHE_IDS)
        return;
    bpe_cache_entry *entry = &cache->entries[bpe_cache_slot(hash)];
    entry->n_key = (uint8_t)n;
    entry->n_ids = (uint8_t)n_found;
    memcpy(entry->key, bytes, n);
    for (size_t i = 0; i < n_found; i++) {
        entry->ids[i] = found[i].id;
        entry->ends[i] = (uint8_t)found[i].end;
    }
}
