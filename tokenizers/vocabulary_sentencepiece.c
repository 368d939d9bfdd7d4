/* A SentencePiece model: a ModelProto message (sentencepiece_model.proto), read field by field.
 *
 * Its normaliser becomes the pipeline's, which maps and escapes text as the library does. BPE merges by the scores
 * of the pieces. User-defined symbols are tokens wherever they stand in normalised text, but in Unigram models
 * take part in the search for the best pieces, with the score that the library gives them. Character models are
 * BPE models that have nothing to merge; word models look up words.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "pipeline_writer.h"
#include "protobuf_reader.h"
#include "vocabulary.h"

/* Field numbers of sentencepiece_model.proto. */
enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_MODEL_TYPE = 3,
    TRAINER_SPACE_AS_SUFFIX = 24,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNK_SURFACE = 44,
    TRAINER_BOS_PIECE = 46,
    TRAINER_EOS_PIECE = 47,
    TRAINER_PAD_PIECE = 48
};
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_DUMMY_PREFIX = 3, NORMALIZER_REMOVE_SPACES = 4, NORMALIZER_ESCAPE = 5 };

typedef enum spm_type { SPM_UNIGRAM = 1, SPM_BPE = 2, SPM_WORD = 3, SPM_CHAR = 4 } spm_type;

typedef struct spm_text {
    const char *bytes;
    size_t n;
} spm_text;

typedef struct spm_reading {
    pm_vocabulary *out;
    pm_error *err;
    uint64_t model_type;
    int space_is_suffix, byte_fallback, dummy_prefix, remove_spaces, escape_spaces;
    spm_text charsmap, unk_surface, bos, eos, pad;
    size_t n_symbols; /* user-defined ones */
} spm_reading;

static pm_status fail_message(const spm_reading *r, const pm_protobuf *message, const char *what)
{
    return pm_fail(r->err, PM_ERR_FORMAT, "%s: %s: at byte %zu of it %s", r->out->spec.source, what, message->at,
                   message->error);
}

static void set_text(const pm_protobuf *field, spm_text *text)
{
    if (field->type == PM_PROTOBUF_BYTES)
        *text = (spm_text){(const char *)field->data, field->n_data};
}

static void set_flag(const pm_protobuf *field, int *flag)
{
    if (field->type == PM_PROTOBUF_VARINT)
        *flag = field->integer != 0;
}

/* ---- Pieces ---- */

static pm_status add_piece(spm_reading *r, spm_text text, float score, uint64_t type)
{
    pm_vocabulary *v = r->out;
    size_t id = v->spec.n_entries, bad;
    if (text.n == 0 || text.n > INT32_MAX || !pm_utf8_check(text.bytes, text.n, &bad))
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: piece %zu is empty or not UTF-8", v->spec.source, id);
    if (isnan(score))
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the score of piece %zu is not a number", v->spec.source, id);
    if (type < PM_TOKEN_NORMAL || type > PM_TOKEN_BYTE)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: piece %zu has the unknown type %llu", v->spec.source, id,
                       (unsigned long long)type);
    PM_TRY(pm_vocabulary_extend(v, id + 1, r->err));
    pm_vocab_entry *e = &v->entries[id];
    *e = (pm_vocab_entry){.bytes = text.bytes, .n_bytes = (uint32_t)text.n, .score = score, .kind = (uint8_t)type};
    if (type == PM_TOKEN_BYTE) {
        int byte = pm_byte_of_name(text.bytes, text.n);
        if (byte < 0)
            return pm_fail(r->err, PM_ERR_FORMAT, "%s: piece %zu stands for a byte, but is not called <0xNN>",
                           v->spec.source, id);
        e->byte = (uint8_t)byte;
    }
    if (type == PM_TOKEN_UNKNOWN) {
        if (v->spec.unk != PM_NO_TOKEN)
            return pm_fail(r->err, PM_ERR_FORMAT, "%s: there are two unknown pieces", v->spec.source);
        v->spec.unk = (int32_t)id;
    }
    r->n_symbols += type == PM_TOKEN_USER_DEFINED;
    return PM_OK;
}

static pm_status read_piece(spm_reading *r, const pm_protobuf *field)
{
    pm_protobuf piece;
    spm_text text = {0};
    float score = 0;
    uint64_t type = PM_TOKEN_NORMAL;
    pm_protobuf_start(&piece, field->data, field->n_data);
    while (pm_protobuf_next(&piece)) {
        if (piece.field == PIECE_TEXT)
            set_text(&piece, &text);
        else if (piece.field == PIECE_SCORE && piece.type == PM_PROTOBUF_FIXED32)
            score = pm_protobuf_float(&piece);
        else if (piece.field == PIECE_TYPE && piece.type == PM_PROTOBUF_VARINT)
            type = piece.integer;
    }
    if (piece.error)
        return fail_message(r, &piece, "a piece");
    return add_piece(r, text, score, type);
}

