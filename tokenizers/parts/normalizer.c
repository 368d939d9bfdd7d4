/* Normalisers made from their description, and run: see normalizer.h. Sequences are flattened into a list of
 * steps. */
#include "parts/normalizer.h"

#include <stdlib.h>
#include <string.h>

#include "parts/normalizer_steps.h"

enum { MOST_STEPS = 64, MOST_NESTING = 16 };

struct pm_normalizer {
    normalizer_step steps[MOST_STEPS];
    size_t n;
};

typedef struct normalizer_building {
    pm_normalizer *normalizer;
    const pm_plugin_message *message;
} normalizer_building;

static pm_plugin_code add_step(normalizer_building *b, normalizer_run run, normalizer_step **out)
{
    if (b->normalizer->n == MOST_STEPS)
        return pm_plugin_fail(b->message, PM_PLUGIN_UNSUPPORTED, "the normaliser has more than %d steps",
                              MOST_STEPS);
    *out = &b->normalizer->steps[b->normalizer->n++];
    (*out)->run = run;
    return PM_PLUGIN_OK;
}

static pm_plugin_code copy_string(normalizer_building *b, const pm_json *json, const char *key, char **out,
                                  size_t *n)
{
    const pm_json *member = pm_json_member(json, key);
    if (!member || member->type != PM_JSON_STRING)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the normaliser's '%s' is no text", key);
    *out = malloc(member->n_string + 1);
    if (!*out)
        return pm_plugin_fail_memory(b->message, "a normaliser");
    memcpy(*out, member->string, member->n_string + 1);
    *n = member->n_string;
    return PM_PLUGIN_OK;
}

/* ---- Kinds ---- */

static pm_plugin_code make_form(normalizer_building *b, const char *type)
{
    normalizer_step *step = NULL;
    PM_PLUGIN_TRY(add_step(b, step_unicode_form, &step));
    return step_unicode_form_create(type, step, b->message);
}

static pm_plugin_code make_strip(normalizer_building *b, const pm_json *json)
{
    normalizer_step *step = NULL;
    PM_PLUGIN_TRY(add_step(b, step_strip, &step));
    step->left = pm_json_flag(json, "strip_left", 1);
    step->right = pm_json_flag(json, "strip_right", 1);
    return PM_PLUGIN_OK;
}

static pm_plugin_code make_replace(normalizer_building *b, const pm_json *json)
{
    const pm_json *pattern = pm_json_member(json, "pattern");
    int is_regex = pm_json_member(pattern, "Regex") != NULL;
    normalizer_step *step = NULL;
    PM_PLUGIN_TRY(add_step(b, step_replace, &step));
    PM_PLUGIN_TRY(copy_string(b, json, "content", &step->content, &step->n_content));
    PM_PLUGIN_TRY(copy_string(b, pattern, is_regex ? "Regex" : "String", &step->pattern, &step->n_pattern));
    PM_PLUGIN_TRY(step_replace_create(step, is_regex, b->message));
    if (b->normalizer->n > 1)
        step[-1].is_joined = step_prepend_joins(step - 1, step);
    return PM_PLUGIN_OK;
}

static pm_plugin_code make_bert(normalizer_building *b, const pm_json *json)
{
    normalizer_step *step = NULL;
    int lower = pm_json_flag(json, "lowercase", 1);
    if (pm_json_flag(json, "clean_text", 1))
        PM_PLUGIN_TRY(add_step(b, step_bert_clean, &step));
    if (pm_json_flag(json, "handle_chinese_chars", 1))
        PM_PLUGIN_TRY(add_step(b, step_bert_chinese, &step));
    if (pm_json_flag(json, "strip_accents", lower)) {
        PM_PLUGIN_TRY(make_form(b, "NFD"));
        PM_PLUGIN_TRY(add_step(b, step_bert_accents, &step));
    }
    return lower ? add_step(b, step_lowercase, &step) : PM_PLUGIN_OK;
}

static pm_plugin_code make_precompiled(normalizer_building *b, const pm_json *json)
{
    const pm_json *blob = pm_json_member(json, "precompiled_charsmap");
    normalizer_step *step = NULL;
    PM_PLUGIN_TRY(add_step(b, step_precompiled, &step));
    if (blob && blob->type != PM_JSON_STRING)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the precompiled charsmap is no text");
    return pm_charsmap_create(blob ? blob->string : "", blob ? blob->n_string : 0, &step->charsmap, b->message);
}

static pm_plugin_code make_any(normalizer_building *b, const pm_json *json, int depth);

