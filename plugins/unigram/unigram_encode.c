/* From a piece of text to tokens: cutting it into words, and what becomes of unknown text. See unigram.h.
 *
 * A word is what lies between two cuts that every way goes through, whatever it does elsewhere: before a U+2581
 * that follows another character, if no token of the vocabulary has one inside. The sum of scores goes on over the
 * cuts, because rounding depends on it.
 */
#include <math.h>

#include "unigram/unigram.h"

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

void unigram_take_token(unigram_run *run, unigram_value value, size_t begin, size_t end)
{
    int32_t id = (int32_t)value - 1;
    int is_unknown = value == run->model->unknown;
    if (!is_unknown && id != run->model->unk) {
        if (run->unknown_begin != UNIGRAM_NONE)
            end_unknown(run, begin);
        pm_token_emit(run->sink, id, begin, end);
        return;
    }
    run->unknown_is_token = !is_unknown && run->unknown_begin == UNIGRAM_NONE;
    if (run->unknown_begin == UNIGRAM_NONE)
        run->unknown_begin = begin;
}

/* ---- Words ---- */

/* The tokens of a word as they are remembered. */
static inline void take_word(unigram_run *run, const unigram_word *word, size_t begin)
{
    const double *scores = run->model->scores;
    size_t at = begin;
    for (unsigned i = 0; i < word->n_tokens; i++) {
        size_t end = begin + word->ends[i];
        run->sum = unigram_add(scores[word->values[i]], run->sum, run->model->sums_are_float);
        unigram_take_token(run, word->values[i], at, end);
        at = end;
    }
}

static inline int encode_word(unigram_run *run, size_t begin, size_t end)
{
    if (end - begin <= UNIGRAM_WORD_BYTES) {
        const unigram_word *word = unigram_look_up(run->model, run->scratch, run->text + begin, end - begin);
        if (word->n_tokens > 0 && (fabs(run->sum) <= (double)word->limit)) {
            take_word(run, word, begin);
            return 1;
        }
    }
    return unigram_search(run, begin, end);
}

static int is_space(const unsigned char *p)
{
    return p[0] == 0xE2 && p[1] == 0x96 && p[2] == 0x81;
}

/* Where the word ends that begins here. */
static inline size_t find_word_end(const unigram_run *run, size_t begin)
{
    const unsigned char *text = (const unsigned char *)run->text;
    if (run->n < 3)
        return run->n;
    size_t at = begin;
    while (at < run->n - 2 && is_space(text + at))
        at += 3;
    for (; at < run->n - 2; at++)
        if (text[at] == 0xE2 && at > begin && is_space(text + at))
            return at;
    return run->n;
}

static int encode_words(unigram_run *run)
{
    if (run->n <= UNIGRAM_WORD_BYTES || !run->model->splits_at_spaces)
        return encode_word(run, 0, run->n);
    for (size_t at = 0, end; at < run->n; at = end) {
        end = find_word_end(run, at);
        if (!encode_word(run, at, end))
            return 0;
    }
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
        .unknown_begin = UNIGRAM_NONE,
    };
    if (!encode_words(&run))
        return pm_plugin_fail_memory(message, "the ways through a piece of text");
    if (run.unknown_begin != UNIGRAM_NONE)
        end_unknown(&run, run.n);
    return PM_PLUGIN_OK;
}
