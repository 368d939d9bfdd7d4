/* Making a Unigram model from a vocabulary: what is in the trie, and with which score. See unigram.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unigram/unigram.h"

static const double UNKNOWN_PENALTY = 10; /* both implementations' constant */

static void unigram_destroy(void *pointer)
{
    unigram_model *model = pointer;
    if (!model)
        return;
    pm_byte_trie_destroy(&model->trie);
    free(model->scores);
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

static pm_plugin_code fill_scores(unigram_model *model, const pm_plugin_message *message)
{
    const pm_token_table *table = model->table;
    model->scores = malloc(table->n * sizeof *model->scores);
    if (!model->scores)
        return pm_plugin_fail_memory(message, "the scores of tokens");
    double lowest = INFINITY;
    for (size_t i = 0; i < table->n; i++) {
        if (!isfinite(table->scores[i]))
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the score of token %zu is infinite", i);
        model->scores[i] = model->sums_are_float ? (double)(float)table->scores[i] : table->scores[i];
        if (is_of_model(model, i))
            lowest = fmin(lowest, model->scores[i]);
    }
    if (isinf(lowest))
        lowest = 0;
    model->unknown_score = lowest - UNKNOWN_PENALTY;
    if (!model->sums_are_float)
        return PM_PLUGIN_OK;
    model->unknown_score = (double)((float)lowest - (float)UNKNOWN_PENALTY);
    for (size_t i = 0; i < table->n; i++)
        if (table->kinds[i] == PM_TOKEN_USER_DEFINED)
            model->scores[i] = (double)(float)((double)(table->offsets[i + 1] - table->offsets[i]) * 0.1 - 0.1);
    return PM_PLUGIN_OK;
}

static pm_plugin_code fill_trie(unigram_model *model, const pm_plugin_message *message)
{
    const pm_token_table *table = model->table;
    pm_trie_key *keys = malloc((table->n + 1) * sizeof *keys);
    if (!keys)
        return pm_plugin_fail_memory(message, "the trie of tokens");
    size_t n = 0;
    for (size_t i = 0; i < table->n; i++)
        if (is_in_trie(model, i)) {
            size_t size;
            const char *bytes = pm_token_bytes(table, (int32_t)i, &size);
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
    *scratch = calloc(1, sizeof(unigram_scratch));
    return *scratch ? PM_PLUGIN_OK : pm_plugin_fail_memory(message, "the scratch of a model");
}

static void unigram_scratch_destroy(void *pointer)
{
    unigram_scratch *scratch = pointer;
    if (scratch)
        free(scratch->nodes);
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
