/* The tokenizer.json that training ends in: the parts around the model, and the model. See train.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gguf_pre_tokenizers.h"
#include "parts/json_reader.h"
#include "training/train.h"

static const char *const part_names[] = {"normalizer", "pre_tokenizer", "post_processor", "decoder"};
enum { N_PARTS = sizeof part_names / sizeof part_names[0] };

/* ---- The parts around the model ---- */

const char *train_unknown_token(const pm_train_options *o)
{
    switch (o->type) {
    case PM_TRAIN_UNIGRAM:
        return "<unk>";
    case PM_TRAIN_WORDPIECE:
    case PM_TRAIN_WORDLEVEL:
        return "[UNK]";
    case PM_TRAIN_BPE:
        break;
    }
    return o->byte_fallback ? "<unk>" : NULL;
}

static void write_metaspace_parts(const pm_train_options *o, pm_json_writer *out)
{
    pm_json_write(out, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"}");
    if (o->lowercase)
        pm_json_write(out, ",{\"type\":\"Lowercase\"}");
    pm_json_write(
        out, ",{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}]},"
             "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\","
             "\"split\":true},\"post_processor\":null,\"decoder\":");
    pm_json_write(
        out,
        o->byte_fallback
            ? "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},"
              "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\","
              "\"content\":\" \",\"start\":1,\"stop\":0}]}}"
            : "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":true}}");
}

