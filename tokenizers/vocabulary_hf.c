/* A tokenizer.json of Hugging Face's tokenizers.
 *
 * One pass over the document: small parts are remembered as stretches of its text, the model's vocabulary and
 * merges are read where they stand (vocabulary_hf_model.c). What a part needs of one that stands behind it, such
 * as the vocabulary of the pre-tokenizer, makes it wait for the end; files as Hugging Face writes them have none
 * such. The description of the pipeline is these stretches, put together anew.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "vocabulary_hf.h"

pm_status hf_fail_json(const hf_reading *r, const pm_json_reader *reader, const char *expected)
{
    if (reader->error)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: malformed JSON at byte %zu: %s", r->path, reader->at,
                       reader->error);
    return pm_fail(r->err, PM_ERR_FORMAT, "%s: %s is expected at byte %zu", r->path, expected, reader->value_at);
}

pm_status hf_parse(const hf_reading *r, hf_slice slice, const char *what, pm_json_tree **out)
{
    char text[300] = "";
    pm_plugin_message message = {text, sizeof text};
    *out = NULL;
    if (slice.begin == slice.end)
        slice = (hf_slice){0, 0};
    pm_plugin_code code = slice.end == 0
                              ? pm_json_tree_parse("null", 4, out, &message)
                              : pm_json_tree_parse(r->text + slice.begin, slice.end - slice.begin, out, &message);
    if (code == PM_PLUGIN_MEMORY)
        return pm_fail_memory(r->err, slice.end - slice.begin, what);
    if (code != PM_PLUGIN_OK)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: %s: %s", r->path, what, text);
    return PM_OK;
}

static int is_key(const pm_json_reader *reader, const char *name)
{
    return reader->n_string == strlen(name) && memcmp(reader->string, name, reader->n_string) == 0;
}

static pm_status skip(const hf_reading *r, pm_json_reader *reader, hf_slice *slice)
{
    if (pm_json_skip_value(reader, &slice->begin, &slice->end) == PM_JSON_EVENT_ERROR)
        return hf_fail_json(r, reader, "a value");
    return PM_OK;
}

/* ---- The model ---- */

/* Keeps a member of the model for the pipeline. */
static pm_status keep_option(hf_reading *r, pm_json_reader *reader)
{
    hf_slice key = {reader->value_at, reader->value_at + reader->n_string + 2}, value;
    int is_prefix = is_key(reader, "continuing_subword_prefix");
    PM_TRY(skip(r, reader, &value));
    if (r->options.n > 0)
        pm_json_write(&r->options, ",");
    pm_json_write_bytes(&r->options, r->text + key.begin, key.end - key.begin);
    pm_json_write(&r->options, ":");
    pm_json_write_bytes(&r->options, r->text + value.begin, value.end - value.begin);
    if (is_prefix) {
        pm_json_tree *tree;
        PM_TRY(hf_parse(r, value, "the model's continuing_subword_prefix", &tree));
        const pm_json *prefix = pm_json_root(tree);
        r->prefix = prefix->type == PM_JSON_STRING ? prefix->n_string : 0;
        pm_json_tree_destroy(tree);
    }
    return PM_OK;
}

static pm_status read_member(hf_reading *r, pm_json_reader *reader)
{
    if (is_key(reader, "vocab")) {
        if (r->has_vocab)
            return pm_fail(r->err, PM_ERR_FORMAT, "%s: the model has two vocabularies", r->path);
        return hf_read_vocabulary(r, reader);
    }
    if (!is_key(reader, "merges"))
        return keep_option(r, reader);
    if (!r->has_vocab || r->has_merges)
        return skip(r, reader, &r->merges);
    r->merges.begin = reader->at;
    PM_TRY(hf_read_merges(r, reader));
    r->merges.end = reader->at;
    return PM_OK;
}

/* Merges that could not be read where they stand. */
static pm_status read_late_merges(hf_reading *r)
{
    int is_done = r->has_merges && r->prefix == r->prefix_of_merges;
    if (is_done || r->merges.begin == r->merges.end)
        return PM_OK;
    pm_json_reader reader;
    pm_json_reader_start(&reader, r->text, r->merges.end);
    reader.at = r->merges.begin;
    return hf_read_merges(r, &reader);
}

