/* The Unigram trainer, Kudo 2018 as in SentencePiece: expectation maximisation over all ways to cut each word, and
 * pruning of the pieces whose loss would change the likelihood least, in turn, until as few are left as are
 * wanted.
 *
 * Deterministic on any number of threads: expected counts are summed as integers, in 2^-20, and likelihoods per
 * chunk of words, in the order of the chunks.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "parts/byte_trie.h"
#include "parts/utf8_read.h"
#include "training/unigram_pieces.h"

enum { MOST_SEEDS = 1000000, USUAL_MAX_CHARS = 16, WORDS_A_CHUNK = 512, ROUNDS_BETWEEN_PRUNING = 2 };
static const double COVERAGE = 0.9995; /* of characters: the rarest beyond it are left out, as in SentencePiece */
static const double LEAST_EXPECTED = 0.5;   /* a piece that is expected less often goes */
static const double SHRINKING = 0.9;        /* pruning leaves so many */
static const double OVERSHOOT = 1.05;       /* gentle pruning stops here; the last step leaves what is wanted */
static const double COUNT_UNIT = 1048576.0; /* of expected counts as integers */

typedef struct unigram_trainer {
    const train_run *run;
    train_vocabulary *v;
    size_t max_chars;
    unigram_words words;
    unigram_pieces pieces;
    pm_byte_trie trie;
    /* One pass over the words; see for_all_words. */
    struct pass_thread *threads;
    double *chunk_values;
    _Atomic(size_t) next_chunk;
    _Atomic(int) failed;
} unigram_trainer;

/* A piece that stands at a place of a word. */
typedef struct lattice_edge {
    uint32_t begin, end;
    int32_t piece;
} lattice_edge;

typedef struct pass_thread {
    int64_t *counts; /* by piece */
    int64_t *within; /* by piece: how many words have it */
    uint32_t *marks; /* by piece: the last word that had it */
    lattice_edge *edges;
    size_t n_edges, edges_capacity;
    double *forward, *backward; /* by byte of the word */
    int32_t *best;              /* edge that ends here */
    size_t forward_capacity, backward_capacity, best_capacity;
} pass_thread;

static pm_status no_memory(const unigram_trainer *t)
{
    return pm_fail_memory(t->run->err, t->pieces.n * sizeof *t->pieces.list, "the pieces of a Unigram trainer");
}

/* ---- The alphabet, and words cut by it ---- */

static int by_descending(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b; /* count, code */
    if (x[0] != y[0])
        return x[0] > y[0] ? -1 : 1;
    return (x[1] > y[1]) - (x[1] < y[1]);
}

/* Marks the characters that are kept. */
static pm_status choose_alphabet(const unigram_trainer *t, const train_words *words, unsigned char *kept)
{
    enum { N_CODES = 0x110000 };
    uint64_t(*counts)[2] = calloc(N_CODES, sizeof *counts), total = 0, covered = 0;
    if (!counts)
        return no_memory(t);
    for (uint32_t c = 0; c < N_CODES; c++)
        counts[c][1] = c;
    for (size_t i = 0; i < words->n; i++)
        for (size_t at = 0; at < words->list[i].n;) {
            pm_character c = pm_read_character(words->list[i].bytes, at, words->list[i].n);
            counts[c.code][0] += words->list[i].count;
            total += words->list[i].count;
            at += c.length;
        }
    qsort(counts, N_CODES, sizeof *counts, by_descending);
    size_t limit = t->run->options->alphabet_limit;
    for (size_t i = 0; i < N_CODES && counts[i][0] > 0; i++) {
        if (limit ? i >= limit : (double)covered >= COVERAGE * (double)total)
            break;
        kept[counts[i][1]] = 1;
        covered += counts[i][0];
    }
    free(counts);
    return PM_OK;
}

static int add_word(unigram_trainer *t, const char *bytes, size_t n, uint64_t count)
{
    if (n == 0)
        return 1;
    if (!pm_grow((void **)&t->words.list, &t->words.capacity, t->words.n + 1, sizeof *t->words.list))
        return 0;
    t->words.list[t->words.n++] = (unigram_word){bytes, (uint32_t)n, count};
    return 1;
}

