/* A plugin's own copy of the vocabulary, and the way from bytes to ids.
 *
 * Made once from the host's spec, then never changed. All bytes lie in one block; ids are indices. Both the table
 * and the map check what the spec says, so that the code behind them need not.
 */
#ifndef PUMICE_PARTS_TOKEN_TABLE_H
#define PUMICE_PARTS_TOKEN_TABLE_H

#include "parts/bytes_hash.h"
#include "parts/plugin_fail.h"

enum { PM_TOKEN_ROOM = 16 };

typedef struct pm_token_table {
    size_t n;
    char *bytes;     /* of all tokens, one after the other, and PM_TOKEN_ROOM more that can be read */
    size_t *offsets; /* n + 1: token i is bytes[offsets[i]] to bytes[offsets[i + 1]] */
    double *scores;
    uint8_t *kinds;        /* pm_token_kind */
    uint8_t *flags;        /* PM_TOKEN_* */
    uint8_t *byte_values;  /* of BYTE tokens */
    size_t n_memory;       /* bytes of all of these together */
    int32_t byte_ids[256]; /* the BYTE token of each byte, or PM_NO_TOKEN */
} pm_token_table;

/* Copies and checks the entries of a spec: kinds known, scores not NaN, no two BYTE entries for one byte, and the
 * ids that the spec names in range. */
pm_plugin_code pm_token_table_create(const pm_tokenizer_spec *spec, pm_token_table *table,
                                     const pm_plugin_message *message);
void pm_token_table_destroy(pm_token_table *table); /* fine on one that is all zero */

static inline const char *pm_token_bytes(const pm_token_table *table, int32_t id, size_t *size)
{
    *size = table->offsets[id + 1] - table->offsets[id];
    return table->bytes + table->offsets[id];
}

/* An open-addressing hash from bytes to the ids of some tokens of a table. What up to eight bytes are stands in
 * the slot itself, so that finding most tokens touches one cache line. */
typedef struct pm_token_slot {
    uint64_t key; /* pm_hashed_bytes.key */
    int32_t id;
    uint32_t length; /* 0: the slot is free */
} pm_token_slot;

typedef struct pm_token_map {
    const pm_token_table *table; /* must outlive the map */
    pm_token_slot *slots;
    size_t mask; /* number of slots - 1 */
    int shift;   /* 64 - log2(number of slots) */
} pm_token_map;

/* A map of the tokens whose kind's bit (1 << kind) is in `kinds`, and of user-defined ones that the model has too.
 * Two such tokens with the same bytes are an error; empty ones are left out. */
pm_plugin_code pm_token_map_create(const pm_token_table *table, unsigned kinds, pm_token_map *map,
                                   const pm_plugin_message *message);
void pm_token_map_destroy(pm_token_map *map);

/* Starts to load what pm_token_map_find will look at. (Always inline: compilers drop calls of functions that do
 * nothing but prefetch.) */
static inline __attribute__((always_inline)) void pm_token_map_prefetch(const pm_token_map *map,
                                                                        pm_hashed_bytes hashed)
{
    __builtin_prefetch(&map->slots[hashed.hash >> map->shift]);
}

/* The id of the token with these bytes, or PM_NO_TOKEN. */
static inline int32_t pm_token_map_find_hashed(const pm_token_map *map, const char *bytes, size_t size,
                                               pm_hashed_bytes hashed)
{
    for (size_t at = (size_t)(hashed.hash >> map->shift);; at = (at + 1) & map->mask) {
        const pm_token_slot *slot = &map->slots[at];
        if (slot->length == 0)
            return PM_NO_TOKEN;
        if (slot->key != hashed.key || slot->length != size)
            continue;
        if (size <= 8 || memcmp(map->table->bytes + map->table->offsets[slot->id], bytes, size) == 0)
            return slot->id;
    }
}

/* The same; of the bytes, `room` can be read. */
static inline int32_t pm_token_map_find(const pm_token_map *map, const char *bytes, size_t size, size_t room)
{
    return pm_token_map_find_hashed(map, bytes, size, pm_hash_bytes(bytes, size, room));
}

#endif