/* The reader is before the model's value. */
static pm_status read_model(hf_reading *r, pm_json_reader *reader)
{
    if (pm_json_next(reader) != PM_JSON_EVENT_OBJECT)
        return hf_fail_json(r, reader, "the model, an object,");
    for (;;) {
        pm_json_event event = pm_json_next(reader);
        if (event == PM_JSON_EVENT_END)
            break;
        if (event != PM_JSON_EVENT_KEY)
            return hf_fail_json(r, reader, "a member of the model");
        PM_TRY(read_member(r, reader));
    }
    if (!r->has_vocab)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the model has no vocabulary", r->path);
    return read_late_merges(r);
}

/* ---- Added tokens ---- */

static uint8_t flags_of(const pm_json *token)
{
    return (uint8_t)((pm_json_flag(token, "lstrip", 0) ? PM_TOKEN_LSTRIP : 0) |
                     (pm_json_flag(token, "rstrip", 0) ? PM_TOKEN_RSTRIP : 0) |
                     (pm_json_flag(token, "single_word", 0) ? PM_TOKEN_SINGLE_WORD : 0) |
                     (pm_json_flag(token, "normalized", 0) ? PM_TOKEN_NORMALIZED : 0));
}

/* Where the added token goes: to the model's token of the same text, else to the id that the file gives it. */
static pm_status place_added(const hf_reading *r, const pm_json *token, const pm_json *content, size_t *id)
{
    pm_vocabulary *v = r->out;
    double number = pm_json_number(token, "id", -1);
    if (number < 0 || number > (double)r->n + (double)v->spec.n_entries || number != (double)(size_t)number)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: an added token has no id, or a strange one", r->path);
    *id = (size_t)number;
    const pm_vocab_entry *e = *id < v->spec.n_entries ? &v->entries[*id] : NULL;
    int is_free = !e || (e->kind == PM_TOKEN_UNUSED && e->n_bytes == 0);
    int is_same = e && e->n_bytes == content->n_string && memcmp(e->bytes, content->string, e->n_bytes) == 0;
    if (is_same || is_free)
        return PM_OK;
    int32_t other = pm_vocabulary_search(v, content->string, content->n_string);
    char shown[60];
    if (other == PM_NO_TOKEN)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the added token %s has the id %zu of another token", r->path,
                       pm_quote(content->string, content->n_string, shown, sizeof shown), *id);
    *id = (size_t)other;
    return PM_OK;
}

static pm_status add_token(const hf_reading *r, const pm_json *token)
{
    pm_vocabulary *v = r->out;
    const pm_json *content = pm_json_member(token, "content");
    size_t id = 0;
    if (!content || content->type != PM_JSON_STRING || content->n_string > INT32_MAX)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: an added token has no content", r->path);
    if (content->n_string == 0)
        return PM_OK; /* as Hugging Face does */
    PM_TRY(place_added(r, token, content, &id));
    PM_TRY(pm_vocabulary_extend(v, id + 1, r->err));
    pm_vocab_entry *e = &v->entries[id];
    int in_model = e->kind == PM_TOKEN_NORMAL || (e->flags & PM_TOKEN_IN_MODEL) != 0;
    if (e->n_bytes == 0) {
        char *bytes = pm_vocabulary_bytes(v, content->n_string);
        if (!bytes)
            return pm_fail_memory(r->err, content->n_string, "an added token");
        memcpy(bytes, content->string, content->n_string);
        e->bytes = bytes;
        e->n_bytes = (uint32_t)content->n_string;
    }
    e->kind = pm_json_flag(token, "special", 0) ? PM_TOKEN_CONTROL : PM_TOKEN_USER_DEFINED;
    e->flags = (uint8_t)(flags_of(token) | (in_model ? PM_TOKEN_IN_MODEL : 0));
    return PM_OK;
}

static pm_status read_added(const hf_reading *r)
{
    pm_json_tree *tree;
    PM_TRY(hf_parse(r, r->added_tokens, "added_tokens", &tree));
    const pm_json *list = pm_json_root(tree);
    pm_status status = PM_OK;
    if (list->type != PM_JSON_ARRAY && list->type != PM_JSON_NULL)
        status = pm_fail(r->err, PM_ERR_FORMAT, "%s: added_tokens is no array", r->path);
    for (const pm_json *token = list->first; token && status == PM_OK; token = token->next)
        status = add_token(r, token);
    pm_json_tree_destroy(tree);
    return status;
}