static pm_status cut_words(unigram_trainer *t, const train_words *words)
{
    unsigned char *kept = calloc(0x110000, 1);
    pm_status status = kept ? choose_alphabet(t, words, kept) : no_memory(t);
    for (size_t i = 0; i < words->n && status == PM_OK; i++) {
        const train_word *word = &words->list[i];
        size_t begin = 0;
        for (size_t at = 0; at < word->n && status == PM_OK;) {
            pm_character c = pm_read_character(word->bytes, at, word->n);
            if (!kept[c.code]) {
                status = add_word(t, word->bytes + begin, at - begin, word->count) ? PM_OK : no_memory(t);
                begin = at + c.length;
            }
            at += c.length;
        }
        if (status == PM_OK && !add_word(t, word->bytes + begin, word->n - begin, word->count))
            status = no_memory(t);
    }
    free(kept);
    return status;
}

/* ---- Lattices ---- */

static pm_status make_trie(unigram_trainer *t)
{
    pm_byte_trie_destroy(&t->trie);
    pm_trie_key *keys = malloc(t->pieces.n * sizeof *keys);
    if (!keys)
        return no_memory(t);
    for (size_t i = 0; i < t->pieces.n; i++)
        keys[i] = (pm_trie_key){t->pieces.list[i].bytes, t->pieces.list[i].n, (uint32_t)i};
    pm_plugin_code code = pm_byte_trie_create(keys, t->pieces.n, &t->trie, NULL);
    free(keys);
    return code == PM_PLUGIN_OK ? PM_OK : no_memory(t);
}

/* All pieces in the text, in the order of their beginnings. 0 when out of memory. */
static int find_edges(const unigram_trainer *t, pass_thread *p, const char *text, size_t n)
{
    p->n_edges = 0;
    if (!pm_grow((void **)&p->forward, &p->forward_capacity, n + 1, sizeof *p->forward) ||
        !pm_grow((void **)&p->backward, &p->backward_capacity, n + 1, sizeof *p->backward) ||
        !pm_grow((void **)&p->best, &p->best_capacity, n + 1, sizeof *p->best))
        return 0;
    for (size_t begin = 0; begin < n; begin += pm_read_character(text, begin, n).length) {
        pm_trie_unit unit = t->trie.root;
        for (size_t end = begin; end < n; end++) {
            unit = pm_trie_next(&t->trie, unit, (unsigned char)text[end]);
            if (!pm_trie_is_child(unit, (unsigned char)text[end]))
                break;
            if (!pm_trie_has_value(unit))
                continue;
            if (!pm_grow((void **)&p->edges, &p->edges_capacity, p->n_edges + 1, sizeof *p->edges))
                return 0;
            p->edges[p->n_edges++] = (lattice_edge){(uint32_t)begin, (uint32_t)end + 1, pm_trie_value(unit)};
        }
    }
    return 1;
}

static double log_add(double a, double b)
{
    double most = a > b ? a : b, least = a > b ? b : a;
    return least < most - 50 ? most : most + log1p(exp(least - most));
}

/* The log-likelihood of a word, all its cuts together; adds how often each piece is expected in it, `count` words.
 */
static double expect_word(const unigram_trainer *t, pass_thread *p, size_t n, double count)
{
    for (size_t i = 0; i <= n; i++)
        p->forward[i] = p->backward[i] = -INFINITY;
    p->forward[0] = p->backward[n] = 0;
    for (size_t i = 0; i < p->n_edges; i++) {
        const lattice_edge *e = &p->edges[i];
        p->forward[e->end] = log_add(p->forward[e->end], p->forward[e->begin] + t->pieces.list[e->piece].score);
    }
    for (size_t i = p->n_edges; i-- > 0;) {
        const lattice_edge *e = &p->edges[i];
        p->backward[e->begin] =
            log_add(p->backward[e->begin], p->backward[e->end] + t->pieces.list[e->piece].score);
    }
    double whole = p->forward[n];
    for (size_t i = 0; i < p->n_edges; i++) {
        const lattice_edge *e = &p->edges[i];
        double log_p = p->forward[e->begin] + t->pieces.list[e->piece].score + p->backward[e->end] - whole;
        p->counts[e->piece] += (int64_t)llround(exp(log_p) * count * COUNT_UNIT);
    }
    return whole * count;
}

