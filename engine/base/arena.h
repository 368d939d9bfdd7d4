/* Bump allocation for things that die together (a graph, a model's descriptions). Freed only as a whole. */
#ifndef PUMICE_BASE_ARENA_H
#define PUMICE_BASE_ARENA_H

#include <stddef.h>

typedef struct pm_arena {
    struct pm_arena_block *head; /* zero-initialise before first use */
} pm_arena;

/* Zeroed memory aligned for any type, or NULL when memory has run out. Valid until pm_arena_free. */
void *pm_arena_alloc(pm_arena *arena, size_t size);

/* A NUL-terminated copy of n bytes; NULL when memory has run out. */
char *pm_arena_strndup(pm_arena *arena, const char *bytes, size_t n);

/* What `other` holds becomes `arena`'s; other is empty then. */
void pm_arena_take(pm_arena *arena, pm_arena *other);

void pm_arena_free(pm_arena *arena); /* also makes it usable anew */

#endif
