/* Random vocabularies and texts over small alphabets, in which much of what can go wrong happens soon. */
#ifndef PUMICE_TESTS_RANDOM_VOCABULARY_H
#define PUMICE_TESTS_RANDOM_VOCABULARY_H

#include "parts/utf8_read.h"
#include "tests/tokenizers/word_model_fixture.h"

static uint64_t random_state;

static inline unsigned random_below(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((random_state >> 33) % n);
}

/* BYTE entries that are there need not be named <0xNN> here: the names are not looked at. */
static inline void add_bytes(word_model_fixture *f)
{
    for (unsigned i = 0; i < 256; i++) {
        fixture_add(f, "<byte>", 6, PM_TOKEN_BYTE, 0);
        f->entries[f->n - 1].byte = (uint8_t)i;
    }
}

static inline int find_entry(const word_model_fixture *f, const char *bytes, size_t n)
{
    for (size_t i = f->n; i-- > 0;) /* the last one counts */
        if (f->entries[i].kind == PM_TOKEN_NORMAL && f->entries[i].n_bytes == n &&
            memcmp(f->entries[i].bytes, bytes, n) == 0)
            return (int)i;
    return PM_NO_TOKEN;
}

static const char *const alphabets[] = {"ab",        "a\xE2\x96\x81", "abcd", "a\xC3\xA9\xE3\x81\x82",
                                        "a\xFF\x80", "\xE2\x96\x81"};

/* Whole characters of the alphabet, or, with `any`, now and then any byte. */
static inline size_t random_text(const char *alphabet, size_t n_characters, int any, char *out)
{
    size_t n = 0;
    size_t size = strlen(alphabet);
    for (size_t i = 0; i < n_characters; i++) {
        if (any && random_below(4) == 0) {
            out[n++] = (char)random_below(256);
            continue;
        }
        size_t at = 0;
        for (unsigned skip = random_below((unsigned)size); skip > 0 && at < size; skip--)
            at += pm_read_character(alphabet, at, size).length;
        at = at < size ? at : 0;
        size_t length = pm_read_character(alphabet, at, size).length;
        memcpy(out + n, alphabet + at, length);
        n += length;
    }
    return n;
}

static inline void add_random_tokens(word_model_fixture *f, const char *alphabet, const char *prefix, size_t n,
                                     unsigned how)
{
    char bytes[100];
    for (size_t i = 0; i < n; i++) {
        size_t n_prefix = i % 2 ? strlen(prefix) : 0;
        memcpy(bytes, prefix, n_prefix);
        size_t size = n_prefix + random_text(alphabet, 1 + random_below(6), 0, bytes + n_prefix);
        double score = how == 0   ? -1.1 * (double)size + 1e-6 * random_below(3)
                       : how == 1 ? -0.001 * random_below(10000)
                                  : -0.1 * random_below(40) - 0.1;
        if (find_entry(f, bytes, size) == PM_NO_TOKEN)
            fixture_add(f, bytes, size, PM_TOKEN_NORMAL, score);
    }
}

#endif
