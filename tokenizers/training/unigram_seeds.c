/* The first pieces of the Unigram trainer: strings that occur often, by a suffix array.
 *
 * The suffixes of all words are sorted by as many characters as a piece may have. Where neighbours in that order
 * share a beginning, it occurs more than once, and it is a candidate if it cannot be made longer without occurring
 * less often. A string weighs its occurrences, words counted as often as they are in the texts, times its length.
 */
#include <stdlib.h>
#include <string.h>

#include "parts/plugin_fail.h"
#include "parts/utf8_read.h"
#include "training/unigram_pieces.h"

typedef struct seed_finder {
    const train_run *run;
    uint32_t *codes;  /* the characters of all words, 0 behind each word */
    uint32_t *places; /* of each: its byte in its word */
    uint32_t *owners; /* of each: its word */
    uint32_t *order;  /* suffixes, sorted */
    size_t n, n_suffixes;
    uint32_t depth; /* characters that are compared */
    const unigram_words *words;
    unigram_pieces *out;
} seed_finder;

static pm_status no_memory(const seed_finder *f)
{
    return pm_fail_memory(f->run->err, f->n * 4 * sizeof(uint32_t), "the suffix array of a Unigram trainer");
}

/* Words one after the other; a suffix starts at each character. */
static pm_status lay_out(seed_finder *f)
{
    for (size_t i = 0; i < f->words->n; i++)
        f->n += f->words->list[i].n + 1;
    if (f->n > UINT32_MAX)
        return pm_fail(f->run->err, PM_ERR_LIMIT,
                       "the texts have %zu bytes of different words; the Unigram trainer takes "
                       "up to 4 GB: give it less text",
                       f->n);
    f->codes = malloc(f->n * sizeof *f->codes);
    f->places = malloc(f->n * sizeof *f->places);
    f->owners = malloc(f->n * sizeof *f->owners);
    f->order = malloc(f->n * sizeof *f->order);
    if (!f->codes || !f->places || !f->owners || !f->order)
        return no_memory(f);
    f->n = 0;
    for (size_t i = 0; i < f->words->n; i++) {
        const unigram_word *word = &f->words->list[i];
        for (size_t at = 0; at < word->n;) {
            pm_character c = pm_read_character(word->bytes, at, word->n);
            f->codes[f->n] = c.code + 1; /* 0 ends a word */
            f->places[f->n] = (uint32_t)at;
            f->owners[f->n] = (uint32_t)i;
            f->order[f->n_suffixes++] = (uint32_t)f->n++;
            at += c.length;
        }
        f->codes[f->n] = 0;
        f->places[f->n] = word->n;
        f->owners[f->n++] = (uint32_t)i;
    }
    return PM_OK;
}

/* Multikey quicksort (Bentley and Sedgewick 1997) of suffixes that agree in their first `depth` characters. */
static void sort_suffixes(const seed_finder *f, uint32_t *s, size_t n, uint32_t depth)
{
    while (n > 1 && depth < f->depth) {
        size_t any = (size_t)(n * 0x9E3779B97F4A7C15u >> 32) % n; /* no order of texts is a bad one */
        uint32_t pivot = f->codes[s[any] + depth];
        size_t below = 0, at = 0, above = n;
        while (at < above) {
            uint32_t suffix = s[at], code = f->codes[suffix + depth];
            if (code < pivot) {
                s[at++] = s[below];
                s[below++] = suffix;
            } else if (code > pivot) {
                s[at] = s[--above];
                s[above] = suffix;
            } else {
                at++;
            }
        }
        sort_suffixes(f, s, below, depth);
        sort_suffixes(f, s + above, n - above, depth);
        if (pivot == 0)
            return; /* they end here: all are equal */
        s += below;
        n = above - below;
        depth++;
    }
}

/* Characters that two suffixes share at their beginning. */
static uint32_t shared(const seed_finder *f, uint32_t a, uint32_t b)
{
    uint32_t n = 0;
    while (n < f->depth && f->codes[a + n] != 0 && f->codes[a + n] == f->codes[b + n])
        n++;
    return n;
}

/* ---- Candidates ---- */

