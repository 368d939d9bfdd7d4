/* Files that outlive a run: compiled pipelines, self-test results and the tuning table of a Vulkan
 * device.
 *
 * A file belongs to one key (device, driver, build) and carries it with a checksum of its contents; one that is
 * foreign, cut short or damaged is the same as none. Files are written under another name and renamed, so that a
 * reader never sees half of one. Failing to write is no error: the cache only saves time.
 */
#ifndef PUMICE_BACKENDS_VULKAN_VK_CACHE_H
#define PUMICE_BACKENDS_VULKAN_VK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PM_VK_CACHE_KEY_BYTES = 160 };

typedef struct pm_vk_cache {
    char *dir; /* NULL: no cache */
    uint64_t owner;
    char key[PM_VK_CACHE_KEY_BYTES];
} pm_vk_cache;

/* dir NULL: $XDG_CACHE_HOME/pumice, or ~/.cache/pumice. The directory is made when something is written. Files are
 * named after `owner` (a device) and hold for `key` (its driver and this build) only, so that a new driver or
 * build replaces the files of the old one. */
void pm_vk_cache_open(pm_vk_cache *cache, const char *dir, const char *owner, const char *key);
void pm_vk_cache_close(pm_vk_cache *cache);

/* The contents of the file `kind` ("pipelines"), to be freed; NULL where there is no good one. */
void *pm_vk_cache_read(const pm_vk_cache *cache, const char *kind, size_t *size);
bool pm_vk_cache_write(const pm_vk_cache *cache, const char *kind, const void *data, size_t size);

void pm_vk_cache_remove(const pm_vk_cache *cache, const char *kind);

/* The path of the file; to be freed. NULL without a cache or memory. */
char *pm_vk_cache_path(const pm_vk_cache *cache, const char *kind);

/* FNV-1a; start with hash 0. */
uint64_t pm_vk_hash(uint64_t hash, const void *data, size_t size);

#endif