/* The best cut, but for `without`: leaves the edges of it in p->best, from the end; the score. */
static double best_cut(const unigram_trainer *t, pass_thread *p, size_t n, int32_t without)
{
    for (size_t i = 0; i <= n; i++)
        p->forward[i] = -INFINITY;
    p->forward[0] = 0;
    for (size_t i = 0; i < p->n_edges; i++) {
        const lattice_edge *e = &p->edges[i];
        double score = p->forward[e->begin] + t->pieces.list[e->piece].score;
        if (e->piece != without && score > p->forward[e->end]) {
            p->forward[e->end] = score;
            p->best[e->end] = (int32_t)i;
        }
    }
    return p->forward[n];
}

/* ---- Passes over all words, on all threads ---- */

static double expect_one(const unigram_trainer *t, pass_thread *p, size_t index)
{
    const unigram_word *word = &t->words.list[index];
    return find_edges(t, p, word->bytes, word->n) ? expect_word(t, p, word->n, (double)word->count) : NAN;
}

/* Counts the pieces of the best cut. */
static double cut_one(const unigram_trainer *t, pass_thread *p, size_t index)
{
    const unigram_word *word = &t->words.list[index];
    if (!find_edges(t, p, word->bytes, word->n))
        return NAN;
    double score = best_cut(t, p, word->n, -1);
    for (size_t end = word->n; end > 0; end = p->edges[p->best[end]].begin) {
        int32_t piece = p->edges[p->best[end]].piece;
        p->counts[piece] += (int64_t)word->count;
        if (p->marks[piece] != (uint32_t)index + 1)
            p->within[piece] += (int64_t)word->count;
        p->marks[piece] = (uint32_t)index + 1;
    }
    return score * (double)word->count;
}

typedef struct word_pass {
    unigram_trainer *t;
    double (*one)(const unigram_trainer *t, pass_thread *p, size_t index); /* NaN: out of memory */
} word_pass;

static void pass_on_thread(void *user, int index, int n_threads)
{
    (void)n_threads;
    const word_pass *pass = user;
    unigram_trainer *t = pass->t;
    size_t n_chunks = (t->words.n + WORDS_A_CHUNK - 1) / WORDS_A_CHUNK, chunk;
    while ((chunk = atomic_fetch_add(&t->next_chunk, 1)) < n_chunks && !atomic_load(&t->failed)) {
        size_t end = (chunk + 1) * WORDS_A_CHUNK;
        double sum = 0;
        for (size_t i = chunk * WORDS_A_CHUNK; i < end && i < t->words.n; i++)
            sum += pass->one(t, &t->threads[index], i);
        t->chunk_values[chunk] = sum;
        if (isnan(sum))
            atomic_store(&t->failed, 1);
    }
}

static void free_threads(unigram_trainer *t)
{
    for (int i = 0; t->threads && i < pm_threads_count(t->run->threads); i++) {
        pass_thread *p = &t->threads[i];
        free(p->counts);
        free(p->within);
        free(p->marks);
        free(p->edges);
        free(p->forward);
        free(p->backward);
        free(p->best);
    }
    free(t->threads);
    free(t->chunk_values);
    t->threads = NULL;
    t->chunk_values = NULL;
}

/* Leaves the sums over all threads in those of the first one, and the sum of what `one` returned in *value. */
static pm_status for_all_words(unigram_trainer *t, double (*one)(const unigram_trainer *, pass_thread *, size_t),
                               double *value)
{
    int n_threads = pm_threads_count(t->run->threads), good = 1;
    size_t n_chunks = (t->words.n + WORDS_A_CHUNK - 1) / WORDS_A_CHUNK;
    free_threads(t);
    PM_TRY(make_trie(t));
    t->threads = calloc((size_t)n_threads, sizeof *t->threads);
    t->chunk_values = calloc(n_chunks, sizeof *t->chunk_values);
    for (int i = 0; t->threads && i < n_threads; i++) {
        t->threads[i].counts = calloc(t->pieces.n, sizeof(int64_t));
        t->threads[i].within = calloc(t->pieces.n, sizeof(int64_t));
        t->threads[i].marks = calloc(t->pieces.n, sizeof(uint32_t));
        good = good && t->threads[i].counts && t->threads[i].within && t->threads[i].marks;
    }
    if (!t->threads || !t->chunk_values || !good)
        return no_memory(t);
    atomic_store(&t->next_chunk, 0);
    word_pass pass = {t, one};
    pm_threads_run(t->run->threads, pass_on_thread, &pass);
    if (atomic_load(&t->failed))
        return no_memory(t);
    for (int i = 1; i < n_threads; i++)
        for (size_t k = 0; k < t->pieces.n; k++) {
            t->threads[0].counts[k] += t->threads[i].counts[k];
            t->threads[0].within[k] += t->threads[i].within[k];
        }
    *value = 0;
    for (size_t i = 0; i < n_chunks; i++)
        *value += t->chunk_values[i];
    return PM_OK;
}

