/* fuzz.reader_mutations: damaged vocabularies of every kind of file, each refused with a message or read in full.
 *
 * The damage is a fixed sequence: bits and bytes changed, pieces cut out, doubled or moved, and words written over
 * or put in that mean something to one of the readers. usage: mutate_readers [FILES [SEQUENCE]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/vocabulary_read_all.h"

enum { MAX_BYTES = 1 << 16 };

static const char *const words[] = {
    "\"",
    "\\",
    "\\ud800",
    "\\udc00",
    "\\u0000",
    "\\ud83d\\ude00",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e999",
    "1e-999",
    "0.5",
    "4294967296",
    "-0",
    "67108864",
    "99999999999999999999",
    "\"vocab\":{}",
    "\"merges\":[]",
    "\"type\":\"Unigram\"",
    "\"byte_fallback\":true",
    "\"continuing_subword_prefix\":\"####\"",
    "\"special\":true",
    "\xFF",
    "\xC0\x80",
    "\xED\xA0\x80",
    "\n",
    "\r\n",
    " ",
    "====",
    "AAAA",
    "A===",
    " 0\n",
    "[UNK]\n",
    "<0x00>",
    "<0xGG>",
};

typedef struct damage {
    uint8_t bytes[MAX_BYTES];
    size_t n;
    uint64_t random;
} damage;

static size_t draw(damage *d, size_t n)
{
    d->random = d->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n > 0 ? (size_t)((d->random >> 33) % n) : 0;
}

static void insert(damage *d, size_t at, const void *bytes, size_t n)
{
    if (d->n + n > MAX_BYTES)
        return;
    memmove(d->bytes + at + n, d->bytes + at, d->n - at);
    memcpy(d->bytes + at, bytes, n);
    d->n += n;
}

static void overwrite(damage *d, size_t at, const void *bytes, size_t n)
{
    n = n < d->n - at ? n : d->n - at;
    memcpy(d->bytes + at, bytes, n);
}

static void damage_once(damage *d)
{
    static const uint8_t values[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '\\', 0x0A};
    uint8_t piece[64];
    const char *word = words[draw(d, sizeof words / sizeof words[0])];
    size_t at = draw(d, d->n), n = draw(d, 40);
    n = n < d->n - at ? n : d->n - at;
    if (d->n == 0)
        return;
    switch (draw(d, 8)) {
    case 0:
        d->bytes[at] ^= (uint8_t)(1u << draw(d, 8));
        break;
    case 1:
        d->bytes[at] = values[draw(d, sizeof values)];
        break;
    case 2:
        d->bytes[at] = (uint8_t)(d->bytes[at] + draw(d, 3) - 1);
        break;
    case 3: /* a piece goes */
        memmove(d->bytes + at, d->bytes + at + n, d->n - at - n);
        d->n -= n;
        break;
    case 4: /* a piece comes again, somewhere */
        memcpy(piece, d->bytes + at, n);
        insert(d, draw(d, d->n), piece, n);
        break;
    case 5:
        insert(d, at, word, strlen(word));
        break;
    case 6:
        overwrite(d, at, word, strlen(word));
        break;
    default:
        d->n = draw(d, 4) == 0 ? at : d->n; /* seldom: most cuts are refused alike */
    }
}

static int check_kind(vocabulary_kind kind, uint32_t n_files, uint64_t sequence)
{
    static damage d;
    uint32_t n_refused = 0, n_taken = 0, n_defects = 0;
    size_t n_seeds = 0, size;
    uint8_t *bytes;
    while (vocabulary_seed(kind, n_seeds, &bytes, &size)) {
        /* A good file must be read, and the damage must have something to start from. */
        if (vocabulary_read_all(kind, bytes, size, "undamaged") != READ_ACCEPTED) {
            printf("%s: seed %zu is refused\n", vocabulary_kind_names[kind], n_seeds);
            n_defects++;
        }
        free(bytes);
        n_seeds++;
    }
    d.random = sequence + kind;
    for (uint32_t i = 0; i < n_files; i++) {
        char name[64];
        vocabulary_seed(kind, i % n_seeds, &bytes, &size);
        d.n = size < MAX_BYTES ? size : MAX_BYTES;
        memcpy(d.bytes, bytes, d.n);
        free(bytes);
        for (size_t k = 0, n = 1 + draw(&d, 3); k < n; k++)
            damage_once(&d);
        snprintf(name, sizeof name, "%s %u", vocabulary_kind_names[kind], i);
        read_verdict verdict = vocabulary_read_all(kind, d.bytes, d.n, name);
        n_refused += verdict == READ_REJECTED;
        n_taken += verdict == READ_ACCEPTED;
        n_defects += verdict == READ_BROKEN;
    }
    printf("%s: %u files from %zu seeds: %u refused, %u read, %u with defects\n", vocabulary_kind_names[kind],
           n_files, n_seeds, n_refused, n_taken, n_defects);
    /* Both kinds must be there in numbers, or the damage was too weak or too strong to test anything. */
    int balanced = n_refused >= n_files / 20 && n_taken >= n_files / 50;
    if (!balanced)
        printf("too few files of one kind\n");
    return n_defects == 0 && balanced;
}

int main(int argc, char **argv)
{
    uint32_t n_files = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000;
    uint64_t sequence = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    int is_good = 1;
    for (int kind = 0; kind < N_VOCABULARY_KINDS; kind++)
        is_good &= check_kind((vocabulary_kind)kind, n_files, sequence);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