/* ---- What the model's options say of the entries ---- */

static void mark_bytes(pm_vocabulary *v)
{
    for (size_t i = 0; i < v->spec.n_entries; i++) {
        pm_vocab_entry *e = &v->entries[i];
        int byte = e->kind == PM_TOKEN_NORMAL ? pm_byte_of_name(e->bytes, e->n_bytes) : -1;
        if (byte < 0)
            continue;
        e->kind = PM_TOKEN_BYTE;
        e->byte = (uint8_t)byte;
        e->flags = PM_TOKEN_IN_MODEL;
    }
}

/* The kind of a model in a file that does not say it: by what only one kind has. */
static const char *guess_type(const hf_reading *r, const pm_json *options)
{
    if (r->has_merges)
        return "BPE";
    if (r->vocab_is_list)
        return "Unigram";
    int is_wordpiece = pm_json_member(options, "continuing_subword_prefix") != NULL ||
                       pm_json_member(options, "max_input_chars_per_word") != NULL;
    return is_wordpiece ? "WordPiece" : "WordLevel";
}

static pm_status apply_options(hf_reading *r, const pm_json *options)
{
    static const struct {
        const char *type, *plugin;
        int is_list;
    } kinds[] = {{"BPE", "bpe", 0},
                 {"Unigram", "unigram", 1},
                 {"WordPiece", "wordpiece", 0},
                 {"WordLevel", "wordpiece", 0}};
    pm_tokenizer_spec *spec = &r->out->spec;
    const char *type = pm_json_text(options, "type", NULL);
    if (!type) {
        type = guess_type(r, options);
        pm_json_write(&r->options, r->options.n > 0 ? ",\"type\":\"" : "\"type\":\"");
        pm_json_write(&r->options, type);
        pm_json_write(&r->options, "\"");
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].type, type) == 0) {
            if (kinds[i].is_list != r->vocab_is_list)
                return pm_fail(r->err, PM_ERR_FORMAT, "%s: a %s model has its vocabulary in an %s", r->path, type,
                               kinds[i].is_list ? "array of [token, score]" : "object of ids");
            spec->model = kinds[i].plugin;
        }
    if (!spec->model)
        return pm_fail(r->err, PM_ERR_UNSUPPORTED, "%s: models of type '%s' are not supported", r->path, type);
    if (strcmp(type, "BPE") == 0 && !r->has_merges)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the BPE model has no merges", r->path);
    if (pm_json_flag(options, "byte_fallback", 0))
        mark_bytes(r->out);
    const pm_json *unk = pm_json_member(options, "unk_token");
    double unk_id = pm_json_number(options, "unk_id", -1);
    if (unk && unk->type == PM_JSON_STRING)
        spec->unk = pm_vocabulary_search(r->out, unk->string, unk->n_string);
    else if (unk_id >= 0 && unk_id < (double)spec->n_entries)
        spec->unk = (int32_t)unk_id;
    else if (unk_id >= 0)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the model's unk_id is outside its vocabulary", r->path);
    return PM_OK;
}

static pm_status read_options(hf_reading *r)
{
    pm_json_writer object = {0};
    pm_json_tree *tree = NULL;
    char text[300] = "";
    pm_plugin_message message = {text, sizeof text};
    pm_json_write(&object, "{");
    pm_json_write_bytes(&object, r->options.bytes, r->options.n);
    pm_json_write(&object, "}");
    pm_status status = PM_OK;
    if (object.failed || r->options.failed)
        status = pm_fail_memory(r->err, r->options.n, "the options of the model");
    else if (pm_json_tree_parse(object.bytes, object.n, &tree, &message) != PM_PLUGIN_OK)
        status = pm_fail(r->err, PM_ERR_FORMAT, "%s: the options of the model: %s", r->path, text);
    else
        status = apply_options(r, pm_json_root(tree));
    pm_json_tree_destroy(tree);
    free(object.bytes);
    return status;
}

/* ---- Special tokens around a text, for plugins that do not read the pipeline ---- */

/* The id of a TemplateProcessing item, or PM_NO_TOKEN. */
static int32_t special_of(const hf_reading *r, const pm_json *post, const pm_json *item)
{
    const pm_json *special = pm_json_member(item, "SpecialToken");
    const char *name = pm_json_text(special, "id", NULL);
    const pm_json *meaning = name ? pm_json_member(pm_json_member(post, "special_tokens"), name) : NULL;
    const pm_json *ids = pm_json_member(meaning, "ids");
    double id = ids && ids->first && ids->first->type == PM_JSON_NUMBER ? ids->first->number : -1;
    return id >= 0 && id < (double)r->out->spec.n_entries ? (int32_t)id : PM_NO_TOKEN;
}

