/* A trie over bytes: all tokens that begin at a place of a text, found in one walk.
 *
 * A double array made for two things: a step is one load that answers everything (is there such a child, is it the
 * end of a token, of which), and it is built in time linear in the bytes of the tokens. A node is a 64-bit unit.
 * Its children lie at base + byte, no two nodes share a base, and so the byte kept in a unit proves whose child it
 * is. Immutable once made.
 */
#ifndef PUMICE_PARTS_BYTE_TRIE_H
#define PUMICE_PARTS_BYTE_TRIE_H

#include "parts/plugin_fail.h"

/* base (32 bits) | value + 1, or 0 (23 bits) | 1 (1 bit) | byte (8 bits); 0 where there is no node. */
typedef uint64_t pm_trie_unit;

enum { PM_TRIE_MAX_VALUE = (1 << 23) - 2 };

typedef struct pm_byte_trie {
    pm_trie_unit *units; /* any base + 255 lies within */
    size_t n_units;
    pm_trie_unit root;
    size_t longest; /* bytes of the longest key */
} pm_byte_trie;

typedef struct pm_trie_key {
    const char *bytes;
    uint32_t n;     /* at least 1 */
    uint32_t value; /* at most PM_TRIE_MAX_VALUE */
} pm_trie_key;

/* Reorders the keys; their bytes are borrowed for the call. Of equal keys the last one counts. */
pm_plugin_code pm_byte_trie_create(pm_trie_key *keys, size_t n_keys, pm_byte_trie *trie,
                                   const pm_plugin_message *message);
void pm_byte_trie_destroy(pm_byte_trie *trie); /* fine on one that is all zero */

#ifdef PM_TRIE_COUNT_STEPS
extern uint64_t pm_trie_n_steps; /* a test's counter of work */
#define PM_TRIE_STEP() ((void)pm_trie_n_steps++)
#else
#define PM_TRIE_STEP() ((void)0)
#endif

/* The child of a node, or something for which pm_trie_is_child is 0. */
static inline pm_trie_unit pm_trie_next(const pm_byte_trie *trie, pm_trie_unit unit, unsigned char byte)
{
    PM_TRIE_STEP();
    return trie->units[(uint32_t)(unit >> 32) + (size_t)byte];
}

static inline int pm_trie_is_child(pm_trie_unit unit, unsigned char byte)
{
    return (unit & 0x1FF) == (0x100u | byte);
}

static inline int pm_trie_has_value(pm_trie_unit unit)
{
    return (unit & 0xFFFFFE00u) != 0;
}

static inline int32_t pm_trie_value(pm_trie_unit unit)
{
    return (int32_t)((uint32_t)unit >> 9) - 1;
}

/* Walks down n bytes; 0 where there is no such node. */
pm_trie_unit pm_trie_find(const pm_byte_trie *trie, pm_trie_unit from, const char *bytes, size_t n);

#endif
