/* WordPiece and WordLevel over one trie of all tokens: see wordpiece.h.
 *
 * Continuations are the part of the trie below the prefix, so that words and what continues them are found in the
 * same way. The work for a word is bounded by its length times that of the longest token.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "parts/utf8_read.h"
#include "wordpiece/wordpiece.h"

typedef struct word_model {
    pm_byte_trie trie;
    pm_trie_unit continuation; /* where continuations begin; 0: there are none */
    size_t max_characters;
    int32_t unk; /* or PM_NO_TOKEN */
    int is_bytes;
} word_model;

static void word_model_destroy(void *pointer)
{
    word_model *model = pointer;
    if (!model)
        return;
    pm_byte_trie_destroy(&model->trie);
    free(model);
}

static int is_in_trie(const pm_token_table *table, size_t id)
{
    if (table->offsets[id] == table->offsets[id + 1])
        return 0;
    unsigned kind = table->kinds[id];
    return kind == PM_TOKEN_NORMAL || kind == PM_TOKEN_BYTE ||
           (kind == PM_TOKEN_USER_DEFINED && table->flags[id] & PM_TOKEN_IN_MODEL);
}

static pm_plugin_code fill_trie(word_model *model, const pm_token_table *table, const pm_plugin_message *message)
{
    pm_trie_key *keys = malloc((table->n + 1) * sizeof *keys);
    if (!keys)
        return pm_plugin_fail_memory(message, "the trie of tokens");
    size_t n = 0;
    for (size_t i = 0; i < table->n; i++)
        if (is_in_trie(table, i)) {
            size_t size;
            const char *bytes = pm_token_bytes(table, (int32_t)i, &size);
            keys[n++] = (pm_trie_key){bytes, (uint32_t)size, (uint32_t)i};
        }
    pm_plugin_code code = pm_byte_trie_create(keys, n, &model->trie, message);
    free(keys);
    return code;
}

/* The token with these bytes, of whatever kind. */
static int32_t find_token(const pm_token_table *table, const char *bytes, size_t n)
{
    for (size_t i = 0; i < table->n; i++) {
        size_t size;
        const char *token = pm_token_bytes(table, (int32_t)i, &size);
        if (size == n && n > 0 && memcmp(token, bytes, n) == 0)
            return (int32_t)i;
    }
    return PM_NO_TOKEN;
}

/* A member that is a string; `otherwise` where there is none. */
static const char *text_option(const pm_json *options, const char *key, const char *otherwise, size_t *n)
{
    const pm_json *member = pm_json_member(options, key);
    int is_string = member && member->type == PM_JSON_STRING;
    *n = is_string ? member->n_string : strlen(otherwise);
    return is_string ? member->string : otherwise;
}

static pm_plugin_code fill_model(word_model *model, const pm_model_source *source, int is_wordpiece,
                                 const pm_plugin_message *message)
{
    PM_PLUGIN_TRY(fill_trie(model, source->table, message));
    size_t n;
    model->is_bytes = source->is_bytes;
    model->unk = source->spec->unk;
    if (model->unk == PM_NO_TOKEN) {
        const char *unk = text_option(source->options, "unk_token", "", &n);
        model->unk = find_token(source->table, unk, n);
    }
    if (!is_wordpiece)
        return PM_PLUGIN_OK;
    const char *prefix = text_option(source->options, "continuing_subword_prefix", "##", &n);
    model->continuation = pm_trie_find(&model->trie, model->trie.root, prefix, n);
    double most = pm_json_number(source->options, "max_input_chars_per_word", 100);
    if (!(most >= 0) || most != floor(most))
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "max_input_chars_per_word is %g, not a whole number",
                              most);
    model->max_characters = most < INT32_MAX ? (size_t)most : INT32_MAX;
    return PM_PLUGIN_OK;
}

static pm_plugin_code create_model(const pm_model_source *source, int is_wordpiece, void **out,
                                   const pm_plugin_message *message)
{
    word_model *model = calloc(1, sizeof *model);
    if (!model)
        return pm_plugin_fail_memory(message, "the model");
    pm_plugin_code code = fill_model(model, source, is_wordpiece, message);
    if (code == PM_PLUGIN_OK)
        *out = model;
    else
        word_model_destroy(model);
    return code;
}