static int32_t id_of_pair(const hf_reading *r, const pm_json *post, const char *key)
{
    const pm_json *pair = pm_json_member(post, key); /* ["[SEP]", 102] */
    double id = pair && pair->first && pair->first->next ? pair->first->next->number : -1;
    return id >= 0 && id < (double)r->out->spec.n_entries ? (int32_t)id : PM_NO_TOKEN;
}

static void read_post_processor(const hf_reading *r, const pm_json *post)
{
    pm_tokenizer_spec *spec = &r->out->spec;
    const pm_json *list = pm_json_member(post, "processors");
    for (const pm_json *part = list ? list->first : NULL; part; part = part->next)
        if (part->first && !pm_json_member(part, "processors"))
            read_post_processor(r, part);
    int32_t first = PM_NO_TOKEN, last = PM_NO_TOKEN;
    if (pm_json_is(post, "type", "BertProcessing") || pm_json_is(post, "type", "RobertaProcessing")) {
        first = spec->cls = id_of_pair(r, post, "cls");
        last = spec->sep = id_of_pair(r, post, "sep");
    }
    const pm_json *single = pm_json_member(post, "single");
    if (pm_json_is(post, "type", "TemplateProcessing") && single) {
        first = special_of(r, post, single->first);
        for (const pm_json *item = single->first; item; item = item->next)
            last = special_of(r, post, item);
    }
    if (first != PM_NO_TOKEN) {
        spec->bos = first;
        spec->flags |= PM_SPEC_ADD_BOS;
    }
    if (last != PM_NO_TOKEN) {
        spec->eos = last;
        spec->flags |= PM_SPEC_ADD_EOS;
    }
}

#define DEEPSEEK_NAME(end) ("<\xEF\xBD\x9C" end "\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>")

/* Ids by the names that released models use; those that the files beside this one name come later and win. */
static void find_known_names(pm_vocabulary *v)
{
    static const struct {
        size_t offset;
        const char *names[8];
    } known[] = {
        {offsetof(pm_tokenizer_spec, bos),
         {"<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<BOS_TOKEN>", DEEPSEEK_NAME("begin")}},
        {offsetof(pm_tokenizer_spec, eos),
         {"</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "<EOS_TOKEN>", "<|im_end|>", "<EOT>",
          DEEPSEEK_NAME("end")}},
        {offsetof(pm_tokenizer_spec, pad), {"<pad>", "[PAD]", "<PAD>", "<|finetune_right_pad_id|>"}},
        {offsetof(pm_tokenizer_spec, sep), {"[SEP]", "<sep>"}},
        {offsetof(pm_tokenizer_spec, cls), {"[CLS]", "<cls>"}},
        {offsetof(pm_tokenizer_spec, mask), {"[MASK]", "<mask>"}},
    };
    for (size_t i = 0; i < v->spec.n_entries; i++) {
        const pm_vocab_entry *e = &v->entries[i];
        if (e->kind != PM_TOKEN_CONTROL)
            continue;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
            int32_t *id = (int32_t *)(void *)((char *)&v->spec + known[k].offset);
            for (size_t j = 0; j < 8 && known[k].names[j] && *id == PM_NO_TOKEN; j++)
                if (strlen(known[k].names[j]) == e->n_bytes &&
                    memcmp(known[k].names[j], e->bytes, e->n_bytes) == 0)
                    *id = (int32_t)i;
        }
    }
}

/* ---- The document ---- */

/* ByteLevel, wherever it stands: the model sees bytes (pm_pre_tokenizer_gives_bytes). JSON is not nested deeply.
 */
static int has_byte_level(const pm_json *pre_tokenizer)
{
    if (pm_json_is(pre_tokenizer, "type", "ByteLevel"))
        return 1;
    const pm_json *list =
        pm_json_is(pre_tokenizer, "type", "Sequence") ? pm_json_member(pre_tokenizer, "pretokenizers") : NULL;
    for (const pm_json *part = list ? list->first : NULL; part; part = part->next)
        if (has_byte_level(part))
            return 1;
    return 0;
}

