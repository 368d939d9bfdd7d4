/* From a piece of text to tokens: cutting it into words, and what becomes of unknown text. See unigram.h.
 *
 * A word is what lies between two cuts that every way goes through, whatever it does elsewhere: places where two
 * characters meet that do so in no token of the vocabulary (unigram_joints). Nearly all spaces and signs are
 * such places, as is all unknown text. The sum of scores goes on over the cuts, because rounding depends on it.
 */
#include <math.h>
#include <string.h>

#include "unigram/unigram.h"

enum { BLOCK = 256 /* places where words may end that are looked at in one go */ };

/* ---- Tokens ---- */

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
    size_t begin = run->unknown_begin;
    const char *bytes = run->text + begin;
    size_t n = end - begin;
    run->unknown_begin = UNIGRAM_NONE;
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

static inline void take_token(unigram_run *run, unigram_value value, size_t begin, size_t end)
{
    const unigram_model *model = run->model;
    if (value == model->unknown || (int32_t)value - 1 == model->unk) {
        int is_first = run->unknown_begin == UNIGRAM_NONE;
        run->unknown_is_token = is_first && value != model->unknown;
        run->unknown_begin = is_first ? begin : run->unknown_begin;
        return;
    }
    if (run->unknown_begin != UNIGRAM_NONE)
        end_unknown(run, begin);
    pm_token_emit(run->sink, (int32_t)value - 1, begin, end);
}

void unigram_take_token(unigram_run *run, unigram_value value, size_t begin, size_t end)
{
    take_token(run, value, begin, end);
}

/* ---- Words ---- */

/* The words of a block of text. */
typedef struct word_block {
    size_t n;
    uint32_t ends[BLOCK];
    unigram_value characters[BLOCK]; /* the token of a word that is one character; else 0 ... */
    unigram_word *places[BLOCK];     /* ... and the two places where it may be remembered */
} word_block;

/* The token that a word is if it is one character; 0 if it is not. */
static inline unigram_value find_character(const unigram_model *model, const char *word, size_t n)
{
    if (n == 1)
        return model->bytes[(unsigned char)*word];
    if (n > 4 || model->is_bytes)
        return 0;
    pm_character c = pm_read_character(word, 0, n);
    if (c.length != n)
        return 0;
    unigram_value value = 0;
    if (c.code < UNIGRAM_CHARACTERS) {
        value = model->characters[c.code];
    } else {
        pm_trie_unit unit = pm_trie_find(&model->trie, model->trie.root, word, n);
        value = (uint32_t)unit >> 9;
    }
    return value != 0 ? value : model->unknown;
}

/* Finds the characters among the words of a block, and for the others where they may be remembered; asks for that,
 * so that it is there by the time that it is needed. */
static inline void find_words(const unigram_run *run, size_t begin, word_block *block)
{
    unigram_word *words = run->scratch->words;
    for (size_t i = 0; i < block->n; i++) {
        size_t n = block->ends[i] - begin;
        block->characters[i] = find_character(run->model, run->text + begin, n);
        if (block->characters[i] == 0 && n <= UNIGRAM_WORD_BYTES) {
            pm_first_bytes key = pm_load_first_bytes(run->text + begin, n, run->n - begin);
            uint64_t hash = (key.first ^ key.second * 0x9E3779B97F4A7C15u) * 0xA0761D6478BD642Fu;
            block->places[i] = &words[(hash >> (65 - UNIGRAM_CACHE_BITS)) * 2];
            __builtin_prefetch(block->places[i]);
        }
        begin = block->ends[i];
    }
}

static inline int is_word(const unigram_word *word, pm_first_bytes key, size_t n)
{
    return word->key.first == key.first && word->key.second == key.second && word->n_bytes == n;
}

/* What is remembered of a word: of the two places the first one is the newer. */
static inline const unigram_word *look_up(const unigram_run *run, size_t begin, size_t n, unigram_word *places)
{
    pm_first_bytes key = pm_load_first_bytes(run->text + begin, n, run->n - begin);
    if (is_word(&places[0], key, n))
        return &places[0];
    if (is_word(&places[1], key, n))
        return &places[1];
    places[1] = places[0];
    places[0].key = key;
    unigram_fill_word(run->model, run->text + begin, n, &places[0]);
    return &places[0];
}

static inline __attribute__((always_inline)) void add_score(const unigram_model *model, unigram_value value,
                                                            unigram_sum *sum, int in_float)
{
    if (in_float)
        sum->in_float += model->float_scores[value];
    else
        sum->in_double += model->scores[value];
}

/* The tokens of a word that has unknown ones among them, or of which more is to be said than their ids. */
static void take_tokens(unigram_run *run, const unigram_word *word, size_t begin)
{
    const unigram_model *model = run->model;
    const size_t *offsets = model->table->offsets;
    for (unsigned i = 0; i < word->n_tokens; i++) {
        unigram_value value = word->values[i];
        size_t length = value == model->unknown ? unigram_character_length(model, run->text, begin, run->n)
                                                : offsets[value] - offsets[value - 1];
        take_token(run, value, begin, begin + length);
        begin += length;
    }
}

/* The usual case is without branches that depend on the word: tokens are taken by fours, of which the last ones
 * may be none, with a score of 0. */