/* ---- Settings ---- */

static pm_status read_trainer(spm_reading *r, const pm_protobuf *field)
{
    pm_protobuf spec;
    pm_protobuf_start(&spec, field->data, field->n_data);
    while (pm_protobuf_next(&spec))
        switch (spec.field) {
        case TRAINER_MODEL_TYPE:
            if (spec.type == PM_PROTOBUF_VARINT)
                r->model_type = spec.integer;
            break;
        case TRAINER_SPACE_AS_SUFFIX:
            set_flag(&spec, &r->space_is_suffix);
            break;
        case TRAINER_BYTE_FALLBACK:
            set_flag(&spec, &r->byte_fallback);
            break;
        case TRAINER_UNK_SURFACE:
            set_text(&spec, &r->unk_surface);
            break;
        case TRAINER_BOS_PIECE:
            set_text(&spec, &r->bos);
            break;
        case TRAINER_EOS_PIECE:
            set_text(&spec, &r->eos);
            break;
        case TRAINER_PAD_PIECE:
            set_text(&spec, &r->pad);
            break;
        default:
            break;
        }
    return spec.error ? fail_message(r, &spec, "the trainer's settings") : PM_OK;
}

static pm_status read_normalizer(spm_reading *r, const pm_protobuf *field)
{
    pm_protobuf spec;
    pm_protobuf_start(&spec, field->data, field->n_data);
    while (pm_protobuf_next(&spec))
        switch (spec.field) {
        case NORMALIZER_CHARSMAP:
            set_text(&spec, &r->charsmap);
            break;
        case NORMALIZER_DUMMY_PREFIX:
            set_flag(&spec, &r->dummy_prefix);
            break;
        case NORMALIZER_REMOVE_SPACES:
            set_flag(&spec, &r->remove_spaces);
            break;
        case NORMALIZER_ESCAPE:
            set_flag(&spec, &r->escape_spaces);
            break;
        default:
            break;
        }
    return spec.error ? fail_message(r, &spec, "the normaliser's settings") : PM_OK;
}

static pm_status read_message(spm_reading *r, const char *bytes, size_t n)
{
    pm_protobuf model;
    pm_protobuf_start(&model, bytes, n);
    while (pm_protobuf_next(&model)) {
        if (model.type != PM_PROTOBUF_BYTES)
            continue;
        if (model.field == MODEL_PIECES)
            PM_TRY(read_piece(r, &model));
        else if (model.field == MODEL_TRAINER)
            PM_TRY(read_trainer(r, &model));
        else if (model.field == MODEL_NORMALIZER)
            PM_TRY(read_normalizer(r, &model));
    }
    if (model.error)
        return fail_message(r, &model, "no SentencePiece model");
    if (r->model_type < SPM_UNIGRAM || r->model_type > SPM_CHAR)
        return pm_fail(r->err, PM_ERR_UNSUPPORTED, "%s: SentencePiece models of type %llu are not supported",
                       r->out->spec.source, (unsigned long long)r->model_type);
    if (r->out->spec.unk == PM_NO_TOKEN)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: there is no unknown piece", r->out->spec.source);
    size_t bad;
    if (!pm_utf8_check(r->unk_surface.bytes, r->unk_surface.n, &bad))
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the text of the unknown piece is not UTF-8",
                       r->out->spec.source);
    return PM_OK;
}

/* ---- What it means ---- */

/* The id of the control piece that is called so. */
static int32_t find_control(const spm_reading *r, spm_text name)
{
    int32_t id = pm_vocabulary_search(r->out, name.bytes, name.n);
    return id != PM_NO_TOKEN && r->out->entries[id].kind == PM_TOKEN_CONTROL ? id : PM_NO_TOKEN;
}

static void write_flag(const spm_reading *r, const char *name, int flag)
{
    pm_json_writer *pipeline = &r->out->pipeline;
    pm_json_write(pipeline, ",\"");
    pm_json_write(pipeline, name);
    pm_json_write(pipeline, flag ? "\":true" : "\":false");
}

static void write_normalizer(const spm_reading *r)
{
    const pm_tokenizer_spec *spec = &r->out->spec;
    pm_json_writer *pipeline = &r->out->pipeline;
    pm_json_write(pipeline, ",\"normalizer\":{\"type\":\"SentencePiece\"");
    write_flag(r, "add_dummy_prefix", r->dummy_prefix);
    write_flag(r, "remove_extra_whitespaces", r->remove_spaces);
    write_flag(r, "escape_whitespaces", r->escape_spaces);
    write_flag(r, "treat_whitespace_as_suffix", r->space_is_suffix);
    if (r->charsmap.n > 0) {
        pm_json_write(pipeline, ",\"precompiled_charsmap\":");
        pm_json_write_base64(pipeline, (const unsigned char *)r->charsmap.bytes, r->charsmap.n);
    }
    const char *separator = ",\"user_defined_symbols\":[";
    for (size_t i = 0; i < spec->n_entries && r->n_symbols > 0; i++) {
        if (r->out->entries[i].kind != PM_TOKEN_USER_DEFINED)
            continue;
        pm_json_write(pipeline, separator);
        pm_json_write_string(pipeline, r->out->entries[i].bytes, r->out->entries[i].n_bytes);
        separator = ",";
    }
    pm_json_write(pipeline, r->n_symbols > 0 ? "]}" : "}");
}

