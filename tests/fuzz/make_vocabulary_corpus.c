/* Writes the good vocabularies of vocabulary_seeds.c into a folder: the seed corpora, one folder a kind.
 *
 * usage: make_vocabulary_corpus FOLDER */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/vocabulary_read_all.h"

static int write_file(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    int written = out && fwrite(bytes, 1, size, out) == size;
    if (out && fclose(out) != 0)
        written = 0;
    if (!written)
        fprintf(stderr, "%s cannot be written\n", path);
    return written;
}

int main(int argc, char **argv)
{
    int is_good = 1;
    if (argc != 2) {
        fprintf(stderr, "usage: make_vocabulary_corpus FOLDER\n");
        return 2;
    }
    for (int kind = 0; kind < N_VOCABULARY_KINDS; kind++) {
        char path[4096];
        uint8_t *bytes;
        size_t size;
        snprintf(path, sizeof path, "%s/%s", argv[1], vocabulary_kind_names[kind]);
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            is_good = 0;
        for (size_t i = 0; vocabulary_seed((vocabulary_kind)kind, i, &bytes, &size); i++) {
            snprintf(path, sizeof path, "%s/%s/%zu", argv[1], vocabulary_kind_names[kind], i);
            is_good &= write_file(path, bytes, size);
            free(bytes);
        }
    }
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
