/* What short words become, remembered: a table in the scratch of a thread, two places for each hash. See
 * unigram.h.
 *
 * A word is decided as if nothing came before it. In the middle of a text the sum of scores is not 0, and rounds
 * otherwise; but a decision stands where the second best way to the same place is worse by more than all rounding
 * can make up for. So the smallest of these gaps on the best way says for which sums the entry is right, and an
 * entry is always right for 0. Which words are remembered never changes what they become.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "unigram/unigram.h"

/* The way to a place of the word. */
typedef struct word_node {
    double score, gap; /* to the second best */
    unigram_value value;
    unsigned start;
} word_node;

static uint64_t load(const char *p, size_t n)
{
    uint64_t x = 0;
    memcpy(&x, p, n);
    return x;
}

/* The bytes of a word as three numbers, which with n tell words apart. Reads no byte beyond the word. */
static inline void make_key(const char *p, size_t n, uint64_t key[3])
{
    key[1] = key[2] = 0;
    if (n >= 8) {
        key[0] = load(p, 8);
        key[1] = load(p + n - 8, 8);
        if (n > 16)
            key[2] = load(p + 8, 8);
    } else if (n >= 4)
        key[0] = load(p, 4) | load(p + n - 4, 4) << 32;
    else
        key[0] = (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << 8 |
                 (uint64_t)(unsigned char)p[n - 1] << 16;
}

static void offer(word_node *node, double score, unigram_value value, size_t start)
{
    if (score > node->score) {
        *node = (word_node){score, score - node->score, value, (unsigned)start};
        return;
    }
    if (node->score - score < node->gap)
        node->gap = node->score - score;
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

static void fill_word(const unigram_model *model, const char *text, size_t n, unigram_word *word)
{
    word_node nodes[UNIGRAM_WORD_BYTES + 1];
    unsigned ends[UNIGRAM_WORD_BYTES];
    size_t n_tokens = 0;
    double gap = INFINITY;
    find_ways(model, text, n, nodes);
    for (unsigned at = (unsigned)n; at > 0; at = nodes[at].start) {
        ends[n_tokens++] = at;
        gap = fmin(gap, nodes[at].gap);
    }
    /* A way is at most so many sums, each off by half a unit in the last place of the largest, as is each of the
     * two that a gap lies between, then and now. */
    double unit = model->sums_are_float ? FLT_EPSILON : DBL_EPSILON;
    double limit = gap / (4 * UNIGRAM_WORD_BYTES * unit) - UNIGRAM_WORD_BYTES * model->most;
    /* Nor may a sum become so low within the word that it is counted anew. */
    double lowest = model->sums_are_float ? UNIGRAM_LARGEST_SUM - UNIGRAM_WORD_BYTES * model->most : DBL_MAX;
    limit = fmin(limit, lowest);
    word->limit = limit > 0 ? (float)(limit < FLT_MAX ? limit : FLT_MAX) : 0;
    word->n_tokens = n_tokens <= UNIGRAM_WORD_TOKENS && lowest > 0 ? (uint8_t)n_tokens : 0;
    for (size_t i = 0; i < word->n_tokens; i++) {
        word->ends[i] = (uint8_t)ends[n_tokens - 1 - i];
        word->values[i] = nodes[ends[n_tokens - 1 - i]].value;
    }
}

static inline int is_word(const unigram_word *word, const uint64_t key[3], size_t n)
{
    return word->key[0] == key[0] && word->key[1] == key[1] && word->key[2] == key[2] && word->n_bytes == n;
}

const unigram_word *unigram_look_up(const unigram_model *model, unigram_scratch *scratch, const char *text,
                                    size_t n)
{
    uint64_t key[3];
    make_key(text, n, key);
    uint64_t hash = (key[0] ^ key[1] * 0x9E3779B97F4A7C15u ^ key[2] * 0xD6E8FEB86659FD93u ^ (uint64_t)n << 56) *
                    0xA0761D6478BD642Fu;
    unigram_word *words = &scratch->words[(hash >> (65 - UNIGRAM_CACHE_BITS)) * 2];
    if (is_word(&words[0], key, n))
        return &words[0];
    if (is_word(&words[1], key, n))
        return &words[1];
    words[1] = words[0];
    fill_word(model, text, n, &words[0]);
    memcpy(words[0].key, key, sizeof key);
    words[0].n_bytes = (uint8_t)n;
    return &words[0];
}
