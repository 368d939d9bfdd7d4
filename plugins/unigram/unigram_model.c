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
    free(model->joints);
    free(model->characters);
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
    model->none = model->unknown + 1;
    model->scores = malloc((table->n + 3) * sizeof *model->scores);
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
    model->scores[model->none] = -0.0;
    model->most = fmax(model->most, fabs(unknown));
    if (!model->sums_are_float)
        return PM_PLUGIN_OK;
    model->float_scores = malloc((table->n + 3) * sizeof *model->float_scores);
    if (!model->float_scores)
        return pm_plugin_fail_memory(message, "the scores of tokens");
    for (size_t i = 0; i < table->n + 3; i++)
        model->float_scores[i] = (float)model->scores[i];
    return PM_PLUGIN_OK;
}

static unigram_joints *make_joints(int is_bytes)
{
    unigram_joints *joints = calloc(1, sizeof *joints);
    for (unsigned byte = 0; byte < 256 && joints; byte++) {
        int is_lead = byte >= 0xC0;
        joints->rows[byte] = (is_lead ? 0xC0 + (byte & 63) * 64 : byte) * 256;
        joints->nexts[byte] = is_lead ? 63 : 0;
        joints->strange[byte] = is_lead && !is_bytes;
    }
    if (joints)
        memset(joints->bits + 0x80 * 256 / 64, 0xFF, 0x40 * 256 / 8);
    return joints;
}

static void set_joint(unigram_joints *joints, unsigned char before, unsigned char byte, unsigned char next)
{
    size_t joint = unigram_joint(joints, before, byte, next);
    joints->bits[joint / 64] |= (uint64_t)1 << joint % 64;
}

/* The places inside a token, and its characters. */
static void set_joints(unigram_joints *joints, const char *token, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)token;
    for (size_t i = 0; i < n; i++)
        joints->strange[bytes[i]] = 0;
    for (size_t i = 1; i + 1 < n; i++)
        set_joint(joints, bytes[i - 1], bytes[i], bytes[i + 1]);
    /* What follows the last byte is not known; it matters only in tokens that end within a character. */
    for (unsigned next = 0; n > 1 && next < (bytes[n - 1] < 0xC0 ? 1 : 64); next++)
        set_joint(joints, bytes[n - 2], bytes[n - 1], (unsigned char)next);
}

static pm_plugin_code fill_trie(unigram_model *model, const pm_plugin_message *message)
{
    const pm_token_table *table = model->table;
    pm_trie_key *keys = malloc((table->n + 1) * sizeof *keys);
    model->joints = make_joints(model->is_bytes);
    model->characters = calloc(UNIGRAM_CHARACTERS, sizeof *model->characters);
    if (!keys || !model->joints || !model->characters) {
        free(keys);
        return pm_plugin_fail_memory(message, "the trie of tokens");
    }
    size_t n = 0;
    for (size_t i = 0; i < table->n; i++)
        if (is_in_trie(model, i)) {
            size_t size;
            const char *bytes = pm_token_bytes(table, (int32_t)i, &size);
            set_joints(model->joints, bytes, size);
            pm_character c = pm_read_character(bytes, 0, size);
            if (c.length == size && !c.malformed && c.code < UNIGRAM_CHARACTERS)
                model->characters[c.code] = (unigram_value)i + 1;
            keys[n++] = (pm_trie_key){bytes, (uint32_t)size, (uint32_t)i};
        }
    pm_plugin_code code = pm_byte_trie_create(keys, n, &model->trie, message);
    free(keys);
    for (unsigned byte = 0; byte < 256 && code == PM_PLUGIN_OK; byte++) {
        pm_trie_unit unit = pm_trie_next(&model->trie, model->trie.root, (unsigned char)byte);
        int is_token = pm_trie_is_child(unit, (unsigned char)byte) && pm_trie_has_value(unit);
        model->bytes[byte] = is_token ? (uint32_t)unit >> 9 : model->unknown;
    }
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
