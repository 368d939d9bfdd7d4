/* Good GGUF files and damaged copies of them, for tests of whatever opens such files.
 *
 * The damage is a fixed sequence: the same seeds and numbers give the same files on every machine. Each copy has 1
 * to 4 of: flipped bits, interesting bytes, interesting values in count, length, type and offset fields, a cut, a
 * piece of another seed, a piece removed or doubled. A copy is in memory of its exact size, so that a sanitizer
 * sees the first byte read past its end.
 */
#ifndef PUMICE_TESTS_GGUF_MUTATIONS_H
#define PUMICE_TESTS_GGUF_MUTATIONS_H

#include <stddef.h>
#include <stdint.h>

/* A number in the file that says how the rest is laid out. */
typedef struct gguf_field {
    uint64_t offset;
    int n_bytes; /* 4 or 8 */
} gguf_field;

typedef struct gguf_seed {
    char name[64];
    uint8_t *bytes;
    size_t size;
    size_t head_size; /* bytes before the tensor data: where damage matters most */
    gguf_field *fields;
    size_t n_fields;
} gguf_seed;

enum { GGUF_MAX_SEEDS = 16 };

typedef struct gguf_seeds {
    gguf_seed seed[GGUF_MAX_SEEDS];
    size_t count;
} gguf_seeds;

/* Built files of every type and form and, where the shared data is there, a trained model and shortened
 * vocabularies of others. Free with gguf_seeds_destroy. */
void gguf_seeds_create(gguf_seeds *seeds);
/* Adds a good file to seeds (zero-initialised or created); a file that cannot be read ends the test loudly. */
void gguf_seeds_add_file(gguf_seeds *seeds, const char *name, const char *path);
void gguf_seeds_destroy(gguf_seeds *seeds);

/* Says what became of one damaged file: 0 refused as it should be, 1 taken, -1 a defect (already reported). */
typedef int (*mutation_check)(const uint8_t *bytes, size_t size, const char *name, void *context);

typedef struct mutation_report {
    uint32_t n_refused;
    uint32_t n_taken;
    uint32_t n_defects;
} mutation_report;

/* Gives `check` n_files damaged copies, seed after seed in turn. A file that shows a defect is also written to
 * keep_folder as NAME, for a debugger. */
mutation_report gguf_mutations_run(const gguf_seeds *seeds, uint64_t sequence, uint32_t n_files,
                                   mutation_check check, void *context, const char *keep_folder);

#endif
