/* The best way through a stretch of text: see unigram.h.
 *
 * From each character the trie is walked as far as it goes; the work is bounded by the length of the text times
 * that of the longest token, whatever the text. A node of the trie that is no token is a candidate of score
 * -infinity: that is faster than to ask. Where no token reaches over a place, what lies before it is decided; this
 * is done now and then, so that little memory is in use at a time.
 */
#include <math.h>
#include <string.h>

#include "unigram/unigram.h"

enum { DECIDE_AFTER = 1024, PREPARE_MORE = 64 /* bytes */ };

/* The stretch from its last cut on: places count from there. */
typedef struct search {
    const unigram_model *model;
    const unsigned char *text;
    size_t n;
    unigram_node *nodes;
    size_t prepared; /* places up to this one have a score */
    size_t reached;  /* the end of the token that reaches farthest */
} search;

/* Hands on the tokens of the best way to place n. */
static void decide(unigram_run *run, size_t base, size_t n)
{
    unigram_node *nodes = run->scratch->nodes;
    uint32_t end = (uint32_t)n;
    for (uint32_t at = nodes[n].start, next; end > 0; end = at, at = next) { /* turns the links around */
        next = nodes[at].start;
        nodes[at].start = end;
    }
    for (uint32_t at = 0; at < n; at = end) {
        end = nodes[at].start;
        unigram_take_token(run, nodes[end].value, base + at, base + end);
    }
    run->sum = nodes[n].sum;
}

/* Offers a place one more way, from a place with score `from`, which is taken if it is better. */
static inline __attribute__((always_inline)) void offer(const unigram_model *model, unigram_node *node,
                                                        unigram_value value, size_t start, unigram_sum from,
                                                        int in_float)
{
    unsigned is_better; /* all bits, or none: without branches, as which way is better cannot be foreseen */
    if (in_float) {
        float sum = model->float_scores[value] + from.in_float;
        is_better = -(unsigned)(sum > node->sum.in_float);
        node->sum.in_float = sum > node->sum.in_float ? sum : node->sum.in_float;
    } else {
        double sum = model->scores[value] + from.in_double;
        is_better = -(unsigned)(sum > node->sum.in_double);
        node->sum.in_double = sum > node->sum.in_double ? sum : node->sum.in_double;
    }
    node->value ^= (node->value ^ value) & is_better;
    node->start ^= (node->start ^ (uint32_t)start) & is_better;
}

/* Offers the ways that lead on from place `at`, where a character of `length` bytes begins. */
static inline __attribute__((always_inline)) void extend(search *s, size_t at, size_t length, int in_float)
{
    const unigram_model model = *s->model;
    const unsigned char *text = s->text;
    const size_t n = s->n;
    const unigram_sum from = s->nodes[at].sum;
    unigram_node *nodes = s->nodes;
    pm_trie_unit unit = model.trie.root;
    unigram_value character = 0; /* the token that is this character */
    size_t reached = s->reached;
    for (size_t end = at; end < n;) {
        unsigned char c = text[end];
        unit = pm_trie_next(&model.trie, unit, c);
        if (!pm_trie_is_child(unit, c))
            break;
        end++;
        unigram_value value = (uint32_t)unit >> 9;
        offer(&model, &nodes[end], value, at, from, in_float);
        reached = value != 0 && end > reached ? end : reached;
        character = end - at == length ? value : character;
    }
    if (character == 0) {
        offer(&model, &nodes[at + length], model.unknown, at, from, in_float);
        reached = at + length > reached ? at + length : reached;
    }
    s->reached = reached;
}

/* SentencePiece keeps floats precise in long texts: where the sum at the beginning of a character is below this,
 * it counts from there. (Found by experiment with 0.2.3.) */
static void count_anew(search *s, size_t at)
{
    const float sum = s->nodes[at].sum.in_float;
    for (size_t i = at; i <= s->prepared; i++)
        s->nodes[i].sum.in_float -= sum; /* -infinity stays */
}

/* Room for all places that can be reached from place `at`; 0 when out of memory. */
static inline __attribute__((always_inline)) int prepare(search *s, unigram_scratch *scratch, size_t at,
                                                         int in_float)
{
    size_t longest = s->model->trie.longest > 4 ? s->model->trie.longest : 4;
    size_t last = at + (s->n - at < longest ? s->n - at : longest);
    if (last <= s->prepared)
        return 1;
    last += s->n - last < PREPARE_MORE ? s->n - last : PREPARE_MORE; /* so that this is done now and then */
    if (last >= scratch->nodes_capacity) {
        if (!pm_grow((void **)&scratch->nodes, &scratch->nodes_capacity, last + 1, sizeof *scratch->nodes))
            return 0;
        s->nodes = scratch->nodes;
    }
    while (s->prepared < last)
        s->nodes[++s->prepared] =
            in_float ? (unigram_node){.sum.in_float = -INFINITY} : (unigram_node){.sum.in_double = -INFINITY};
    return 1;
}

/* Place `cut` becomes place 0. */
static void move_on(search *s, size_t cut)
{
    memmove(s->nodes, s->nodes + cut, (s->prepared + 1 - cut) * sizeof *s->nodes);
    s->prepared -= cut;
    s->reached = 0;
    s->text += cut;
    s->n -= cut;
}

static inline __attribute__((always_inline)) int search_all(unigram_run *run, size_t begin, size_t end,
                                                            int in_float)
{
    search s = {.model = run->model, .text = (const unsigned char *)run->text + begin, .n = end - begin};
    s.nodes = run->scratch->nodes;
    if (!prepare(&s, run->scratch, 0, in_float))
        return 0;
    s.nodes[0] = (unigram_node){.sum = run->sum};
    for (size_t at = 0, length; at < s.n; at += length) {
        if (at >= DECIDE_AFTER && at == s.reached && s.prepared <= 2 * at) {
            decide(run, begin, at);
            move_on(&s, at);
            begin += at;
            at = 0;
        }
        if (!prepare(&s, run->scratch, at, in_float))
            return 0;
        if (in_float && s.nodes[at].sum.in_float < (float)-UNIGRAM_LARGEST_SUM)
            count_anew(&s, at);
        length = unigram_character_length(s.model, (const char *)s.text, at, s.n);
        extend(&s, at, length, in_float);
    }
    decide(run, begin, s.n);
    return 1;
}

int unigram_search(unigram_run *run, size_t begin, size_t end)
{
    return run->model->sums_are_float ? search_all(run, begin, end, 1) : search_all(run, begin, end, 0);
}