static void write_split(pm_json_writer *out, const char *regex)
{
    pm_json_write(out, "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
    pm_json_write_string(out, regex, strlen(regex));
    pm_json_write(out, "},\"behavior\":\"Isolated\",\"invert\":false},");
}

static void write_byte_level_parts(const pm_train_options *o, pm_json_writer *out)
{
    static const pm_gguf_pre_tokenizer gpt2 = {.use_regex = 1};
    const pm_gguf_pre_tokenizer own = {.splits = {o->pattern}}, *named = &gpt2;
    if (o->pattern)
        named = pm_gguf_pre_tokenizer_find(o->pattern) ? pm_gguf_pre_tokenizer_find(o->pattern) : &own;
    pm_json_write(out, "{\"normalizer\":");
    if (named->normalizer && !o->lowercase)
        pm_json_write(out, "{\"type\":\"NFC\"}");
    else if (named->normalizer)
        pm_json_write(out,
                      "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}");
    else
        pm_json_write(out, o->lowercase ? "{\"type\":\"Lowercase\"}" : "null");
    pm_json_write(out, ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[");
    if (named->single_digits)
        pm_json_write(out, "{\"type\":\"Digits\",\"individual_digits\":true},");
    for (size_t i = 0; i < sizeof named->splits / sizeof named->splits[0] && named->splits[i]; i++)
        write_split(out, named->splits[i]);
    pm_json_write(out, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":");
    pm_json_write(out, named->use_regex ? "true}]}" : "false}]}");
    pm_json_write(out,
                  ",\"post_processor\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":false,"
                  "\"use_regex\":true},\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
                  "\"trim_offsets\":true,\"use_regex\":true}}");
}

static void write_special_item(pm_json_writer *out, const char *token, int type_id)
{
    pm_json_write(out, "{\"SpecialToken\":{\"id\":");
    pm_json_write_string(out, token, strlen(token));
    pm_json_write(out, type_id ? ",\"type_id\":1}}" : ",\"type_id\":0}}");
}

/* [CLS] text [SEP], and [CLS] text [SEP] pair [SEP]. */
static void write_bert_template(pm_json_writer *out, uint32_t cls, uint32_t sep)
{
    static const char *const names[] = {"[CLS]", "[SEP]"};
    const uint32_t ids[] = {cls, sep};
    pm_json_write(out, "{\"type\":\"TemplateProcessing\",");
    for (int pair = 0; pair < 2; pair++) {
        pm_json_write(out, pair ? "\"pair\":[" : "\"single\":[");
        write_special_item(out, names[0], 0);
        pm_json_write(out, ",{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},");
        write_special_item(out, names[1], 0);
        if (pair) {
            pm_json_write(out, ",{\"Sequence\":{\"id\":\"B\",\"type_id\":1}},");
            write_special_item(out, names[1], 1);
        }
        pm_json_write(out, "],");
    }
    pm_json_write(out, "\"special_tokens\":{");
    for (int i = 0; i < 2; i++) {
        pm_json_write(out,
                      i ? "},\"[SEP]\":{\"id\":\"[SEP]\",\"ids\":[" : "\"[CLS]\":{\"id\":\"[CLS]\",\"ids\":[");
        pm_json_write_integer(out, ids[i]);
        pm_json_write(out, i ? "],\"tokens\":[\"[SEP]\"]" : "],\"tokens\":[\"[CLS]\"]");
    }
    pm_json_write(out, "}}}");
}

static void write_bert_parts(const pm_train_options *o, const train_vocabulary *v, pm_json_writer *out)
{
    uint32_t cls = train_find(v, "[CLS]", 5), sep = train_find(v, "[SEP]", 5);
    pm_json_write(out,
                  "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
                  "\"strip_accents\":null,\"lowercase\":");
    pm_json_write(out, o->lowercase ? "true}" : "false}");
    pm_json_write(out, ",\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":");
    if (cls != TRAIN_NO_TOKEN && sep != TRAIN_NO_TOKEN)
        write_bert_template(out, cls, sep);
    else
        pm_json_write(out, "null");
    pm_json_write(out, ",\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}}");
}

/* The four parts of a tokenizer.json, as they are written there; what it lacks is null. */
static pm_status take_settings(const train_run *run, pm_json_writer *out)
{
    const pm_train_options *o = run->options;
    size_t begin[N_PARTS] = {0}, end[N_PARTS] = {0};
    pm_json_reader reader;
    pm_json_reader_start(&reader, o->settings, o->n_settings);
    pm_json_event event = pm_json_next(&reader);
    if (event != PM_JSON_EVENT_OBJECT)
        return pm_fail(run->err, PM_ERR_FORMAT, "the settings are no JSON object");
    while ((event = pm_json_next(&reader)) == PM_JSON_EVENT_KEY) {
        size_t which = 0, from, to;
        while (which < N_PARTS && (strlen(part_names[which]) != reader.n_string ||
                                   memcmp(part_names[which], reader.string, reader.n_string) != 0))
            which++;
        if (pm_json_skip_value(&reader, &from, &to) == PM_JSON_EVENT_ERROR)
            break;
        if (which < N_PARTS) {
            begin[which] = from;
            end[which] = to;
        }
    }
    if (reader.error)
        return pm_fail(run->err, PM_ERR_FORMAT, "the settings are malformed JSON at byte %zu: %s", reader.at,
                       reader.error);
    for (size_t i = 0; i < N_PARTS; i++) {
        pm_json_write(out, i ? ",\"" : "{\"");
        pm_json_write(out, part_names[i]);
        pm_json_write(out, "\":");
        if (end[i] > begin[i])
            pm_json_write_bytes(out, o->settings + begin[i], end[i] - begin[i]);
        else
            pm_json_write(out, "null");
    }
    pm_json_write(out, "}");
    return PM_OK;
}

pm_status train_describe(const train_run *run, const train_vocabulary *v, pm_json_writer *out)
{
    const pm_train_options *o = run->options;
    if (o->settings)
        PM_TRY(take_settings(run, out));
    else if (o->type == PM_TRAIN_UNIGRAM || (o->type == PM_TRAIN_BPE && o->byte_fallback))
        write_metaspace_parts(o, out);
    else if (o->type == PM_TRAIN_BPE)
        write_byte_level_parts(o, out);
    else if (o->type == PM_TRAIN_WORDPIECE)
        write_bert_parts(o, v, out);
    else
        pm_json_write(out,
                      o->lowercase
                          ? "{\"normalizer\":{\"type\":\"Lowercase\"},\"pre_tokenizer\":{\"type\":\"Whitespace\"},"
                            "\"post_processor\":null,\"decoder\":null}"
                          : "{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Whitespace\"},"
                            "\"post_processor\":null,\"decoder\":null}");
    return out->failed ? pm_fail_memory(run->err, out->n, "the description of a tokenizer") : PM_OK;
}

/* ---- The model ---- */

static void write_added_tokens(const train_vocabulary *v, pm_json_writer *out)
{
    for (size_t i = 0; i < v->n_special; i++) {
        pm_json_write(out, i ? ",\n    {\"id\":" : "\n    {\"id\":");
        pm_json_write_integer(out, (long long)i);
        pm_json_write(out, ",\"content\":");
        pm_json_write_string(out, v->tokens[i].bytes, v->tokens[i].n);
        pm_json_write(
            out,
            ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}");
    }
}

static void write_ids(const train_vocabulary *v, pm_json_writer *out)
{
    pm_json_write(out, "\"vocab\":{");
    for (size_t i = 0; i < v->n; i++) {
        pm_json_write(out, i ? ",\n      " : "\n      ");
        pm_json_write_string(out, v->tokens[i].bytes, v->tokens[i].n);
        pm_json_write(out, ":");
        pm_json_write_integer(out, (long long)i);
    }
    pm_json_write(out, "\n    }");
}

static void write_merges(const train_vocabulary *v, pm_json_writer *out)
{
    pm_json_write(out, ",\"merges\":[");
    for (size_t i = 0; i < v->n_merges; i++) {
        const train_token *left = &v->tokens[v->merges[i].left], *right = &v->tokens[v->merges[i].right];
        pm_json_write(out, i ? ",\n      [" : "\n      [");
        pm_json_write_string(out, left->bytes, left->n);
        pm_json_write(out, ",");
        pm_json_write_string(out, right->bytes, right->n);
        pm_json_write(out, "]");
    }
    pm_json_write(out, "\n    ]");
}

static void write_scores(const train_vocabulary *v, pm_json_writer *out)
{
    pm_json_write(out, "\"vocab\":[");
    for (size_t i = 0; i < v->n; i++) {
        char number[40];
        pm_json_write(out, i ? ",\n      [" : "\n      [");
        pm_json_write_string(out, v->tokens[i].bytes, v->tokens[i].n);
        snprintf(number, sizeof number, ",%.17g]", v->tokens[i].score);
        pm_json_write(out, number);
    }
    pm_json_write(out, "\n    ]");
}

static void write_model(const pm_train_options *o, const train_vocabulary *v, pm_json_writer *out)
{
    const char *unknown = train_unknown_token(o);
    const char *fallback = o->byte_fallback ? "true" : "false";
    switch (o->type) {
    case PM_TRAIN_BPE:
        pm_json_write(out, "{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":");
        pm_json_write(out, unknown ? "\"<unk>\"" : "null");
        pm_json_write(out, ",\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":");
        pm_json_write(out, unknown ? "true" : "false");
        pm_json_write(out, ",\"byte_fallback\":");
        pm_json_write(out, fallback);
        pm_json_write(out, ",\"ignore_merges\":false,");
        write_ids(v, out);
        write_merges(v, out);
        break;
    case PM_TRAIN_UNIGRAM:
        pm_json_write(out, "{\"type\":\"Unigram\",\"unk_id\":");
        pm_json_write_integer(out, train_find(v, unknown, strlen(unknown)));
        pm_json_write(out, ",\"byte_fallback\":");
        pm_json_write(out, fallback);
        pm_json_write(out, ",");
        write_scores(v, out);
        break;
    case PM_TRAIN_WORDPIECE:
        pm_json_write(out, "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
                           "\"max_input_chars_per_word\":100,");
        write_ids(v, out);
        break;
    case PM_TRAIN_WORDLEVEL:
        pm_json_write(out, "{\"type\":\"WordLevel\",\"unk_token\":\"[UNK]\",");
        write_ids(v, out);
        break;
    }
    pm_json_write(out, "}");
}

/* ---- The file ---- */

static pm_status write_file(const train_run *run, const pm_json_writer *text, const char *path)
{
    size_t size = strlen(path) + 32;
    char *temporary = malloc(size);
    if (!temporary)
        return pm_fail_memory(run->err, size, "a file's name");
    snprintf(temporary, size, "%s.%ld.part", path, (long)getpid());
    FILE *file = fopen(temporary, "wb");
    int good = file && fwrite(text->bytes, 1, text->n, file) == text->n;
    good = (!file || fclose(file) == 0) && good && rename(temporary, path) == 0;
    pm_status status =
        good ? PM_OK : pm_fail(run->err, PM_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    if (!good && file)
        remove(temporary);
    free(temporary);
    return status;
}

pm_status train_write(const train_run *run, const train_vocabulary *v, const char *path)
{
    pm_json_writer out = {0};
    pm_json_write(&out, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n  \"added_tokens\":[");
    write_added_tokens(v, &out);
    pm_json_write(&out, "\n  ],\n  ");
    pm_json_write_bytes(&out, run->description + 1, run->n_description - 2); /* without its braces */
    pm_json_write(&out, ",\n  \"model\":");
    write_model(run->options, v, &out);
    pm_json_write(&out, "\n}\n");
    pm_status status =
        out.failed ? pm_fail_memory(run->err, out.n, "tokenizer.json") : write_file(run, &out, path);
    free(out.bytes);
    return status;
}
