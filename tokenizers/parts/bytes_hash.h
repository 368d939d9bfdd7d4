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

/* n <= 8 bytes as a number that says which they are, given n. Without loops: two loads that may overlap. */
static inline uint64_t pm_bytes_key(const char *bytes, size_t n)
{
    if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, bytes, 4);
        memcpy(&last, bytes + n - 4, 4);
        return (uint64_t)first << 32 | last;
    }
    if (n == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)bytes;
    return (uint64_t)p[0] << 16 | (uint64_t)p[n >> 1] << 8 | p[n - 1];
}

static inline uint64_t pm_mix_64(uint64_t x)
{
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

/* The highest bits are the best. */
static inline uint64_t pm_hash_bytes(const char *bytes, size_t n)
{
    uint64_t hash = (uint64_t)n * 0x9E3779B97F4A7C15u;
    for (; n > 8; bytes += 8, n -= 8)
        hash = pm_mix_64(hash ^ pm_load_64(bytes));
    hash = (hash ^ pm_bytes_key(bytes, n)) * 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 29;
}

#endif
