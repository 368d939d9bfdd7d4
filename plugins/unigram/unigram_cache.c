/* What short words become, to be remembered: see unigram.h.
 *
 * A word is decided as if nothing came before it. In the middle of a text the sum of scores is not 0, and rounds
 * otherwise; but a decision stands where the second best way to the same place is worse by more than all rounding
 * can make up for. So the smallest of these gaps on the best way says for which sums the entry is right, and an
 * entry is always right for 0. Which words are remembered never changes what they become.
 */
#include <float.h>
#include <math.h>

#include "unigram/unigram.h"

/* The way to a place of the word. */
typedef struct word_node {
    double score, gap; /* to the second best */
    unigram_value value;
    unsigned start;
} word_node;

/* One more way to a place. (Without branches, as which way is better cannot be foreseen.) */
static inline void offer(word_node *node, double score, unigram_value value, size_t start)
{
    double more = score - node->score; /* than the best one so far */
    unsigned is_better = -(unsigned)(more > 0);
    double less = fabs(more);
    node->gap = more > 0 ? more : less < node->gap ? less : node->gap;
    node->score = more > 0 ? score : node->score;
    node->value ^= (node->value ^ value) & is_better;
    node->start ^= (node->start ^ (unsigned)start) & is_better;
}

/* The best way to each place of the word. */
static void find_ways(const unigram_model *model, const char *text, size_t n, word_node *nodes)
{
    const int in_float = model->sums_are_float;
    for (size_t i = 0; i <= n; i++)
        nodes[i] = (word_node){i == 0 ? 0 : -INFINITY, INFINITY, 0, 0};
    for (size_t at = 0, length; at < n; at += length) {
        length = unigram_character_length(model, text, at, n);
        pm_trie_unit unit = model->trie.root;
        int is_known = 0;
        for (size_t end = at + 1; end <= n; end++) {
            unsigned char c = (unsigned char)text[end - 1];
            unit = pm_trie_next(&model->trie, unit, c);
            if (!pm_trie_is_child(unit, c))
                break;
            if (!pm_trie_has_value(unit))
                continue;
            unigram_value value = (uint32_t)unit >> 9;
            offer(&nodes[end], unigram_add(model->scores[value], nodes[at].score, in_float), value, at);
            is_known |= end - at == length;
        }
        if (!is_known)
            offer(&nodes[at + length], unigram_add(model->scores[model->unknown], nodes[at].score, in_float),
                  model->unknown, at);
    }
}

/* Up to which sum before the word, but for the sign, its best way stays the best one, if it is better than others
 * by `gap`. */
static double find_limit(const unigram_model *model, size_t n, double gap)
{
    /* A way is at most n sums, each off by half a unit in the last place of the largest; so are both ways that a
     * gap lies between, here, where the sum before is 0, and then. */
    double unit = model->sums_are_float ? FLT_EPSILON : DBL_EPSILON, most = (double)n * model->most;
    double limit = 0.99 * gap / ((double)n * unit) - 2 * most;
    limit = limit > 0 ? limit : 0;
    /* Nor may a sum become so low within the word that it is counted anew. */
    double lowest = model->sums_are_float ? UNIGRAM_LARGEST_SUM - most : FLT_MAX;
    return limit < lowest ? limit : lowest;
}

void unigram_fill_word(const unigram_model *model, const char *text, size_t n, unigram_word *word)
{
    word_node nodes[UNIGRAM_WORD_BYTES + 1];
    unsigned ends[UNIGRAM_WORD_BYTES];
    size_t n_tokens = 0;
    double gap = INFINITY;
    find_ways(model, text, n, nodes);
    for (unsigned at = (unsigned)n; at > 0; at = nodes[at].start) {
        ends[n_tokens++] = at;
        gap = nodes[at].gap < gap ? nodes[at].gap : gap;
    }
    word->limit = n_tokens <= UNIGRAM_WORD_TOKENS ? (float)find_limit(model, n, gap) : -1;
    word->n_bytes = (uint8_t)n;
    word->n_tokens = n_tokens <= UNIGRAM_WORD_TOKENS ? (uint8_t)n_tokens : 0;
    word->is_plain = 1;
    for (size_t i = 0; i < UNIGRAM_WORD_TOKENS; i++) {
        unigram_value value = i < word->n_tokens ? nodes[ends[n_tokens - 1 - i]].value : model->none;
        word->values[i] = value;
        word->is_plain &= value != model->unknown && (int32_t)value - 1 != model->unk;
    }
}
