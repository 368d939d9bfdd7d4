/* Damaging good GGUF files in a fixed sequence: see gguf_mutations.h. */
#include "tests/fuzz/gguf_mutations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SplitMix64 (Steele, Lea, Flood 2014): any start gives a good sequence. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static size_t random_below(uint64_t *state, size_t limit)
{
    return limit > 0 ? (size_t)(next_random(state) % limit) : 0;
}

typedef struct mutant {
    uint8_t *bytes;
    size_t size;
    size_t head_size;
} mutant;

/* A place in the file; four times in five before the tensor data, where bytes have meaning for a reader. */
static size_t random_place(const mutant *m, uint64_t *state)
{
    size_t head = m->head_size < m->size ? m->head_size : m->size;
    return random_below(state, random_below(state, 5) > 0 ? head : m->size);
}

static void flip_bits(mutant *m, uint64_t *state)
{
    size_t n_flips = 1 + random_below(state, 4);
    for (size_t i = 0; i < n_flips && m->size > 0; i++)
        m->bytes[random_place(m, state)] ^= (uint8_t)(1u << random_below(state, 8));
}

static void set_byte(mutant *m, uint64_t *state)
{
    static const uint8_t interesting[] = {0, 1, 2, 8, 9, 0x7F, 0x80, 0xC0, 0xFE, 0xFF};
    if (m->size > 0)
        m->bytes[random_place(m, state)] = interesting[random_below(state, sizeof interesting)];
}

static uint64_t interesting_number(const mutant *m, uint64_t before, uint64_t *state)
{
    static const uint64_t interesting[] = {0,
                                           1,
                                           2,
                                           4,
                                           7,
                                           9,
                                           31,
                                           33,
                                           64,
                                           65,
                                           255,
                                           256,
                                           65535,
                                           65536,
                                           INT32_MAX,
                                           (uint64_t)INT32_MAX + 1,
                                           UINT32_MAX,
                                           (uint64_t)UINT32_MAX + 1,
                                           INT64_MAX,
                                           (uint64_t)INT64_MAX + 1,
                                           UINT64_MAX - 31,
                                           UINT64_MAX - 7,
                                           UINT64_MAX,
                                           UINT64_MAX / 4 + 2,
                                           UINT64_MAX / 8 + 2,
                                           UINT64_MAX / 34,
                                           INT64_MAX / 256};
    switch (random_below(state, 5)) {
    case 0:
        return before + 1 + random_below(state, 64);
    case 1:
        return before - 1 - random_below(state, 64);
    case 2:
        return (uint64_t)1 << random_below(state, 64);
    case 3:
        return m->size - random_below(state, m->size + 1);
    default:
        return interesting[random_below(state, sizeof interesting / sizeof interesting[0])];
    }
}

static void edit_field(mutant *m, const gguf_seed *seed, uint64_t *state)
{
    gguf_field field = seed->fields[random_below(state, seed->n_fields)];
    uint64_t value = 0;
    if (field.offset + (uint64_t)field.n_bytes > m->size) /* an earlier cut removed it */
        return;
    memcpy(&value, m->bytes + field.offset, (size_t)field.n_bytes);
    value = interesting_number(m, value, state);
    memcpy(m->bytes + field.offset, &value, (size_t)field.n_bytes);
}

static void cut(mutant *m, uint64_t *state)
{
    m->size = random_place(m, state);
}

static void splice(mutant *m, const gguf_seeds *seeds, uint64_t *state)
{
    const gguf_seed *other = &seeds->seed[random_below(state, seeds->count)];
    size_t from = random_below(state, other->head_size);
    size_t to = random_place(m, state);
    size_t size = 1 + random_below(state, 200);
    size = size < other->size - from ? size : other->size - from;
    size = size < m->size - to ? size : m->size - to;
    memcpy(m->bytes + to, other->bytes + from, size);
}

static void remove_piece(mutant *m, uint64_t *state)
{
    size_t at = random_place(m, state);
    size_t size = 1 + random_below(state, 40);
    size = size < m->size - at ? size : m->size - at;
    memmove(m->bytes + at, m->bytes + at + size, m->size - at - size);
    m->size -= size;
}

enum { MAX_GROWTH = 64 }; /* bytes that one doubled piece may add */

static void double_piece(mutant *m, uint64_t *state)
{
    size_t at = random_place(m, state);
    size_t size = 1 + random_below(state, MAX_GROWTH);
    size = size < m->size - at ? size : m->size - at;
    memmove(m->bytes + at + size, m->bytes + at, m->size - at);
    m->size += size;
}

enum { MAX_STEPS = 4 };

/* A damaged copy of the seed in memory of its exact size. */
static mutant make_mutant(const gguf_seeds *seeds, const gguf_seed *seed, uint64_t *state)
{
    mutant m = {malloc(seed->size + MAX_STEPS * MAX_GROWTH), seed->size, seed->head_size};
    size_t n_steps = random_below(state, 3) > 0 ? 1 : 2 + random_below(state, MAX_STEPS - 1);
    if (!m.bytes)
        abort();
    memcpy(m.bytes, seed->bytes, seed->size);
    for (size_t i = 0; i < n_steps && m.size > 0; i++) {
        size_t kind = random_below(state, 16);
        if (kind < 5)
            edit_field(&m, seed, state);
        else if (kind < 9)
            flip_bits(&m, state);
        else if (kind < 12)
            set_byte(&m, state);
        else if (kind < 13)
            splice(&m, seeds, state);
        else if (kind == 13)
            remove_piece(&m, state);
        else if (kind == 14)
            double_piece(&m, state);
        else
            cut(&m, state);
    }
    uint8_t *exact = malloc(m.size > 0 ? m.size : 1);
    if (!exact)
        abort();
    memcpy(exact, m.bytes, m.size);
    free(m.bytes);
    m.bytes = exact;
    return m;
}

static void keep_file(const mutant *m, const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "wb");
    if (out && fwrite(m->bytes, 1, m->size, out) == m->size)
        fprintf(stderr, "kept as %s\n", path);
    if (out)
        fclose(out);
}

mutation_report gguf_mutations_run(const gguf_seeds *seeds, uint64_t sequence, uint32_t n_files,
                                   mutation_check check, void *context, const char *keep_folder)
{
    mutation_report report = {0};
    char name[96];
    for (uint32_t i = 0; i < n_files; i++) {
        const gguf_seed *seed = &seeds->seed[i % seeds->count];
        uint64_t state = sequence + (uint64_t)i * 1000003; /* each file can be made again alone */
        mutant m = make_mutant(seeds, seed, &state);
        snprintf(name, sizeof name, "mutation-%u-of-%s.gguf", i, seed->name);
        int verdict = check(m.bytes, m.size, name, context);
        report.n_refused += verdict == 0;
        report.n_taken += verdict > 0;
        if (verdict < 0) {
            report.n_defects++;
            keep_file(&m, keep_folder, name);
        }
        free(m.bytes);
    }
    return report;
}
