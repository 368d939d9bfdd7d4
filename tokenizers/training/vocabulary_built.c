/* The vocabulary that a trainer builds: tokens by id and by their bytes. See train.h. */
#include <stdlib.h>
#include <string.h>

#include "parts/bytes_hash.h"
#include "parts/plugin_fail.h"
#include "training/train.h"

enum { FIRST_SLOTS = 1 << 12 };

static int rehash(train_vocabulary *v)
{
    size_t n_slots = v->slots ? 2 * (v->mask + 1) : FIRST_SLOTS;
    uint32_t *slots = malloc(n_slots * sizeof *slots);
    if (!slots)
        return 0;
    memset(slots, 0xFF, n_slots * sizeof *slots);
    free(v->slots);
    v->slots = slots;
    v->mask = n_slots - 1;
    for (size_t i = 0; i < v->n; i++) {
        size_t at =
            (size_t)(pm_hash_bytes(v->tokens[i].bytes, v->tokens[i].n, v->tokens[i].n).hash >> 20) & v->mask;
        while (slots[at] != TRAIN_NO_TOKEN)
            at = (at + 1) & v->mask;
        slots[at] = (uint32_t)i;
    }
    return 1;
}

static size_t find_slot(const train_vocabulary *v, const char *bytes, size_t n)
{
    size_t at = (size_t)(pm_hash_bytes(bytes, n, n).hash >> 20) & v->mask;
    for (; v->slots[at] != TRAIN_NO_TOKEN; at = (at + 1) & v->mask) {
        const train_token *token = &v->tokens[v->slots[at]];
        if (token->n == n && memcmp(token->bytes, bytes, n) == 0)
            break;
    }
    return at;
}

uint32_t train_find(const train_vocabulary *v, const char *bytes, size_t n)
{
    return v->slots ? v->slots[find_slot(v, bytes, n)] : TRAIN_NO_TOKEN;
}

uint32_t train_add(train_vocabulary *v, const char *bytes, size_t n)
{
    if ((!v->slots || v->n >= v->mask / 2) && !rehash(v))
        return TRAIN_NO_TOKEN;
    size_t at = find_slot(v, bytes, n);
    if (v->slots[at] != TRAIN_NO_TOKEN)
        return v->slots[at];
    char *copy = pm_arena_strndup(&v->arena, bytes, n);
    if (!copy || v->n >= TRAIN_NO_TOKEN - 1 ||
        !pm_grow((void **)&v->tokens, &v->capacity, v->n + 1, sizeof *v->tokens))
        return TRAIN_NO_TOKEN;
    v->tokens[v->n] = (train_token){copy, n, 0};
    v->slots[at] = (uint32_t)v->n;
    return (uint32_t)v->n++;
}

void train_vocabulary_free(train_vocabulary *v)
{
    pm_arena_free(&v->arena);
    free(v->tokens);
    free(v->merges);
    free(v->slots);
    memset(v, 0, sizeof *v);
}