static int add_candidate(seed_finder *f, uint32_t suffix, uint32_t n_chars, uint64_t count)
{
    unigram_pieces *out = f->out;
    if (n_chars < 2 || count < 2 || n_chars >= f->depth)
        return 1;
    if (!pm_grow((void **)&out->list, &out->capacity, out->n + 1, sizeof *out->list))
        return 0;
    const char *word = f->words->list[f->owners[suffix]].bytes;
    uint32_t begin = f->places[suffix], end = f->places[suffix + n_chars];
    out->list[out->n++] = (unigram_piece){word + begin, end - begin, 0, (double)count * (double)n_chars};
    return 1;
}

/* Suffixes that share `n_chars` characters so far. */
typedef struct open_string {
    uint32_t n_chars;
    uint64_t count;
} open_string;

static uint32_t length_of(const seed_finder *f, uint32_t suffix)
{
    uint32_t n = 0;
    while (n < f->depth && f->codes[suffix + n] != 0)
        n++;
    return n;
}

/* One pass over the sorted suffixes, with the strings that are open at each on a stack, the longest last. */
static int find_candidates(seed_finder *f, open_string *stack)
{
    size_t n_open = 0;
    for (size_t i = 0; i <= f->n_suffixes; i++) {
        uint32_t common = i > 0 && i < f->n_suffixes ? shared(f, f->order[i - 1], f->order[i]) : 0;
        uint64_t closed = 0;
        while (n_open > 0 && stack[n_open - 1].n_chars > common) {
            closed += stack[--n_open].count;
            if (!add_candidate(f, f->order[i - 1], stack[n_open].n_chars, closed))
                return 0;
        }
        if (closed > 0 && n_open > 0 && stack[n_open - 1].n_chars == common)
            stack[n_open - 1].count += closed;
        else if (closed > 0 && common > 0)
            stack[n_open++] = (open_string){common, closed};
        if (i == f->n_suffixes)
            break;
        uint32_t own = length_of(f, f->order[i]);
        uint64_t count = f->words->list[f->owners[f->order[i]]].count;
        if (n_open > 0 && stack[n_open - 1].n_chars == own)
            stack[n_open - 1].count += count;
        else
            stack[n_open++] = (open_string){own, count};
    }
    return 1;
}

static int by_worth(const void *a, const void *b)
{
    const unigram_piece *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* Every character, whatever it weighs. */
static int add_characters(seed_finder *f)
{
    unigram_pieces *out = f->out;
    for (size_t i = 0; i < f->n_suffixes;) {
        uint32_t suffix = f->order[i], code = f->codes[suffix];
        uint64_t count = 0;
        for (; i < f->n_suffixes && f->codes[f->order[i]] == code; i++)
            count += f->words->list[f->owners[f->order[i]]].count;
        if (!pm_grow((void **)&out->list, &out->capacity, out->n + 1, sizeof *out->list))
            return 0;
        const char *bytes = f->words->list[f->owners[suffix]].bytes + f->places[suffix];
        out->list[out->n++] = (unigram_piece){bytes, f->places[suffix + 1] - f->places[suffix], 1, (double)count};
    }
    return 1;
}

pm_status unigram_find_seeds(const train_run *run, const unigram_words *words, size_t max_chars, size_t most,
                             unigram_pieces *out)
{
    seed_finder f = {.run = run, .words = words, .depth = (uint32_t)max_chars + 1, .out = out};
    open_string *stack = malloc((max_chars + 3) * sizeof *stack);
    pm_status status = stack ? lay_out(&f) : no_memory(&f);
    if (status == PM_OK)
        status = train_progress(run, "sorting suffixes", 0, 0);
    if (status == PM_OK) {
        sort_suffixes(&f, f.order, f.n_suffixes, 0);
        status = find_candidates(&f, stack) ? PM_OK : no_memory(&f);
    }
    if (status == PM_OK) {
        qsort(out->list, out->n, sizeof *out->list, by_worth);
        out->n = out->n < most ? out->n : most;
        status = add_characters(&f) ? PM_OK : no_memory(&f);
    }
    if (status == PM_OK)
        qsort(out->list, out->n, sizeof *out->list, by_worth);
    free(stack);
    free(f.codes);
    free(f.places);
    free(f.owners);
    free(f.order);
    return status;
}