/* ---- Expectation, maximisation, pruning ---- */

/* The digamma function, for x > 0: the recurrence up to 7, then the asymptotic series (Abramowitz and Stegun 6.3).
 */
static double digamma(double x)
{
    double result = 0;
    for (; x < 7; x++)
        result -= 1 / x;
    x -= 0.5;
    double y = 1 / (x * x);
    return result + log(x) + y * (1.0 / 24 - y * (7.0 / 960 - y * (31.0 / 8064 - y * 127.0 / 30720)));
}

/* Scores from expected counts, with the sparse prior that digamma stands for. What is expected hardly ever goes,
 * but for characters, and at the end, when as many are wanted as there are. */
static void maximise(unigram_trainer *t, const int64_t *counts, int keep_all)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < t->pieces.n; i++) {
        unigram_piece piece = t->pieces.list[i];
        double expected = (double)counts[i] / COUNT_UNIT;
        if (expected < LEAST_EXPECTED && !piece.is_character && !keep_all)
            continue;
        expected = expected < LEAST_EXPECTED ? LEAST_EXPECTED : expected;
        sum += expected;
        piece.score = digamma(expected);
        t->pieces.list[n++] = piece;
    }
    for (size_t i = 0; i < n; i++)
        t->pieces.list[i].score -= digamma(sum);
    t->pieces.n = n;
}

typedef struct prune_candidate {
    double loss;
    size_t piece;
} prune_candidate;

static int by_loss(const void *a, const void *b)
{
    const prune_candidate *x = a, *y = b;
    if (x->loss != y->loss)
        return x->loss > y->loss ? -1 : 1;
    return (x->piece > y->piece) - (x->piece < y->piece);
}

/* How much the likelihood of a word would fall without the piece, whose place the best cut of its text would take.
 * -INFINITY: the piece is no use; INFINITY: nothing else could stand for it. */
static double loss_of(const unigram_trainer *t, pass_thread *p, size_t index, double sum, double n_words)
{
    const unigram_piece *piece = &t->pieces.list[index];
    const int64_t *counts = t->threads[0].counts;
    double count = (double)counts[index];
    if (piece->is_character)
        return INFINITY;
    if (count == 0 || !find_edges(t, p, piece->bytes, piece->n))
        return -INFINITY;
    double without = best_cut(t, p, piece->n, (int32_t)index);
    if (without == -INFINITY)
        return INFINITY;
    if (without >= piece->score)
        return -INFINITY; /* no best cut has it */
    size_t n_parts = 0;
    for (size_t end = piece->n; end > 0; end = p->edges[p->best[end]].begin)
        n_parts++;
    double log_with = log(count) - log(sum), log_sum = log(sum + count * ((double)n_parts - 1)), log_without = 0;
    for (size_t end = piece->n; end > 0; end = p->edges[p->best[end]].begin)
        log_without += log((double)counts[p->edges[p->best[end]].piece] + count) - log_sum;
    return (double)t->threads[0].within[index] / n_words * (log_with - log_without);
}

static pm_status prune(unigram_trainer *t, size_t wanted)
{
    double value, sum = 0, n_words = 0;
    PM_TRY(for_all_words(t, cut_one, &value));
    for (size_t i = 0; i < t->pieces.n; i++)
        sum += (double)t->threads[0].counts[i];
    for (size_t i = 0; i < t->words.n; i++)
        n_words += (double)t->words.list[i].count;
    prune_candidate *candidates = malloc(t->pieces.n * sizeof *candidates);
    unsigned char *kept = calloc(t->pieces.n, 1);
    if (!candidates || !kept) {
        free(candidates);
        free(kept);
        return no_memory(t);
    }
    size_t n = 0, most = (size_t)(SHRINKING * (double)t->pieces.n);
    most = most > wanted ? most : wanted;
    for (size_t i = 0; i < t->pieces.n; i++) {
        double loss = loss_of(t, &t->threads[0], i, sum, n_words);
        if (loss > -INFINITY)
            candidates[n++] = (prune_candidate){loss, i};
    }
    qsort(candidates, n, sizeof *candidates, by_loss);
    for (size_t i = 0; i < n && (i < most || candidates[i].loss == INFINITY); i++)
        kept[candidates[i].piece] = 1;
    n = 0;
    for (size_t i = 0; i < t->pieces.n; i++)
        if (kept[i])
            t->pieces.list[n++] = t->pieces.list[i];
    t->pieces.n = n;
    free(candidates);
    free(kept);
    return PM_OK;
}

