/* The tuning table and its file: see vk_tuning.h. In the file, a tuning_head and the entries; vk_cache.c puts key
 * and checksum before them. */
#include "backends/vulkan/vk_tuning.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, MOST_ROWS = 1 << 20, MOST_TYPES = 64 };

typedef struct tuning_head {
    uint32_t version, n;
} tuning_head;

uint32_t pm_vk_rows_bucket(int64_t n_rows, uint32_t most)
{
    uint32_t bucket = 1;
    while (bucket < n_rows && bucket < most)
        bucket *= 2;
    return bucket;
}

void pm_vk_tuning_clear(pm_vk_tuning *tuning)
{
    free(tuning->list);
    *tuning = (pm_vk_tuning){0};
}

static pm_vk_tuned *entry_of(const pm_vk_tuning *tuning, const pm_vk_product *p)
{
    uint32_t n_rows = pm_vk_rows_bucket(p->n_rows, MOST_ROWS);
    for (size_t i = 0; i < tuning->n; i++) {
        pm_vk_tuned *t = &tuning->list[i];
        if (t->type == (uint32_t)p->type && t->n_rows == n_rows && t->n_k == p->n_k && t->n_out == p->n_out)
            return t;
    }
    return NULL;
}

bool pm_vk_tuning_find(const pm_vk_tuning *tuning, const pm_vk_product *p, pm_vk_tiling *out)
{
    const pm_vk_tuned *entry = entry_of(tuning, p);
    if (entry)
        *out = entry->tiling;
    return entry != NULL;
}

bool pm_vk_tuning_put(pm_vk_tuning *tuning, const pm_vk_product *p, pm_vk_tiling tiling)
{
    pm_vk_tuned *entry = entry_of(tuning, p);
    if (!entry && tuning->n == tuning->cap) {
        size_t cap = tuning->cap ? 2 * tuning->cap : 16;
        pm_vk_tuned *grown = cap <= PM_VK_MOST_TUNED ? realloc(tuning->list, cap * sizeof *grown) : NULL;
        if (!grown)
            return false;
        tuning->list = grown;
        tuning->cap = cap;
    }
    if (!entry)
        entry = &tuning->list[tuning->n++];
    *entry = (pm_vk_tuned){(uint32_t)p->type, pm_vk_rows_bucket(p->n_rows, MOST_ROWS), p->n_k, p->n_out, tiling};
    return true;
}

static bool sound(const pm_vk_tuned *t)
{
    return t->type < MOST_TYPES && t->n_rows >= PM_VK_MANY_ROWS && t->n_rows <= MOST_ROWS &&
           (t->n_rows & (t->n_rows - 1)) == 0 && t->n_k >= 1 && t->n_k <= INT32_MAX && t->n_out >= 1 &&
           t->n_out <= INT32_MAX && t->tiling.tile < PM_VK_MOST_TILINGS && t->tiling.n_parts >= 1 &&
           t->tiling.n_parts <= PM_VK_MOST_PARTS;
}

bool pm_vk_tuning_parse(pm_vk_tuning *tuning, const void *data, size_t size)
{
    tuning_head head;
    pm_vk_tuned entry;
    if (size < sizeof head)
        return false;
    memcpy(&head, data, sizeof head);
    if (head.version != VERSION || head.n > PM_VK_MOST_TUNED || size != sizeof head + head.n * sizeof entry)
        return false;
    for (int pass = 0; pass < 2; pass++) /* all are looked at before any is taken */
        for (uint32_t i = 0; i < head.n; i++) {
            memcpy(&entry, (const char *)data + sizeof head + i * sizeof entry, sizeof entry);
            if (pass == 0 && !sound(&entry))
                return false;
            pm_vk_product p = {(int)entry.type, entry.n_rows, entry.n_k, entry.n_out};
            if (pass == 1 && !entry_of(tuning, &p))
                pm_vk_tuning_put(tuning, &p, entry.tiling);
        }
    return true;
}

void pm_vk_tuning_read(pm_vk_tuning *tuning, const pm_vk_cache *cache, const char *kind)
{
    size_t size;
    void *data = pm_vk_cache_read(cache, kind, &size);
    if (data)
        pm_vk_tuning_parse(tuning, data, size);
    free(data);
}

bool pm_vk_tuning_write(pm_vk_tuning *tuning, const pm_vk_cache *cache, const char *kind)
{
    pm_vk_tuning_read(tuning, cache, kind);
    size_t bytes = tuning->n * sizeof *tuning->list;
    char *data = malloc(sizeof(tuning_head) + bytes);
    if (!data)
        return false;
    tuning_head head = {VERSION, (uint32_t)tuning->n};
    memcpy(data, &head, sizeof head);
    if (bytes)
        memcpy(data + sizeof head, tuning->list, bytes);
    bool good = pm_vk_cache_write(cache, kind, data, sizeof head + bytes);
    free(data);
    return good;
}
