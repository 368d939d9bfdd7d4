/* BERT's vocab.txt: a token a line, its id being the line's number from 0.
 *
 * Source: Devlin et al. 2018, the released code (tokenization.py), in the terms of Hugging Face's
 * BertTokenizerFast: what is cased, stripped of accents and cut into Chinese characters is in
 * tokenizer_config.json beside the list.
 */
#include <string.h>

#include "base/error.h"
#include "pipeline_writer.h"
#include "vocabulary.h"

/* The line without its end, and where the next one starts. */
static size_t line_length(const char *text, size_t n, size_t *next)
{
    const char *end = memchr(text, '\n', n);
    size_t length = end ? (size_t)(end - text) : n;
    *next = end ? length + 1 : length;
    return length > 0 && text[length - 1] == '\r' ? length - 1 : length;
}

static int is_special(const char *name, size_t n)
{
    static const char *const names[] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
            return 1;
    return 0;
}

static pm_status read_lines(pm_vocabulary *v, const char *text, size_t n, pm_error *err)
{
    size_t next;
    for (size_t at = 0; at < n; at += next) {
        size_t id = v->spec.n_entries, length = line_length(text + at, n - at, &next);
        if (length > INT32_MAX)
            return pm_fail(err, PM_ERR_LIMIT, "%s: line %zu is too long", v->spec.source, id + 1);
        PM_TRY(pm_vocabulary_extend(v, id + 1, err));
        v->entries[id] =
            (pm_vocab_entry){.bytes = text + at, .n_bytes = (uint32_t)length, .kind = PM_TOKEN_NORMAL};
        if (is_special(text + at, length)) {
            v->entries[id].kind = PM_TOKEN_CONTROL;
            v->entries[id].flags = PM_TOKEN_IN_MODEL;
        }
    }
    return PM_OK;
}

/* The special token that the configuration names, or else the usual one. */
static int32_t find_token(const pm_vocabulary *v, const pm_json *config, const char *key, const char *usual)
{
    const pm_json *token = pm_json_member(config, key);
    if (token && token->type == PM_JSON_OBJECT)
        token = pm_json_member(token, "content");
    if (token && token->type == PM_JSON_STRING)
        return pm_vocabulary_search(v, token->string, token->n_string);
    return pm_vocabulary_search(v, usual, strlen(usual));
}

static const char *flag_text(const pm_json *config, const char *key, int otherwise)
{
    return pm_json_flag(config, key, otherwise) ? "true" : "false";
}

static void write_pipeline(pm_vocabulary *v, const pm_json *config)
{
    pm_json_writer *pipeline = &v->pipeline;
    const pm_vocab_entry *unk = &v->entries[v->spec.unk];
    const pm_json *strip = pm_json_member(config, "strip_accents");
    pm_json_write(pipeline, "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":");
    pm_json_write_string(pipeline, unk->bytes, unk->n_bytes);
    pm_json_write(pipeline, ",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100}");
    pm_json_write(pipeline, ",\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true");
    pm_json_write(pipeline, ",\"handle_chinese_chars\":");
    pm_json_write(pipeline, flag_text(config, "tokenize_chinese_chars", 1));
    pm_json_write(pipeline, ",\"strip_accents\":");
    pm_json_write(pipeline, strip ? flag_text(config, "strip_accents", 0) : "null");
    pm_json_write(pipeline, ",\"lowercase\":");
    pm_json_write(pipeline, flag_text(config, "do_lower_case", 1));
    pm_json_write(pipeline, "},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}");
    pm_pipeline_write_template(v, v->spec.cls, v->spec.sep, 0);
    pm_json_write(pipeline, ",\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}}");
}

pm_status pm_vocabulary_read_wordlist(pm_vocabulary *out, const char *text, size_t n, const pm_json *config,
                                      pm_error *err)
{
    pm_tokenizer_spec *spec = &out->spec;
    PM_TRY(read_lines(out, text, n, err));
    spec->model = "wordpiece";
    spec->alphabet = PM_ALPHABET_CHARACTERS;
    spec->unk = find_token(out, config, "unk_token", "[UNK]");
    spec->sep = find_token(out, config, "sep_token", "[SEP]");
    spec->pad = find_token(out, config, "pad_token", "[PAD]");
    spec->cls = find_token(out, config, "cls_token", "[CLS]");
    spec->mask = find_token(out, config, "mask_token", "[MASK]");
    if (spec->unk == PM_NO_TOKEN)
        return pm_fail(err, PM_ERR_FORMAT, "%s: the word list has no unknown token such as [UNK]", spec->source);
    const int32_t special[] = {spec->unk, spec->sep, spec->pad, spec->cls, spec->mask};
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        if (special[i] != PM_NO_TOKEN) {
            out->entries[special[i]].kind = PM_TOKEN_CONTROL;
            out->entries[special[i]].flags = PM_TOKEN_IN_MODEL;
        }
    spec->bos = spec->cls;
    spec->eos = spec->sep;
    spec->flags =
        (spec->bos != PM_NO_TOKEN ? PM_SPEC_ADD_BOS : 0) | (spec->eos != PM_NO_TOKEN ? PM_SPEC_ADD_EOS : 0);
    write_pipeline(out, config);
    return pm_vocabulary_finish(out, err);
}
