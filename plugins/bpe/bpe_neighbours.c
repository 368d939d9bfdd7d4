/* Which symbols stand next to each other inside tokens: see bpe_neighbours in bpe.h. */
#include "bpe/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "parts/utf8_read.h"

static int resize(bpe_neighbours *neighbours, int shift);

/* Adds a pair; 0 where memory has run out. */
static int add_pair(bpe_neighbours *neighbours, uint64_t pair)
{
    size_t at = bpe_first_slot(pair, neighbours->shift);
    while (neighbours->pairs[at] != BPE_NO_PAIR) {
        if (neighbours->pairs[at] == pair)
            return 1;
        at = (at + 1) & neighbours->mask;
    }
    neighbours->pairs[at] = pair;
    neighbours->n++;
    return neighbours->n * 2 <= neighbours->mask || resize(neighbours, neighbours->shift - 1);
}

/* Moves the pairs to a table of 1 << (64 - shift) slots. */
static int resize(bpe_neighbours *neighbours, int shift)
{
    size_t n_slots = (size_t)1 << (64 - shift);
    bpe_neighbours grown = {malloc(n_slots * sizeof *grown.pairs), n_slots - 1, shift, 0};
    if (!grown.pairs)
        return 0;
    memset(grown.pairs, 0xFF, n_slots * sizeof *grown.pairs);
    for (size_t i = 0; neighbours->pairs && i <= neighbours->mask; i++)
        if (neighbours->pairs[i] != BPE_NO_PAIR)
            add_pair(&grown, neighbours->pairs[i]); /* there is room: it does not grow again */
    free(neighbours->pairs);
    *neighbours = grown;
    return 1;
}

/* The symbol that a token's byte or character starts as, and how many bytes it takes. */
static int32_t first_symbol(const bpe_model *bpe, const char *bytes, size_t size, size_t *length)
{
    *length = 1;
    if (bpe->is_bytes)
        return bpe->byte_symbols[(unsigned char)*bytes];
    pm_character c = pm_read_character(bytes, 0, size);
    *length = c.length;
    return c.malformed ? PM_NO_TOKEN : bpe_character_symbol(bpe, bytes, c.length, c.code);
}

pm_plugin_code bpe_neighbours_create(bpe_model *bpe, const pm_plugin_message *message)
{
    int good = resize(&bpe->neighbours, 64 - 12);
    for (size_t i = 0; i < bpe->table->n && good; i++) {
        size_t size;
        const char *bytes = pm_token_bytes(bpe->table, (int32_t)i, &size);
        int32_t left = PM_NO_TOKEN;
        size_t length;
        if (!bpe_may_be_merged(bpe->table, i))
            continue;
        for (size_t at = 0; at < size && good; at += length) {
            int32_t right = first_symbol(bpe, bytes + at, size - at, &length);
            if (left != PM_NO_TOKEN && right != PM_NO_TOKEN)
                good = add_pair(&bpe->neighbours, (uint64_t)(uint32_t)left << 32 | (uint32_t)right);
            left = right;
        }
    }
    if (good)
        return PM_PLUGIN_OK;
    bpe_neighbours_destroy(&bpe->neighbours);
    return pm_plugin_fail_memory(message, "the neighbours of symbols");
}

void bpe_neighbours_destroy(bpe_neighbours *neighbours)
{
    free(neighbours->pairs);
    memset(neighbours, 0, sizeof *neighbours);
}
