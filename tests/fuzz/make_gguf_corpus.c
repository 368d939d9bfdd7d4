/* Writes the good files of gguf_seeds.c that are small enough for fuzzing into a folder: the seed corpus.
 *
 * usage: make_gguf_corpus FOLDER */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/gguf_mutations.h"

enum { MAX_SEED_BYTES = 64 * 1024 };

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_gguf_corpus FOLDER\n");
        return 2;
    }
    gguf_seeds seeds;
    gguf_seeds_create(&seeds);
    int n_written = 0, n_small = 0;
    for (size_t i = 0; i < seeds.count; i++) {
        const gguf_seed *seed = &seeds.seed[i];
        char path[4096];
        if (seed->size > MAX_SEED_BYTES)
            continue;
        n_small++;
        snprintf(path, sizeof path, "%s/%s.gguf", argv[1], seed->name);
        FILE *out = fopen(path, "wb");
        if (!out || fwrite(seed->bytes, 1, seed->size, out) != seed->size)
            fprintf(stderr, "%s cannot be written\n", path);
        else
            n_written++;
        if (out)
            fclose(out);
    }
    gguf_seeds_destroy(&seeds);
    return n_written == n_small ? EXIT_SUCCESS : EXIT_FAILURE;
}
