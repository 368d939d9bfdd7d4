/* fuzz.reader_mutations: damaged vocabularies of every kind of file, each refused with a message or read in full.
 *
 * usage: mutate_readers [FILES [SEQUENCE]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/damage.h"
#include "tests/fuzz/vocabulary_read_all.h"

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
        d.n = size < DAMAGE_MAX_BYTES ? size : DAMAGE_MAX_BYTES;
        memcpy(d.bytes, bytes, d.n);
        free(bytes);
        for (size_t k = 0, n = 1 + damage_draw(&d, 3); k < n; k++)
            damage_once(&d, words, sizeof words / sizeof words[0]);
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
