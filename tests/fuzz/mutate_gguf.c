/* fuzz.gguf_mutations: 10,000 damaged GGUF files, each refused with a message or read to the last byte.
 *
 * usage: mutate_gguf [FILES [SEQUENCE]]. Runs without libFuzzer, in every build; under the sanitizers in CI. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/gguf_mutations.h"
#include "tests/fuzz/gguf_read_all.h"

static int check(const uint8_t *bytes, size_t size, const char *name, void *context)
{
    (void)context;
    switch (gguf_read_all(bytes, size, name)) {
    case READ_REJECTED:
        return 0;
    case READ_ACCEPTED:
        return 1;
    case READ_BROKEN:
        break;
    }
    return -1;
}

int main(int argc, char **argv)
{
    uint32_t n_files = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000;
    uint64_t sequence = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    gguf_seeds seeds;
    gguf_seeds_create(&seeds);
    mutation_report report = gguf_mutations_run(&seeds, sequence, n_files, check, NULL, PUMICE_BUILD_DIR);
    printf("%u files from %zu seeds: %u refused, %u read, %u with defects\n", n_files, seeds.count,
           report.n_refused, report.n_taken, report.n_defects);
    gguf_seeds_destroy(&seeds);
    /* Both kinds must be there in numbers, or the damage was too weak or too strong to test anything. */
    int balanced = report.n_refused >= n_files / 10 && report.n_taken >= n_files / 50;
    if (!balanced)
        printf("too few files of one kind\n");
    return report.n_defects == 0 && balanced ? EXIT_SUCCESS : EXIT_FAILURE;
}
