/* Short strings of bytes as numbers, and their hash: for tables of the process's lifetime, never to be stored. */
#ifndef PUMICE_PARTS_BYTES_HASH_H
#define PUMICE_PARTS_BYTES_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t pm_load_64(const char *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* The first 16 bytes of a string, and zeros behind them. */
typedef struct pm_first_bytes {
    uint64_t first, second;
} pm_first_bytes;

/* Of n <= 16 bytes; `room` bytes can be read. Without branches on n where there is room for 16: which of them a
 * text takes cannot be foreseen. */
static inline pm_first_bytes pm_load_first_bytes(const char *bytes, size_t n, size_t room)
{
    static const char masks[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    if (room < 16) {
        char copy[16] = {0};
        memcpy(copy, bytes, n);
        return (pm_first_bytes){pm_load_64(copy), pm_load_64(copy + 8)};
    }
    const char *mask = masks + 16 - n;
    return (pm_first_bytes){pm_load_64(bytes) & pm_load_64(mask), pm_load_64(bytes + 8) & pm_load_64(mask + 8)};
}

static inline uint64_t pm_mix_64(uint64_t x)
{
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

typedef struct pm_hashed_bytes {
    uint64_t hash; /* the highest bits are the best */
    uint64_t key;  /* of up to eight bytes: says which they are, given n; of more: the hash */
} pm_hashed_bytes;

/* Of n bytes, of which `room` can be read. */
static inline pm_hashed_bytes pm_hash_bytes(const char *bytes, size_t n, size_t room)
{
    pm_first_bytes words = pm_load_first_bytes(bytes, n < 16 ? n : 16, room);
    uint64_t hash = pm_mix_64(words.first ^ (uint64_t)n * 0x9E3779B97F4A7C15u);
    for (size_t at = 16; at + 8 <= n; at += 8)
        hash = pm_mix_64(hash ^ pm_load_64(bytes + at));
    if (n > 16)
        hash = pm_mix_64(hash ^ pm_load_64(bytes + n - 8));
    hash = (hash ^ words.second) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 29;
    return (pm_hashed_bytes){hash, n <= 8 ? words.first : hash};
}

#endif