static pm_plugin_code wordpiece_create(const pm_model_source *source, void **out, const pm_plugin_message *message)
{
    return create_model(source, 1, out, message);
}

static pm_plugin_code wordlevel_create(const pm_model_source *source, void **out, const pm_plugin_message *message)
{
    return create_model(source, 0, out, message);
}

/* Neither model keeps anything between or during calls. */
static pm_plugin_code no_scratch_create(const void *model, void **scratch, const pm_plugin_message *message)
{
    (void)model;
    (void)message;
    *scratch = NULL;
    return PM_PLUGIN_OK;
}

static void no_scratch_destroy(void *scratch)
{
    (void)scratch;
}

/* ---- Use ---- */

static void emit_unknown(const word_model *model, pm_token_sink *sink)
{
    pm_text_span span = pm_piece_span(sink->piece, 0, sink->piece->n);
    sink->n_unknown_bytes += span.end - span.begin;
    if (model->unk != PM_NO_TOKEN)
        pm_token_emit(sink, model->unk, 0, sink->piece->n);
}

static int is_too_long(const word_model *model, const pm_piece *word)
{
    if (word->n <= model->max_characters)
        return 0;
    if (model->is_bytes)
        return 1;
    size_t n = 0;
    for (size_t at = 0; at < word->n && n <= model->max_characters; n++)
        at += pm_read_character(word->bytes, at, word->n).length;
    return n > model->max_characters;
}

/* The end of the longest token below `unit` that begins at text[at], with its id; `at` where there is none. */
static inline size_t find_longest(const word_model *model, pm_trie_unit unit, const pm_piece *word, size_t at,
                                  int32_t *id)
{
    const pm_byte_trie trie = model->trie;
    const unsigned char *text = (const unsigned char *)word->bytes;
    size_t found = at;
    for (size_t end = at; end < word->n;) {
        unsigned char c = text[end];
        unit = pm_trie_next(&trie, unit, c);
        if (!pm_trie_is_child(unit, c))
            break;
        end++;
        if (pm_trie_has_value(unit)) {
            found = end;
            *id = pm_trie_value(unit);
        }
    }
    return found;
}

static pm_plugin_code wordpiece_encode(const void *pointer, void *scratch, pm_token_sink *sink,
                                       const pm_plugin_message *message)
{
    (void)scratch;
    (void)message;
    const word_model *model = pointer;
    const pm_piece *word = sink->piece;
    size_t n_before = sink->n;
    pm_trie_unit from = model->trie.root;
    if (is_too_long(model, word)) {
        emit_unknown(model, sink);
        return PM_PLUGIN_OK;
    }
    for (size_t at = 0; at < word->n; from = model->continuation) {
        int32_t id = PM_NO_TOKEN;
        size_t end = find_longest(model, from, word, at, &id);
        if (end == at) {
            sink->n = n_before;
            emit_unknown(model, sink);
            break;
        }
        pm_token_emit(sink, id, at, end);
        at = end;
    }
    return PM_PLUGIN_OK;
}

static pm_plugin_code wordlevel_encode(const void *pointer, void *scratch, pm_token_sink *sink,
                                       const pm_plugin_message *message)
{
    (void)scratch;
    (void)message;
    const word_model *model = pointer;
    const pm_piece *word = sink->piece;
    pm_trie_unit unit = pm_trie_find(&model->trie, model->trie.root, word->bytes, word->n);
    if (pm_trie_has_value(unit))
        pm_token_emit(sink, pm_trie_value(unit), 0, word->n);
    else
        emit_unknown(model, sink);
    return PM_PLUGIN_OK;
}

const pm_model_kind wordpiece_kind = {
    .name = "WordPiece",
    .create = wordpiece_create,
    .destroy = word_model_destroy,
    .scratch_create = no_scratch_create,
    .scratch_destroy = no_scratch_destroy,
    .encode = wordpiece_encode,
};

const pm_model_kind wordlevel_kind = {
    .name = "WordLevel",
    .create = wordlevel_create,
    .destroy = word_model_destroy,
    .scratch_create = no_scratch_create,
    .scratch_destroy = no_scratch_destroy,
    .encode = wordlevel_encode,
};
