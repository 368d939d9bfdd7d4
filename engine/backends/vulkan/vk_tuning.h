/* The tuning table of a device: how products of many rows are cut (pm_vk_tiling) to be fastest, as measured there.
 *
 * It is filled before a program is lowered (vk_tuning_measure.c), asked while it is, and kept in a file beside the
 * compiled pipelines (vk_cache.h), so that later starts only read it and choose alike. What is not in it goes by
 * rule (matmul_tiles_vk.c). What a file says is only ever one of the ways in which any product may be cut: every
 * entry gives right results, and one that the device or the product has no room for is as good as none.
 */
#ifndef PUMICE_BACKENDS_VULKAN_VK_TUNING_H
#define PUMICE_BACKENDS_VULKAN_VK_TUNING_H

#include "backends/vulkan/vk_cache.h"

/* A product of many rows: out [n_out, n_rows] of x [n_k, n_rows]. `type`: number in the list of weight types. */
typedef struct pm_vk_product {
    int type;
    uint32_t n_rows, n_k, n_out;
} pm_vk_product;

/* Fewer rows of x go other ways. */
enum { PM_VK_MANY_ROWS = 17 };

/* So many rows up to a power of two, at most `most`, which is one. */
uint32_t pm_vk_rows_bucket(int64_t n_rows, uint32_t most);

/* How it is cut: by tiles of one of a few sizes (0 the largest) and into parts of K. */
typedef struct pm_vk_tiling {
    uint32_t tile, n_parts;
} pm_vk_tiling;
enum { PM_VK_MOST_TILINGS = 16, PM_VK_MOST_PARTS = 16 };

enum { PM_VK_MOST_TUNED = 1024 }; /* entries: a model has about ten, once for each size of its passes */

typedef struct pm_vk_tuned {
    uint32_t type, n_rows, n_k, n_out; /* pm_vk_product, with rows rounded up to a power of two */
    pm_vk_tiling tiling;
} pm_vk_tuned;

typedef struct pm_vk_tuning { /* zeroed: an empty one */
    pm_vk_tuned *list;
    size_t n, cap;
} pm_vk_tuning;

void pm_vk_tuning_clear(pm_vk_tuning *tuning); /* frees */

bool pm_vk_tuning_find(const pm_vk_tuning *tuning, const pm_vk_product *p, pm_vk_tiling *out);

/* Adds an entry, or replaces it. False without memory, or where the table is full. */
bool pm_vk_tuning_put(pm_vk_tuning *tuning, const pm_vk_product *p, pm_vk_tiling tiling);

/* Adds what the bytes of a file hold where the table has no such entry; nothing and false where any of it is not
 * what a table of this version can hold. */
bool pm_vk_tuning_parse(pm_vk_tuning *tuning, const void *data, size_t size);

/* Reads the file `kind`; none or a bad one leaves the table as it was. */
void pm_vk_tuning_read(pm_vk_tuning *tuning, const pm_vk_cache *cache, const char *kind);

/* Writes the table, with what other processes have put into the file since it was read. Where two write at once,
 * one's new entries are lost and measured again another time. */
bool pm_vk_tuning_write(pm_vk_tuning *tuning, const pm_vk_cache *cache, const char *kind);

#endif
