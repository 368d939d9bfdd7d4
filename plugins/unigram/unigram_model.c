/* Making a Unigram model from a vocabulary: what is in the trie, and with which score. See unigram.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unigram/unigram.h"

enum { CACHE_LINE = 64 };

static const double UNKNOWN_PENALTY = 10; /* both implementations' constant */

static void unigram_destroy(void *pointer)
{
    unigram_model *model = pointer;
    if (!model)
        return;
    pm_byte_trie_destroy(&model->trie);
    free(model->scores);
    free(model->float_scores);
    free(model);
}

/* Does the token take part in the model, so that its score counts as one of the model's? */
static int is_of_model(const unigram_model *model, size_t id)
{
    unsigned kind = model->table->kinds[id];
    if (model->sums_are_float)
        return kind == PM_TOKEN_NORMAL;
    if (kind == PM_TOKEN_CONTROL || kind == PM_TOKEN_USER_DEFINED)
        return (model->table->flags[id] & PM_TOKEN_IN_MODEL) != 0;
    return kind != PM_TOKEN_UNUSED;
}

static int is_in_trie(const unigram_model *model, size_t id)
{
    unsigned kind = model->table->kinds[id];
    if (model->table->offsets[id] == model->table->offsets[id + 1])
        return 0;
    return kind == PM_TOKEN_NORMAL ||
           (kind == PM_TOKEN_USER_DEFINED && (model->sums_are_float || is_of_model(model, id)));
}

/* The score of a token as it counts. */
static double score_of(const unigram_model *model, size_t id)
{
    const pm_token_table *table = model->table;
    if (!model->sums_are_float)
        return table->scores[id];
    if (table->kinds[id] != PM_TOKEN_USER_DEFINED)
        return (double)(float)table->scores[id];
    return (double)(float)((double)(table->offsets[id + 1] - table->offsets[id]) * 0.1 - 0.1);
}

static pm_plugin_code fill_scores(unigram_model *model, const pm_plugin_message *message)
{
    const pm_token_table *table = model->table;
    const double largest = model->sums_are_float ? 1e20 : 1e200; /* so that no sum can become infinite */
    double lowest = INFINITY;
    model->unknown = (unigram_value)table->n + 1;
    model->scores = malloc((table->n + 2) * sizeof *model->scores);
    if (!model->scores)
        return pm_plugin_fail_memory(message, "the scores of tokens");
    model->scores[0] = -INFINITY;
    for (size_t i = 0; i < table->n; i++) {
        if (!(fabs(table->scores[i]) <= largest))
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the score of token %zu is %g", i, table->scores[i]);
        double score = model->scores[i + 1] = score_of(model, i);
        model->most = fabs(score) > model->most ? fabs(score) : model->most;
        if (is_of_model(model, i))
            lowest = score < lowest ? score : lowest;
    }
    if (isinf(lowest))
        lowest = 0;
    double unknown =
        model->sums_are_float ? (double)((float)lowest - (float)UNKNOWN_PENALTY) : lowest - UNKNOWN_PENALTY;
    model->scores[model->unknown] = unknown;
    model->most = fmax(model->most, fabs(unknown));
    if (!model->sums_are_float)
        return PM_PLUGIN_OK;
    model->float_scores = malloc((table->n + 2) * sizeof *model->float_scores);
    if (!model->float_scores)
        return pm_plugin_fail_memory(message, "the scores of tokens");
    for (size_t i = 0; i < table->n + 2; i++)
        model->float_scores[i] = (float)model->scores[i];
    return PM_PLUGIN_OK;
}

/* Does the token have U+2581 after another character? */
static int has_inner_space(const char *bytes, size_t n)
{
    for (size_t i = 1; i + 3 <= n; i++)
        if (bytes[i] == '\xE2' && memcmp(bytes + i, "\xE2\x96\x81", 3) == 0 &&
            (i < 3 || memcmp(bytes + i - 3, "\xE2\x96\x81", 3) != 0))
            return 1;
    return 0;
}

static pm_plugin_code fill_trie(unigram_model *model, const pm_plugin_message *message)
{
    const pm_token_table *table = model->table;
    pm_trie_key *keys = malloc((table->n + 1) * sizeof *keys);
    if (!keys)
        return pm_plugin_fail_memory(message, "the trie of tokens");
    size_t n = 0;
    model->splits_at_spaces = 1;
    for (size_t i = 0; i < table->n; i++)
        if (is_in_trie(model, i)) {
            size_t size;
            const char *bytes = pm_token_bytes(table, (int32_t)i, &size);
            model->splits_at_spaces &= !has_inner_space(bytes, size);
            keys[n++] = (pm_trie_key){bytes, (uint32_t)size, (uint32_t)i};
        }
    pm_plugin_code code = pm_byte_trie_create(keys, n, &model->trie, message);
    free(keys);
    return code;
}

static pm_plugin_code read_options(unigram_model *model, const pm_model_source *source,
                                   const pm_plugin_message *message)
{
    model->sums_are_float = pm_json_flag(source->options, "sentencepiece", 0);
    model->byte_fallback = pm_json_flag(source->options, "byte_fallback", 0);
    model->is_bytes = source->is_bytes;
    model->unk = source->spec->unk;
    double unk = pm_json_number(source->options, "unk_id", PM_NO_TOKEN);
    if (unk != PM_NO_TOKEN) {
        if (!(unk >= 0 && unk < (double)source->table->n) || unk != floor(unk))
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT,
                                  "the unknown token has id %g, but there are %zu tokens", unk, source->table->n);
        model->unk = (int32_t)unk;
    }
    return PM_PLUGIN_OK;
}

static pm_plugin_code unigram_create(const pm_model_source *source, void **out, const pm_plugin_message *message)
{
    unigram_model *model = calloc(1, sizeof *model);
    if (!model)
        return pm_plugin_fail_memory(message, "the model");
    model->table = source->table;
    pm_plugin_code code = read_options(model, source, message);
    if (code == PM_PLUGIN_OK)
        code = fill_scores(model, message);
    if (code == PM_PLUGIN_OK)
        code = fill_trie(model, message);
    if (code == PM_PLUGIN_OK)
        *out = model;
    else
        unigram_destroy(model);
    return code;
}

static pm_plugin_code unigram_scratch_create(const void *model, void **scratch, const pm_plugin_message *message)
{
    (void)model;
    unigram_scratch *s = calloc(1, sizeof *s);
    if (s) /* calloc, as memory that is never touched costs nothing */
        s->words_memory = calloc((1 << UNIGRAM_CACHE_BITS) + 1, sizeof *s->words);
    if (!s || !s->words_memory) {
        free(s);
        return pm_plugin_fail_memory(message, "the scratch of a model");
    }
    s->words = (unigram_word *)(((uintptr_t)s->words_memory + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    *scratch = s;
    return PM_PLUGIN_OK;
}

static void unigram_scratch_destroy(void *pointer)
{
    unigram_scratch *scratch = pointer;
    if (!scratch)
        return;
    free(scratch->nodes);
    free(scratch->words_memory);
    free(scratch);
}

const pm_model_kind unigram_kind = {
    .name = "Unigram",
    .create = unigram_create,
    .destroy = unigram_destroy,
    .scratch_create = unigram_scratch_create,
    .scratch_destroy = unigram_scratch_destroy,
    .encode = unigram_encode,
};
