/* The vocabulary inside a plugin: see token_table.h. */
#include "parts/token_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static pm_plugin_code check_special_ids(const pm_tokenizer_spec *spec, const pm_plugin_message *message)
{
    const struct {
        const char *name;
        int32_t id;
    } named[] = {{"bos", spec->bos}, {"eos", spec->eos}, {"unk", spec->unk},  {"pad", spec->pad},
                 {"sep", spec->sep}, {"cls", spec->cls}, {"mask", spec->mask}};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (named[i].id < PM_NO_TOKEN || (named[i].id >= 0 && (size_t)named[i].id >= spec->n_entries))
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the %s token has id %d, but there are %zu tokens",
                                  named[i].name, (int)named[i].id, spec->n_entries);
    return PM_PLUGIN_OK;
}

static pm_plugin_code copy_entry(const pm_vocab_entry *entry, size_t i, pm_token_table *table,
                                 const pm_plugin_message *message)
{
    if (entry->kind < PM_TOKEN_NORMAL || entry->kind > PM_TOKEN_BYTE)
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "token %zu is of unknown kind %u", i, entry->kind);
    if (isnan(entry->score))
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the score of token %zu is not a number", i);
    if (entry->kind == PM_TOKEN_BYTE) {
        int32_t *id = &table->byte_ids[entry->byte];
        if (*id != PM_NO_TOKEN)
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "tokens %d and %zu both stand for the byte 0x%02X",
                                  (int)*id, i, entry->byte);
        *id = (int32_t)i;
    }
    if (entry->n_bytes > 0)
        memcpy(table->bytes + table->offsets[i], entry->bytes, entry->n_bytes);
    table->offsets[i + 1] = table->offsets[i] + entry->n_bytes;
    table->scores[i] = entry->score;
    table->kinds[i] = entry->kind;
    table->flags[i] = entry->flags;
    table->byte_values[i] = entry->byte;
    return PM_PLUGIN_OK;
}

/* Everything lies in one block of memory, which begins with what needs the widest alignment. */
static int allocate(pm_token_table *table, size_t n, size_t n_bytes)
{
    size_t each = sizeof *table->offsets + sizeof *table->scores + 3;
    if (n_bytes > SIZE_MAX / 2 - (n + 1) * each - PM_TOKEN_ROOM)
        return 0;
    table->n_memory = (n + 1) * each + n_bytes + PM_TOKEN_ROOM;
    table->offsets = pm_table_allocate(table->n_memory);
    if (!table->offsets)
        return 0;
    table->scores = (double *)(table->offsets + n + 1);
    table->kinds = (uint8_t *)(table->scores + n + 1);
    table->flags = table->kinds + n + 1;
    table->byte_values = table->flags + n + 1;
    table->bytes = (char *)table->byte_values + n + 1;
    return 1;
}

pm_plugin_code pm_token_table_create(const pm_tokenizer_spec *spec, pm_token_table *table,
                                     const pm_plugin_message *message)
{
    memset(table, 0, sizeof *table);
    for (int byte = 0; byte < 256; byte++)
        table->byte_ids[byte] = PM_NO_TOKEN;
    size_t n = spec->n_entries;
    if (n == 0 || n > INT32_MAX / 2)
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the vocabulary has %zu tokens", n);
    PM_PLUGIN_TRY(check_special_ids(spec, message));
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        if (spec->entries[i].n_bytes > SIZE_MAX - total - PM_TOKEN_ROOM)
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the vocabulary's bytes do not fit into memory");
        total += spec->entries[i].n_bytes;
    }
    table->n = n;
    pm_plugin_code code = PM_PLUGIN_OK;
    if (!allocate(table, n, total))
        code = pm_plugin_fail_memory(message, "the vocabulary");
    for (size_t i = 0; i < n && code == PM_PLUGIN_OK; i++)
        code = copy_entry(&spec->entries[i], i, table, message);
    if (code != PM_PLUGIN_OK)
        pm_token_table_destroy(table);
    return code;
}

void pm_token_table_destroy(pm_token_table *table)
{
    pm_table_free(table->offsets, table->n_memory);
    memset(table, 0, sizeof *table);
}

/* ---- The map ---- */

enum { PREFETCHED = 8 }; /* tokens ahead of the one that is added */

static pm_plugin_code add_to_map(pm_token_map *map, int32_t id, const pm_plugin_message *message)
{
    size_t size;
    const char *bytes = pm_token_bytes(map->table, id, &size);
    if (size == 0)
        return PM_PLUGIN_OK; /* no text can ever become it */
    pm_hashed_bytes hashed = pm_hash_bytes(bytes, size, PM_TOKEN_ROOM);
    int32_t same = pm_token_map_find_hashed(map, bytes, size, hashed);
    if (same != PM_NO_TOKEN)
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "tokens %d and %d are the same", (int)same, (int)id);
    size_t at = (size_t)(hashed.hash >> map->shift);
    while (map->slots[at].length != 0)
        at = (at + 1) & map->mask;
    map->slots[at] = (pm_token_slot){hashed.key, id, (uint32_t)size};
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_token_map_create(const pm_token_table *table, unsigned kinds, pm_token_map *map,
                                   const pm_plugin_message *message)
{
    size_t n_slots = 16;
    int shift = 60;
    for (; n_slots < table->n + table->n / 2; n_slots *= 2)
        shift--;
    *map = (pm_token_map){.table = table, .mask = n_slots - 1, .shift = shift};
    map->slots = pm_table_allocate(n_slots * sizeof *map->slots);
    pm_plugin_code code = map->slots ? PM_PLUGIN_OK : pm_plugin_fail_memory(message, "the vocabulary's index");
    for (size_t i = 0; i < table->n && code == PM_PLUGIN_OK; i++) {
        if (i + PREFETCHED < table->n) {
            size_t size;
            const char *bytes = pm_token_bytes(table, (int32_t)(i + PREFETCHED), &size);
            pm_token_map_prefetch(map, pm_hash_bytes(bytes, size, PM_TOKEN_ROOM));
        }
        if (kinds >> table->kinds[i] & 1 ||
            (table->kinds[i] == PM_TOKEN_USER_DEFINED && table->flags[i] & PM_TOKEN_IN_MODEL))
            code = add_to_map(map, (int32_t)i, message);
    }
    if (code != PM_PLUGIN_OK)
        pm_token_map_destroy(map);
    return code;
}

void pm_token_map_destroy(pm_token_map *map)
{
    pm_table_free(map->slots, (map->mask + 1) * sizeof *map->slots);
    memset(map, 0, sizeof *map);
}
