/* Cache files: see vk_cache.h. Layout: a cache_head, then the contents. */
#include "backends/vulkan/vk_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file_magic[8] = {'P', 'M', 'C', 'A', 'C', 'H', 'E', '1'};
static const uint64_t most_bytes = 1u << 30; /* of a file that we are willing to read */

typedef struct cache_head {
    char magic[8];
    char key[PM_VK_CACHE_KEY_BYTES];
    uint64_t size, checksum;
} cache_head;

uint64_t pm_vk_hash(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    hash ^= 0xcbf29ce484222325ull;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3ull;
    return hash ^ 0xcbf29ce484222325ull;
}

static char *format_path(const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", a, b);
    return path;
}

static char *default_dir(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/') /* the specification: relative ones are to be ignored */
        return format_path(xdg, "pumice");
    if (home && home[0] == '/')
        return format_path(home, ".cache/pumice");
    return NULL;
}

void pm_vk_cache_open(pm_vk_cache *cache, const char *dir, const char *owner, const char *key)
{
    memset(cache, 0, sizeof *cache);
    cache->dir = dir ? strdup(dir) : default_dir();
    cache->owner = pm_vk_hash(0, owner, strlen(owner));
    snprintf(cache->key, sizeof cache->key, "%s", key);
}

void pm_vk_cache_close(pm_vk_cache *cache)
{
    free(cache->dir);
    memset(cache, 0, sizeof *cache);
}

char *pm_vk_cache_path(const pm_vk_cache *cache, const char *kind)
{
    if (!cache->dir)
        return NULL;
    char name[96];
    snprintf(name, sizeof name, "vulkan-%016" PRIx64 ".%s", cache->owner, kind);
    return format_path(cache->dir, name);
}

static bool head_good(const pm_vk_cache *cache, const cache_head *head)
{
    return !memcmp(head->magic, file_magic, sizeof head->magic) &&
           !memcmp(head->key, cache->key, sizeof head->key) && head->size > 0 && head->size <= most_bytes;
}

void *pm_vk_cache_read(const pm_vk_cache *cache, const char *kind, size_t *size)
{
    *size = 0;
    char *path = pm_vk_cache_path(cache, kind);
    FILE *file = path ? fopen(path, "rbe") : NULL;
    free(path);
    if (!file)
        return NULL;
    cache_head head;
    struct stat status;
    unsigned char *data = NULL;
    /* The file's own length bounds the allocation, whatever its head says. */
    if (fread(&head, sizeof head, 1, file) == 1 && head_good(cache, &head) && !fstat(fileno(file), &status) &&
        (uint64_t)status.st_size == sizeof head + head.size)
        data = malloc(head.size);
    if (data && (fread(data, head.size, 1, file) != 1 || pm_vk_hash(0, data, head.size) != head.checksum)) {
        free(data);
        data = NULL;
    }
    fclose(file);
    *size = data ? head.size : 0;
    return data;
}

/* mkdir -p */
static void make_directories(const char *dir)
{
    char *path = strdup(dir);
    for (char *at = path; at && *at; at++)
        if (*at == '/' && at != path) {
            *at = 0;
            mkdir(path, 0777);
            *at = '/';
        }
    if (path)
        mkdir(path, 0777);
    free(path);
}

bool pm_vk_cache_write(const pm_vk_cache *cache, const char *kind, const void *data, size_t size)
{
    char *path = pm_vk_cache_path(cache, kind), *temporary = path ? format_path(cache->dir, "XXXXXX.tmp") : NULL;
    bool good = false;
    if (temporary) {
        make_directories(cache->dir);
        int fd = mkstemps(temporary, 4);
        FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
        if (file) {
            cache_head head = {.size = size, .checksum = pm_vk_hash(0, data, size)};
            memcpy(head.magic, file_magic, sizeof head.magic);
            memcpy(head.key, cache->key, sizeof head.key);
            good = fwrite(&head, sizeof head, 1, file) == 1 && fwrite(data, size, 1, file) == 1;
            good = !fclose(file) && good;
            good = good && !rename(temporary, path);
        } else if (fd >= 0) {
            close(fd);
        }
        if (!good && fd >= 0)
            unlink(temporary);
    }
    free(temporary);
    free(path);
    return good;
}

void pm_vk_cache_remove(const pm_vk_cache *cache, const char *kind)
{
    char *path = pm_vk_cache_path(cache, kind);
    if (path)
        unlink(path);
    free(path);
}
