/* Arena of malloc'ed blocks in a list: see arena.h. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 64 * 1024 };

typedef struct pm_arena_block {
    struct pm_arena_block *next;
    size_t used, capacity;
    alignas(max_align_t) unsigned char bytes[];
} pm_arena_block;

void *pm_arena_alloc(pm_arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) / align * align;
    pm_arena_block *block = arena->head;
    if (!block || block->capacity - block->used < size) {
        size_t capacity = size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES;
        block = calloc(1, sizeof *block + capacity);
        if (!block)
            return NULL;
        block->capacity = capacity;
        block->next = arena->head;
        arena->head = block;
    }
    void *result = block->bytes + block->used;
    block->used += size;
    return result;
}

char *pm_arena_strndup(pm_arena *arena, const char *bytes, size_t n)
{
    char *copy = n < SIZE_MAX ? pm_arena_alloc(arena, n + 1) : NULL;
    if (copy)
        memcpy(copy, bytes, n);
    return copy;
}

void pm_arena_take(pm_arena *arena, pm_arena *other)
{
    pm_arena_block **end = &arena->head;
    while (*end)
        end = &(*end)->next;
    *end = other->head;
    other->head = NULL;
}

void pm_arena_free(pm_arena *arena)
{
    for (pm_arena_block *block = arena->head, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    arena->head = NULL;
}