static inline __attribute__((always_inline)) void take_word(unigram_run *run, const unigram_word *word,
                                                            size_t begin, unigram_sum *sum, int in_float)
{
    enum { FEW = 4 };
    pm_token_sink *sink = run->sink;
    int is_usual = word->is_plain && !sink->spans && run->unknown_begin == UNIGRAM_NONE &&
                   sink->n + UNIGRAM_WORD_TOKENS <= sink->capacity;
    unsigned i = 0;
    do {
        int32_t few[FEW];
        for (int k = 0; k < FEW; k++) {
            add_score(run->model, word->values[i + k], sum, in_float);
            few[k] = (int32_t)word->values[i + k] - 1;
        }
        if (is_usual)
            memcpy(sink->ids + sink->n + i, few, sizeof few);
        i += FEW;
    } while (i < word->n_tokens);
    if (is_usual)
        sink->n += word->n_tokens;
    else
        take_tokens(run, word, begin);
}

static inline __attribute__((always_inline)) void
take_character(unigram_run *run, unigram_value value, size_t begin, size_t end, unigram_sum *sum, int in_float)
{
    const unigram_model *model = run->model;
    if (in_float && sum->in_float < (float)-UNIGRAM_LARGEST_SUM)
        sum->in_float = 0;
    add_score(model, value, sum, in_float);
    take_token(run, value, begin, end);
}

static inline __attribute__((always_inline)) int encode_words(unigram_run *run, size_t begin,
                                                              const word_block *block, int in_float)
{
    unigram_sum sum = run->sum;
    for (size_t i = 0; i < block->n; i++) {
        size_t end = block->ends[i], n = end - begin;
        const unigram_word *word = NULL;
        if (block->characters[i] != 0) {
            take_character(run, block->characters[i], begin, end, &sum, in_float);
            begin = end;
            continue;
        }
        if (n <= UNIGRAM_WORD_BYTES)
            word = look_up(run, begin, n, block->places[i]);
        double size = in_float ? (double)fabsf(sum.in_float) : fabs(sum.in_double);
        if (word && size <= (double)word->limit) {
            take_word(run, word, begin, &sum, in_float);
        } else {
            run->sum = sum;
            if (!unigram_search(run, begin, end))
                return 0;
            sum = run->sum;
        }
        begin = end;
    }
    run->sum = sum;
    return 1;
}

/* Characters that are sure to be unknown; returns where they end. */
static inline __attribute__((always_inline)) size_t take_strangers(unigram_run *run, size_t begin, int in_float)
{
    const unigram_model *model = run->model;
    unigram_sum sum = run->sum;
    size_t at = begin;
    while (at < run->n && model->joints->strange[(unsigned char)run->text[at]]) {
        pm_character c = pm_read_character(run->text, at, run->n);
        if (c.malformed)
            break;
        if (in_float && sum.in_float < (float)-UNIGRAM_LARGEST_SUM)
            sum.in_float = 0;
        add_score(model, model->unknown, &sum, in_float);
        at += c.length;
    }
    if (at > begin)
        take_token(run, model->unknown, begin, at);
    run->sum = sum;
    return at;
}

/* Where words end, from a place on up to the next stranger, or for a block; returns the place that was not looked
 * at. The last place of the text is never one. */
static inline size_t find_ends(const unigram_run *run, size_t from, word_block *block)
{
    const unsigned char *text = (const unsigned char *)run->text;
    const unigram_joints *joints = run->model->joints;
    size_t n = 0, at = from, to = run->n - from <= BLOCK ? run->n - 1 : from + BLOCK;
    while (at < to) {
        const unsigned char byte = text[at];
        size_t joint = unigram_joint(joints, text[at - 1], byte, text[at + 1]);
        block->ends[n] = (uint32_t)at++;
        n += ~joints->bits[joint / 64] >> joint % 64 & 1;
        if (joints->strange[byte])
            break;
    }
    block->n = n;
    return at;
}

static inline __attribute__((always_inline)) int encode_piece(unigram_run *run, int in_float)
{
    word_block block;
    size_t begin = take_strangers(run, 0, in_float),
           at = begin + 1; /* the word at hand, and what to look at next */
    while (run->n > UNIGRAM_WORD_BYTES && at + 1 < run->n) {
        at = find_ends(run, at, &block);
        find_words(run, begin, &block);
        if (!encode_words(run, begin, &block, in_float))
            return 0;
        begin = block.n > 0 ? block.ends[block.n - 1] : begin;
        if (begin + 1 == at) {
            begin = take_strangers(run, begin, in_float);
            at = begin + 1;
        }
    }
    block.n = begin < run->n;
    block.ends[0] = (uint32_t)run->n;
    find_words(run, begin, &block);
    return encode_words(run, begin, &block, in_float);
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
        .unknown_begin = UNIGRAM_NONE,
    };
    if (!(run.model->sums_are_float ? encode_piece(&run, 1) : encode_piece(&run, 0)))
        return pm_plugin_fail_memory(message, "the ways through a piece of text");
    if (run.unknown_begin != UNIGRAM_NONE)
        end_unknown(&run, run.n);
    return PM_PLUGIN_OK;
}
