/* The best way through a piece of text: see unigram.h.
 *
 * From each character the trie is walked as far as it goes; the work is bounded by the length of the piece times
 * that of the longest token, whatever the text. The text between two places that every way goes through is a segment: it is decided on its own
 * (the sum goes on), and memory is used for one segment at a time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "parts/utf8_read.h"
#include "unigram/unigram.h"

/* One piece on its way. */
typedef struct unigram_run {
    const unigram_model *model;
    unigram_scratch *scratch;
    pm_token_sink *sink;
    const char *text;
    size_t n;
    size_t segment;       /* where the segment at hand begins */
    size_t unknown_begin; /* of the unknown text that may go on with the next token; NONE: there is none */
    int unknown_is_token; /* all of it is one token, which happens to be the unknown one */
} unigram_run;

#define NONE SIZE_MAX

/* ---- Unknown text ---- */

static int all_have_byte_tokens(const pm_token_table *table, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (table->byte_ids[(unsigned char)bytes[i]] == PM_NO_TOKEN)
            return 0;
    return 1;
}

/* Gives the unknown text that ends here its tokens. */
static void end_unknown(unigram_run *run, size_t end)
{
    const unigram_model *model = run->model;
    const pm_token_table *table = model->table;
    const char *bytes = run->text + run->unknown_begin;
    size_t begin = run->unknown_begin;
    size_t n = end - begin;
    run->unknown_begin = NONE;
    if (!model->sums_are_float && !run->unknown_is_token) {
        pm_trie_unit unit = pm_trie_find(&model->trie, model->trie.root, bytes, n);
        if (pm_trie_has_value(unit)) { /* Hugging Face looks up what it has fused */
            pm_token_emit(run->sink, pm_trie_value(unit), begin, end);
            return;
        }
    }
    if (!run->unknown_is_token && model->byte_fallback && all_have_byte_tokens(table, bytes, n)) {
        for (size_t i = 0; i < n; i++)
            pm_token_emit(run->sink, table->byte_ids[(unsigned char)bytes[i]], begin + i, begin + i + 1);
        return;
    }
    if (!run->unknown_is_token) {
        pm_text_span span = pm_piece_span(run->sink->piece, begin, end);
        run->sink->n_unknown_bytes += span.end - span.begin;
    }
    if (model->unk != PM_NO_TOKEN)
        pm_token_emit(run->sink, model->unk, begin, end);
}

static void take_token(unigram_run *run, int32_t id, size_t begin, size_t end)
{
    if (id != PM_NO_TOKEN && id != run->model->unk) {
        if (run->unknown_begin != NONE)
            end_unknown(run, begin);
        pm_token_emit(run->sink, id, begin, end);
        return;
    }
    run->unknown_is_token = id != PM_NO_TOKEN && run->unknown_begin == NONE;
    if (run->unknown_begin == NONE)
        run->unknown_begin = begin;
}

/* Hands on the tokens of the segment, whose length is n. */
static void end_segment(unigram_run *run, size_t n)
{
    unigram_node *nodes = run->scratch->nodes;
    uint32_t end = (uint32_t)n;
    for (uint32_t at = nodes[n].start, next; end > 0; end = at, at = next) { /* turns the links around */
        next = nodes[at].start;
        nodes[at].start = end;
    }
    for (uint32_t at = 0; at < n; at = end) {
        end = nodes[at].start;
        take_token(run, nodes[end].id, run->segment + at, run->segment + end);
    }
}

/* ---- The best way ---- */

static size_t character_length(const unigram_run *run, size_t at)
{
    if (run->model->is_bytes || !((unsigned char)run->text[at] & 0x80))
        return 1;
    return pm_read_character(run->text, at, run->n).length;
}

/* A sum of two floats is the same whether it is rounded once, or to double first. */
static inline double add(double a, double b, int in_float)
{
    return in_float ? (double)(float)(a + b) : a + b;
}

/* A way to place `end` of the segment. Places are prepared as they are reached. */
static inline void offer(unigram_node *nodes, size_t *reached, size_t end, double score, int32_t id, size_t start)
{
    while (*reached < end)
        nodes[++*reached].score = NAN; /* anything is better, infinity too */
    if (!(score <= nodes[end].score))
        nodes[end] = (unigram_node){score, id, (uint32_t)start};
}

/* Offers the ways that lead on from place `at` of the segment, where a character of `length` bytes begins. Returns
 * how far places are reached then. */
static inline __attribute__((always_inline)) size_t extend(const unigram_run *run, unigram_node *nodes, size_t at,
                                                           size_t length, size_t reached, int in_float)
{
    const unigram_model *model = run->model;
    const unsigned char *text = (const unsigned char *)run->text + run->segment;
    const size_t n = run->n - run->segment;
    const double *scores = model->scores;
    const pm_byte_trie trie = model->trie;
    const double score = nodes[at].score;
    pm_trie_unit unit = trie.root;
    int is_known = 0;
    for (size_t end = at; end < n;) {
        unsigned char c = text[end];
        unit = pm_trie_next(&trie, unit, c);
        if (!pm_trie_is_child(unit, c))
            break;
        end++;
        if (!pm_trie_has_value(unit))
            continue;
        int32_t id = pm_trie_value(unit);
        offer(nodes, &reached, end, add(scores[id], score, in_float), id, at);
        is_known |= end - at == length;
    }
    if (!is_known)
        offer(nodes, &reached, at + length, add(model->unknown_score, score, in_float), PM_NO_TOKEN, at);
    return reached;
}

/* Room for all places that can be reached from place `at` of the segment. */
static inline int make_room(const unigram_run *run, size_t at)
{
    unigram_scratch *scratch = run->scratch;
    size_t longest = run->model->trie.longest > 4 ? run->model->trie.longest : 4;
    size_t rest = run->n - run->segment - at;
    size_t n = at + (rest < longest ? rest : longest) + 1;
    return n <= scratch->nodes_capacity ||
           pm_grow((void **)&scratch->nodes, &scratch->nodes_capacity, n, sizeof *scratch->nodes);
}

static inline __attribute__((always_inline)) int find_best(unigram_run *run, int in_float)
{
    size_t at = 0;
    size_t reached = 0;
    double score = 0;
    while (run->segment + at < run->n) {
        if (!make_room(run, at))
            return 0;
        unigram_node *nodes = run->scratch->nodes;
        if (at == reached) {
            if (at > 0) {
                score = nodes[at].score;
                end_segment(run, at);
                run->segment += at;
                at = reached = 0;
            }
            nodes[0].score = score;
        }
        size_t length = character_length(run, run->segment + at);
        reached = extend(run, nodes, at, length, reached, in_float);
        at += length;
    }
    end_segment(run, at);
    return 1;
}

pm_plugin_code unigram_encode(const void *model, void *scratch, pm_token_sink *sink,
                              const pm_plugin_message *message)
{
    unigram_run run = {
        .model = model,
        .scratch = scratch,
        .sink = sink,
        .text = sink->piece->bytes,
        .n = sink->piece->n,
        .unknown_begin = NONE,
    };
    if (!(run.model->sums_are_float ? find_best(&run, 1) : find_best(&run, 0)))
        return pm_plugin_fail_memory(message, "the ways through a piece of text");
    if (run.unknown_begin != NONE)
        end_unknown(&run, run.n);
    return PM_PLUGIN_OK;
}