/* The model's options; where words are looked up, also how text is cut into them. */
static void write_model(const spm_reading *r)
{
    static const char *const names[] = {"", "Unigram", "BPE", "WordLevel", "BPE"};
    static const char *const plugins[] = {"", "unigram", "bpe", "wordpiece", "bpe"};
    pm_json_writer *pipeline = &r->out->pipeline;
    const pm_vocab_entry *unk = &r->out->entries[r->out->spec.unk];
    r->out->spec.model = plugins[r->model_type];
    pm_json_write(pipeline, "{\"model\":{\"type\":\"");
    pm_json_write(pipeline, names[r->model_type]);
    pm_json_write(pipeline, "\",\"unk_id\":");
    pm_json_write_integer(pipeline, r->out->spec.unk);
    pm_json_write(pipeline, ",\"unk_token\":");
    pm_json_write_string(pipeline, unk->bytes, unk->n_bytes);
    write_flag(r, "fuse_unk", 1);
    write_flag(r, "byte_fallback", r->byte_fallback);
    if (r->model_type == SPM_UNIGRAM)
        write_flag(r, "sentencepiece", 1); /* sums of scores as the library rounds them */
    pm_json_write(pipeline, "}");
    if (r->model_type == SPM_WORD) {
        pm_json_write(pipeline, ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},"
                                "\"invert\":false,\"behavior\":\"");
        pm_json_write(pipeline, "MergedWithNext\"}"); /* also where spaces are suffixes */
    }
}

/* How user-defined symbols come out of text; called once they have been written down. */
static void settle_symbols(const spm_reading *r)
{
    for (size_t i = 0; i < r->out->spec.n_entries; i++) {
        pm_vocab_entry *e = &r->out->entries[i];
        if (e->kind != PM_TOKEN_USER_DEFINED)
            continue;
        e->flags = PM_TOKEN_NORMALIZED | PM_TOKEN_VERBATIM | PM_TOKEN_IN_MODEL;
        if (r->model_type == SPM_CHAR)
            e->flags = PM_TOKEN_NORMALIZED | PM_TOKEN_VERBATIM;
        if (r->model_type == SPM_UNIGRAM) {
            e->kind = PM_TOKEN_NORMAL;
            e->flags = 0;
            e->score = (float)((double)e->n_bytes * 0.1 - 0.1); /* whatever the file says */
        }
    }
}

static pm_status interpret(spm_reading *r, const pm_json *config)
{
    pm_tokenizer_spec *spec = &r->out->spec;
    spec->alphabet = PM_ALPHABET_CHARACTERS;
    spec->space_symbol = r->escape_spaces ? "\xE2\x96\x81" : NULL;
    spec->bos = find_control(r, r->bos);
    spec->eos = find_control(r, r->eos);
    spec->pad = find_control(r, r->pad);
    int32_t begin = pm_json_flag(config, "add_bos_token", 0) ? spec->bos : PM_NO_TOKEN;
    int32_t end = pm_json_flag(config, "add_eos_token", 0) ? spec->eos : PM_NO_TOKEN;
    spec->flags = (begin != PM_NO_TOKEN ? PM_SPEC_ADD_BOS : 0) | (end != PM_NO_TOKEN ? PM_SPEC_ADD_EOS : 0);
    write_model(r);
    write_normalizer(r);
    pm_pipeline_write_template(r->out, begin, end, 1);
    /* Where extra spaces were removed, all at the start are taken for the prefix. */
    long n_strip = r->remove_spaces ? INT32_MAX : r->dummy_prefix;
    pm_pipeline_write_metaspace_decoder(r->out, n_strip, r->unk_surface.bytes, r->unk_surface.n);
    pm_json_write(&r->out->pipeline, "}");
    settle_symbols(r);
    return pm_vocabulary_finish(r->out, r->err);
}

pm_status pm_vocabulary_read_sentencepiece(pm_vocabulary *out, const char *bytes, size_t n, const pm_json *config,
                                           pm_error *err)
{
    spm_reading r = {.out = out,
                     .err = err,
                     .model_type = SPM_UNIGRAM,
                     .dummy_prefix = 1,
                     .remove_spaces = 1,
                     .escape_spaces = 1,
                     .unk_surface = {" \xE2\x81\x87 ", 5},
                     .bos = {"<s>", 3},
                     .eos = {"</s>", 4},
                     .pad = {"<pad>", 5}};
    PM_TRY(read_message(&r, bytes, n));
    return interpret(&r, config);
}