/* Scores for the pieces that there are. */
static pm_status estimate(unigram_trainer *t, int keep_all)
{
    for (int round = 0; round < ROUNDS_BETWEEN_PRUNING; round++) {
        double likelihood;
        PM_TRY(for_all_words(t, expect_one, &likelihood));
        maximise(t, t->threads[0].counts, keep_all);
    }
    return PM_OK;
}

static pm_status shrink(unigram_trainer *t, size_t wanted)
{
    size_t target = (size_t)(OVERSHOOT * (double)wanted), first = t->pieces.n;
    for (;;) {
        size_t before = t->pieces.n;
        PM_TRY(estimate(t, 0));
        PM_TRY(train_progress(t->run, "pruning pieces", first - t->pieces.n, first > target ? first - target : 0));
        if (t->pieces.n <= target)
            break;
        PM_TRY(prune(t, target));
        if (t->pieces.n >= before)
            break; /* only characters are left */
    }
    if (t->pieces.n > wanted)
        PM_TRY(prune(t, wanted));
    return estimate(t, 1);
}

/* ---- The vocabulary ---- */

static int by_score(const void *a, const void *b)
{
    const unigram_piece *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* All characters, and of the others the best that there is room for, in the order of their scores. */
static pm_status fill_vocabulary(unigram_trainer *t, size_t room)
{
    size_t n_characters = 0, n_others = 0;
    for (size_t i = 0; i < t->pieces.n; i++)
        n_characters += t->pieces.list[i].is_character != 0;
    if (n_characters > room)
        return pm_fail(t->run->err, PM_ERR_ARGUMENT,
                       "the texts have %zu characters, and there is room for %zu tokens "
                       "beside the special ones: ask for more, or limit the alphabet",
                       n_characters, room);
    qsort(t->pieces.list, t->pieces.n, sizeof *t->pieces.list, by_score);
    for (size_t i = 0; i < t->pieces.n; i++) {
        const unigram_piece *piece = &t->pieces.list[i];
        if (!piece->is_character && n_others >= room - n_characters)
            continue;
        n_others += !piece->is_character;
        uint32_t id = train_add(t->v, piece->bytes, piece->n);
        if (id == TRAIN_NO_TOKEN)
            return no_memory(t);
        if (id >= t->v->n_special)
            t->v->tokens[id].score = piece->score;
    }
    return PM_OK;
}

/* Seeds' worths to log-probabilities. */
static void normalise_seeds(unigram_pieces *pieces)
{
    double sum = 0;
    for (size_t i = 0; i < pieces->n; i++)
        sum += pieces->list[i].score;
    for (size_t i = 0; i < pieces->n; i++)
        pieces->list[i].score = log(pieces->list[i].score) - log(sum);
}

pm_status train_unigram(const train_run *run, const train_words *words, train_vocabulary *v)
{
    const pm_train_options *o = run->options;
    unigram_trainer t = {
        .run = run, .v = v, .max_chars = o->max_token_chars ? o->max_token_chars : USUAL_MAX_CHARS};
    if (o->n_tokens <= v->n)
        return pm_fail(run->err, PM_ERR_ARGUMENT, "the special tokens are %zu tokens already, and %zu are wanted",
                       v->n, o->n_tokens);
    size_t room = o->n_tokens - v->n;
    pm_status status = cut_words(&t, words);
    if (status == PM_OK)
        status = unigram_find_seeds(run, &t.words, t.max_chars, MOST_SEEDS, &t.pieces);
    if (status == PM_OK) {
        normalise_seeds(&t.pieces);
        status = shrink(&t, room);
    }
    if (status == PM_OK)
        status = fill_vocabulary(&t, room);
    free_threads(&t);
    pm_byte_trie_destroy(&t.trie);
    free(t.words.list);
    free(t.pieces.list);
    return status;
}
