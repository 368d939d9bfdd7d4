/* What all readers of vocabularies share: see vocabulary.h. */
#include "vocabulary.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "parts/memory.h"
#include "vocabulary_index.h"

enum { MAX_TOKENS = 1 << 26, BYTES_BLOCK = 1 << 20 };

pm_status pm_vocabulary_start(pm_vocabulary *vocabulary, const char *source, pm_error *err)
{
    memset(vocabulary, 0, sizeof *vocabulary);
    pm_tokenizer_spec *spec = &vocabulary->spec;
    spec->size = sizeof *spec;
    spec->bos = spec->eos = spec->unk = spec->pad = spec->sep = spec->cls = spec->mask = PM_NO_TOKEN;
    vocabulary->eot = PM_NO_TOKEN;
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    vocabulary->seeds[0] = pm_mix_words((uint64_t)(uintptr_t)vocabulary ^ UINT64_C(0xA0761D6478BD642F),
                                        (uint64_t)now.tv_nsec ^ UINT64_C(0xE7037ED1A0B428DB));
    vocabulary->seeds[1] = pm_mix_words((uint64_t)(uintptr_t)source ^ UINT64_C(0x8EBC6AF09C88C6E3),
                                        vocabulary->seeds[0] ^ UINT64_C(0x589965CC75374CC3));
    spec->source = pm_arena_strndup(&vocabulary->arena, source, strlen(source));
    return spec->source ? PM_OK : pm_fail_memory(err, strlen(source), "a path");
}

void pm_vocabulary_free(pm_vocabulary *vocabulary)
{
    pm_arena_free(&vocabulary->arena);
    pm_table_free(vocabulary->entries, vocabulary->entries_capacity * sizeof *vocabulary->entries);
    pm_table_free(vocabulary->merges, vocabulary->merges_capacity * sizeof *vocabulary->merges);
    free(vocabulary->pipeline.bytes);
    pm_table_free(vocabulary->hashes, vocabulary->hashes_capacity * sizeof *vocabulary->hashes);
    pm_unmap_file(&vocabulary->file);
    pm_gguf_close(vocabulary->gguf);
    memset(vocabulary, 0, sizeof *vocabulary);
}

pm_status pm_vocabulary_extend(pm_vocabulary *vocabulary, size_t n, pm_error *err)
{
    pm_tokenizer_spec *spec = &vocabulary->spec;
    if (n <= spec->n_entries)
        return PM_OK;
    if (n > MAX_TOKENS)
        return pm_fail(err, PM_ERR_LIMIT, "%s: %zu tokens are too many", spec->source, n);
    if (!pm_table_grow((void **)&vocabulary->entries, &vocabulary->entries_capacity, n,
                       sizeof *vocabulary->entries))
        return pm_fail_memory(err, n * sizeof *vocabulary->entries, "a vocabulary");
    for (size_t i = spec->n_entries; i < n; i++)
        vocabulary->entries[i] = (pm_vocab_entry){.bytes = "", .kind = PM_TOKEN_UNUSED};
    spec->entries = vocabulary->entries;
    spec->n_entries = n;
    return PM_OK;
}

void pm_vocabulary_set_file(pm_vocabulary *vocabulary, const void *bytes, size_t n)
{
    vocabulary->file_begin = bytes;
    vocabulary->n_file_padded = n >= 16 ? n - 15 : 0;
}

int pm_vocabulary_reserve(pm_vocabulary *v, size_t n_entries, size_t n_merges)
{
    return pm_table_grow((void **)&v->entries, &v->entries_capacity, n_entries, sizeof *v->entries) &&
           pm_table_grow((void **)&v->hashes, &v->hashes_capacity, n_entries, sizeof *v->hashes) &&
           pm_table_grow((void **)&v->merges, &v->merges_capacity, n_merges, sizeof *v->merges);
}

int pm_vocabulary_spell(pm_vocabulary *vocabulary, size_t id, const char *text, size_t n)
{
    if (!pm_table_grow((void **)&vocabulary->hashes, &vocabulary->hashes_capacity, vocabulary->spec.n_entries,
                       sizeof *vocabulary->hashes))
        return 0;
    while (vocabulary->n_hashes <= id)
        vocabulary->hashes[vocabulary->n_hashes++] = 0;
    vocabulary->hashes[id] = n > 0 ? pm_hash_spelling(vocabulary, text, n) : 0;
    return 1;
}

char *pm_vocabulary_bytes(pm_vocabulary *vocabulary, size_t n)
{
    if (vocabulary->n_bytes_left < n) {
        size_t size = n > BYTES_BLOCK / 4 ? n : BYTES_BLOCK;
        char *block = pm_arena_alloc(&vocabulary->arena, size);
        if (!block || size == n)
            return block;
        vocabulary->bytes = block;
        vocabulary->n_bytes_left = size;
    }
    char *bytes = vocabulary->bytes;
    vocabulary->bytes += n;
    vocabulary->n_bytes_left -= n;
    return bytes;
}

pm_status pm_vocabulary_finish(pm_vocabulary *vocabulary, pm_error *err)
{
    pm_tokenizer_spec *spec = &vocabulary->spec;
    if (vocabulary->pipeline.failed)
        return pm_fail_memory(err, vocabulary->pipeline.n, "the description of a tokenizer");
    if (spec->n_entries == 0)
        return pm_fail(err, PM_ERR_FORMAT, "%s: the vocabulary is empty", spec->source);
    spec->entries = vocabulary->entries;
    spec->merges = vocabulary->merges;
    spec->pipeline = vocabulary->pipeline.bytes;
    spec->n_pipeline = vocabulary->pipeline.n;
    return PM_OK;
}

int pm_byte_of_name(const char *name, size_t n)
{
    static const char hex[] = "0123456789ABCDEF";
    if (n != 6 || memcmp(name, "<0x", 3) != 0 || name[5] != '>')
        return -1;
    const char *high = memchr(hex, name[3], 16);
    const char *low = memchr(hex, name[4], 16);
    return high && low ? (int)((high - hex) * 16 + (low - hex)) : -1;
}

int32_t pm_vocabulary_search(const pm_vocabulary *vocabulary, const char *bytes, size_t n)
{
    const pm_vocab_entry *entries = vocabulary->entries;
    int32_t found = PM_NO_TOKEN;
    for (size_t i = 0; i < vocabulary->spec.n_entries; i++) {
        if (entries[i].n_bytes != n || entries[i].kind == PM_TOKEN_UNUSED ||
            memcmp(entries[i].bytes, bytes, n) != 0)
            continue;
        if (entries[i].kind == PM_TOKEN_CONTROL)
            return (int32_t)i;
        if (found == PM_NO_TOKEN)
            found = (int32_t)i;
    }
    return found;
}
