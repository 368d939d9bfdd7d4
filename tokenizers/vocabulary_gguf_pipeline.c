/* How text becomes what the model of a GGUF file sees, in the language of tokenizer.json.
 *
 * Files say little of it: the name of a pre-tokenizer for byte-level vocabularies (gguf_pre_tokenizers.h knows
 * what each stands for), a few flags for the others. The rest belongs to the kind of tokenizer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "pipeline_writer.h"
#include "vocabulary_gguf.h"

static void write_flag(const gguf_reading *r, const char *name, int flag)
{
    pm_json_write(&r->out->pipeline, ",\"");
    pm_json_write(&r->out->pipeline, name);
    pm_json_write(&r->out->pipeline, flag ? "\":true" : "\":false");
}

static int has_byte_tokens(const gguf_reading *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->entries[i].kind == PM_TOKEN_BYTE)
            return 1;
    return 0;
}

static void write_model(const gguf_reading *r, const char *type)
{
    const pm_tokenizer_spec *spec = &r->out->spec;
    pm_json_writer *pipeline = &r->out->pipeline;
    size_t bad;
    pm_json_write(pipeline, "{\"model\":{\"type\":\"");
    pm_json_write(pipeline, type);
    pm_json_write(pipeline, "\"");
    if (spec->unk != PM_NO_TOKEN) {
        const pm_vocab_entry *unk = &r->entries[spec->unk];
        pm_json_write(pipeline, ",\"unk_id\":");
        pm_json_write_integer(pipeline, spec->unk);
        if (pm_utf8_check(unk->bytes, unk->n_bytes, &bad)) {
            pm_json_write(pipeline, ",\"unk_token\":");
            pm_json_write_string(pipeline, unk->bytes, unk->n_bytes);
        }
    }
}

/* As LLaMA's tokenizer.json says it: every stretch of text starts with a space, spaces are U+2581. */
static void write_llama(const gguf_reading *r)
{
    int has_prefix = r->adds_space_prefix;
    write_model(r, "BPE");
    write_flag(r, "fuse_unk", 1);
    write_flag(r, "byte_fallback", has_byte_tokens(r));
    pm_json_write(&r->out->pipeline, "},\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    if (has_prefix)
        pm_json_write(&r->out->pipeline, "{\"type\":\"Prepend\",\"prepend\":\"\xE2\x96\x81\"},");
    pm_json_write(&r->out->pipeline,
                  "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}]}");
    pm_pipeline_write_metaspace_decoder(r->out, has_prefix, NULL, 0);
}

/* The charsmap is an array of bytes, signed or not. */
static pm_status write_charsmap(const gguf_reading *r)
{
    const pm_gguf_entry *map = pm_gguf_find(r->file, KEY("precompiled_charsmap"));
    if (!map || map->count == 0)
        return PM_OK;
    if (map->type != PM_GGUF_ARRAY || (map->elem_type != PM_GGUF_UINT8 && map->elem_type != PM_GGUF_INT8))
        return gguf_fail_key(r, PM_ERR_FORMAT, KEY("precompiled_charsmap"), "is no array of bytes");
    char *bytes = pm_vocabulary_bytes(r->out, (size_t)map->count);
    if (!bytes)
        return pm_fail_memory(r->err, (size_t)map->count, "a charsmap");
    for (size_t i = 0; i < map->count; i++) {
        int64_t value = 0;
        PM_TRY(pm_gguf_elem_i64(r->file, map, i, &value, r->err));
        bytes[i] = (char)(uint8_t)value;
    }
    pm_json_write(&r->out->pipeline, ",\"precompiled_charsmap\":");
    pm_json_write_base64(&r->out->pipeline, (const unsigned char *)bytes, (size_t)map->count);
    return PM_OK;
}

static pm_status write_t5(const gguf_reading *r)
{
    int has_prefix = r->adds_space_prefix;
    int removes_spaces = 0;
    if (r->out->spec.unk == PM_NO_TOKEN)
        return gguf_fail_key(r, PM_ERR_FORMAT, KEY("unknown_token_id"),
                             "is missing, and a Unigram model needs it");
    PM_TRY(gguf_read_setting(r, KEY("remove_extra_whitespaces"), &removes_spaces));
    write_model(r, "Unigram");
    write_flag(r, "fuse_unk", 1);
    write_flag(r, "sentencepiece", 1);
    write_flag(r, "byte_fallback", has_byte_tokens(r));
    pm_json_write(&r->out->pipeline, "},\"normalizer\":{\"type\":\"SentencePiece\"");
    write_flag(r, "add_dummy_prefix", has_prefix);
    write_flag(r, "remove_extra_whitespaces", removes_spaces);
    write_flag(r, "escape_whitespaces", 1);
    write_flag(r, "treat_whitespace_as_suffix", 0);
    PM_TRY(write_charsmap(r));
    pm_json_write(&r->out->pipeline, "}");
    pm_pipeline_write_metaspace_decoder(r->out, removes_spaces ? INT32_MAX : has_prefix, NULL, 0);
    return PM_OK;
}

static pm_status write_bert(const gguf_reading *r)
{
    int lowercase = 1, strip_accents = -1;
    if (r->out->spec.unk == PM_NO_TOKEN)
        return gguf_fail_key(r, PM_ERR_FORMAT, KEY("unknown_token_id"),
                             "is missing, and a WordPiece model needs it");
    PM_TRY(gguf_read_setting(r, KEY("normalizer.lowercase"), &lowercase));
    PM_TRY(gguf_read_setting(r, KEY("normalizer.strip_accents"), &strip_accents));
    write_model(r, "WordPiece");
    pm_json_write(&r->out->pipeline, ",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100},"
                                     "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
                                     "\"handle_chinese_chars\":true");
    if (strip_accents < 0)
        pm_json_write(&r->out->pipeline, ",\"strip_accents\":null");
    else
        write_flag(r, "strip_accents", strip_accents);
    write_flag(r, "lowercase", lowercase);
    pm_json_write(&r->out->pipeline, "},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
                                     "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}");
    return PM_OK;
}

static void write_split(pm_json_writer *splits, const char *expression)
{
    pm_json_write(splits, splits->n > 0 ? ",{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                                        : "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
    pm_json_write_string(splits, expression, strlen(expression));
    pm_json_write(splits, "},\"behavior\":\"Isolated\",\"invert\":false}");
}

static pm_status write_byte_level(const gguf_reading *r)
{
    const pm_gguf_pre_tokenizer *pre = r->pre_tokenizer;
    pm_json_writer *pipeline = &r->out->pipeline, splits = {0};
    write_model(r, "BPE");
    write_flag(r, "ignore_merges", pre->ignore_merges);
    pm_json_write(pipeline, "}");
    if (pre->normalizer) {
        pm_json_write(pipeline, ",\"normalizer\":{\"type\":\"");
        pm_json_write(pipeline, pre->normalizer);
        pm_json_write(pipeline, "\"}");
    }
    if (pre->single_digits)
        pm_json_write(&splits, "{\"type\":\"Digits\",\"individual_digits\":true}");
    for (size_t i = 0; i < sizeof pre->splits / sizeof pre->splits[0] && pre->splits[i]; i++)
        write_split(&splits, pre->splits[i]);
    pm_json_write_bytes(&splits, "", 1);
    pm_pipeline_write_byte_level(r->out, splits.failed ? NULL : splits.bytes, pre->use_regex);
    pipeline->failed |= splits.failed;
    free(splits.bytes);
    return PM_OK;
}

pm_status gguf_write_pipeline(gguf_reading *r)
{
    const pm_tokenizer_spec *spec = &r->out->spec;
    int32_t begin = spec->flags & PM_SPEC_ADD_BOS ? spec->bos : PM_NO_TOKEN;
    int32_t end = spec->flags & PM_SPEC_ADD_EOS ? spec->eos : PM_NO_TOKEN;
    switch (r->kind) {
    case GGUF_BYTE_LEVEL:
        PM_TRY(write_byte_level(r));
        break;
    case GGUF_LLAMA:
        write_llama(r);
        break;
    case GGUF_T5:
        PM_TRY(write_t5(r));
        break;
    case GGUF_BERT:
        PM_TRY(write_bert(r));
        break;
    }
    pm_pipeline_write_template(r->out, begin, end, r->kind != GGUF_BERT);
    pm_json_write(&r->out->pipeline, "}");
    return PM_OK;
}
