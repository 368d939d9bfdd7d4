/* Damage to files for tests that run without libFuzzer: bits and bytes changed, pieces cut out, doubled or moved,
 * and words written over or put in that mean something to the reader. A fixed sequence. */
#ifndef PUMICE_TESTS_DAMAGE_H
#define PUMICE_TESTS_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

enum { DAMAGE_MAX_BYTES = 1 << 20 };

typedef struct damage {
    uint8_t bytes[DAMAGE_MAX_BYTES];
    size_t n;
    size_t n_reach; /* only the first so many bytes are damaged; 0: all */
    uint64_t random;
} damage;

size_t damage_draw(damage *d, size_t n); /* 0 .. n - 1 */
void damage_once(damage *d, const char *const *words, size_t n_words);

#endif