static pm_status read_alphabet(hf_reading *r)
{
    pm_json_tree *tree;
    PM_TRY(hf_parse(r, r->pre_tokenizer, "pre_tokenizer", &tree));
    r->is_bytes = has_byte_level(pm_json_root(tree));
    r->out->spec.alphabet = r->is_bytes ? PM_ALPHABET_BYTES : PM_ALPHABET_CHARACTERS;
    pm_json_tree_destroy(tree);
    return PM_OK;
}

static pm_status read_document(hf_reading *r)
{
    pm_json_reader *reader = &r->reader;
    struct {
        const char *name;
        hf_slice *slice;
    } parts[] = {{"normalizer", &r->normalizer},
                 {"post_processor", &r->post_processor},
                 {"decoder", &r->decoder},
                 {"truncation", &r->truncation},
                 {"padding", &r->padding},
                 {"added_tokens", &r->added_tokens},
                 {"pre_tokenizer", &r->pre_tokenizer},
                 {"model", &r->model}};
    int model_is_read = 0;
    if (pm_json_next(reader) != PM_JSON_EVENT_OBJECT)
        return hf_fail_json(r, reader, "an object");
    for (;;) {
        pm_json_event event = pm_json_next(reader);
        if (event == PM_JSON_EVENT_END)
            break;
        if (event != PM_JSON_EVENT_KEY)
            return hf_fail_json(r, reader, "a member");
        hf_slice other, *slice = &other;
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            if (is_key(reader, parts[i].name))
                slice = parts[i].slice;
        if (slice == &r->model && r->pre_tokenizer.end > 0 && !model_is_read) {
            model_is_read = 1;
            PM_TRY(read_alphabet(r));
            PM_TRY(read_model(r, reader));
        } else {
            PM_TRY(skip(r, reader, slice));
        }
    }
    if (pm_json_next(reader) != PM_JSON_EVENT_DONE)
        return hf_fail_json(r, reader, "the end of the file");
    if (model_is_read)
        return PM_OK;
    if (r->model.begin == r->model.end)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: there is no model in it: this is no tokenizer.json", r->path);
    PM_TRY(read_alphabet(r));
    pm_json_reader_start(reader, r->text, r->model.end);
    reader->at = r->model.begin;
    return read_model(r, reader);
}

static void write_part(const hf_reading *r, const char *name, hf_slice slice)
{
    pm_json_writer *pipeline = &r->out->pipeline;
    if (slice.begin == slice.end)
        return;
    pm_json_write(pipeline, ",");
    pm_json_write_string(pipeline, name, strlen(name));
    pm_json_write(pipeline, ":");
    pm_json_write_bytes(pipeline, r->text + slice.begin, slice.end - slice.begin);
}

static void write_pipeline(const hf_reading *r)
{
    pm_json_writer *pipeline = &r->out->pipeline;
    pm_json_write(pipeline, "{\"model\":{");
    pm_json_write_bytes(pipeline, r->options.bytes, r->options.n);
    pm_json_write(pipeline, "}");
    write_part(r, "normalizer", r->normalizer);
    write_part(r, "pre_tokenizer", r->pre_tokenizer);
    write_part(r, "post_processor", r->post_processor);
    write_part(r, "decoder", r->decoder);
    write_part(r, "truncation", r->truncation);
    write_part(r, "padding", r->padding);
    pm_json_write(pipeline, "}");
}

static pm_status read_all(hf_reading *r)
{
    PM_TRY(read_document(r));
    PM_TRY(read_added(r));
    PM_TRY(read_options(r));
    pm_json_tree *tree;
    PM_TRY(hf_parse(r, r->post_processor, "post_processor", &tree));
    read_post_processor(r, pm_json_root(tree));
    pm_json_tree_destroy(tree);
    find_known_names(r->out);
    write_pipeline(r);
    return pm_vocabulary_finish(r->out, r->err);
}

pm_status pm_vocabulary_read_hf(pm_vocabulary *out, const char *text, size_t n, pm_error *err)
{
    hf_reading r = {.out = out, .err = err, .path = out->spec.source, .text = text, .n = n};
    pm_json_reader_start(&r.reader, text, n);
    pm_vocabulary_set_file(out, text, n);
    pm_status status = read_all(&r);
    free(r.options.bytes);
    return status;
}