static pm_plugin_code make_sequence(normalizer_building *b, const pm_json *json, int depth)
{
    const pm_json *list = pm_json_member(json, "normalizers");
    if (depth > MOST_NESTING || (list && list->type != PM_JSON_ARRAY))
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT,
                              "the normaliser's Sequence is no list, or nested too deep");
    for (const pm_json *item = list ? list->first : NULL; item; item = item->next)
        PM_PLUGIN_TRY(make_any(b, item, depth + 1));
    return PM_PLUGIN_OK;
}

static pm_plugin_code make_any(normalizer_building *b, const pm_json *json, int depth)
{
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"};
    const char *type = pm_json_text(json, "type", "");
    normalizer_step *step = NULL;
    for (size_t i = 0; i < 4; i++)
        if (strcmp(type, forms[i]) == 0)
            return make_form(b, type);
    if (strcmp(type, "Sequence") == 0)
        return make_sequence(b, json, depth);
    if (strcmp(type, "Lowercase") == 0)
        return add_step(b, step_lowercase, &step);
    if (strcmp(type, "StripAccents") == 0)
        return add_step(b, step_strip_accents, &step);
    if (strcmp(type, "Strip") == 0)
        return make_strip(b, json);
    if (strcmp(type, "Replace") == 0)
        return make_replace(b, json);
    if (strcmp(type, "Prepend") == 0) {
        PM_PLUGIN_TRY(add_step(b, step_prepend, &step));
        return copy_string(b, json, "prepend", &step->content, &step->n_content);
    }
    if (strcmp(type, "Nmt") == 0)
        return add_step(b, step_nmt, &step);
    if (strcmp(type, "BertNormalizer") == 0)
        return make_bert(b, json);
    if (strcmp(type, "Precompiled") == 0)
        return make_precompiled(b, json);
    if (strcmp(type, "ByteLevel") == 0)
        return add_step(b, step_byte_level, &step);
    if (strcmp(type, "SentencePiece") == 0) {
        PM_PLUGIN_TRY(add_step(b, step_sentencepiece, &step));
        return step_sentencepiece_create(json, step, b->message);
    }
    return pm_plugin_fail(b->message, PM_PLUGIN_UNSUPPORTED, "the normaliser '%.60s' is not known", type);
}

pm_plugin_code pm_normalizer_create(const pm_json *json, pm_normalizer **out, const pm_plugin_message *message)
{
    *out = NULL;
    if (!json || json->type == PM_JSON_NULL)
        return PM_PLUGIN_OK;
    pm_normalizer *made = calloc(1, sizeof *made);
    if (!made)
        return pm_plugin_fail_memory(message, "a normaliser");
    normalizer_building b = {made, message};
    pm_plugin_code code = make_any(&b, json, 0);
    if (code != PM_PLUGIN_OK || made->n == 0) {
        pm_normalizer_destroy(made);
        return code;
    }
    *out = made;
    return PM_PLUGIN_OK;
}

void pm_normalizer_destroy(pm_normalizer *normalizer)
{
    if (!normalizer)
        return;
    for (size_t i = 0; i < normalizer->n; i++) {
        normalizer_step *step = &normalizer->steps[i];
        free(step->pattern);
        free(step->content);
        if (step->regex)
            uregex_close(step->regex);
        pm_charsmap_destroy(step->charsmap);
        step_unicode_form_destroy(step);
        step_sentencepiece_destroy(step);
    }
    free(normalizer);
}

void pm_normalizer_scratch_destroy(pm_normalizer_scratch *scratch)
{
    pm_text_buffer_destroy(&scratch->buffers[0]);
    pm_text_buffer_destroy(&scratch->buffers[1]);
}

pm_plugin_code pm_normalize(const pm_normalizer *normalizer, pm_normalizer_scratch *scratch, const pm_piece *in,
                            int with_origins, pm_piece *out, const pm_plugin_message *message)
{
    pm_piece now = *in;
    int which = 0;
    for (size_t i = 0; normalizer && i < normalizer->n; i++) {
        const normalizer_step *step = &normalizer->steps[i];
        pm_text_buffer *buffer = &scratch->buffers[which];
        int same = 0;
        if (step->is_joined)
            continue;
        int done = step->run(step, &now, buffer, with_origins, &same);
        if (done == STEP_REGEX_FAILED)
            return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED,
                                  "the normaliser's regular expression '%.60s' takes too "
                                  "long for a text of %zu bytes",
                                  step->pattern, now.n);
        if (!done)
            return pm_plugin_fail_memory(message, "the normalised text");
        if (same)
            continue;
        now = pm_text_buffer_piece(buffer, in);
        which = !which;
    }
    *out = now;
    return PM_PLUGIN_OK;
}
