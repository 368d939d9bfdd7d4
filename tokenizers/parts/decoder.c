/* Decoders made from their description and run: see decoder.h.
 *
 * A chain is cut at Fuse: the steps before it act on each token alone, so what a token gives in the middle of a
 * text is worked out once for all tokens; only the first and the last token of a text may come out otherwise. The
 * steps behind it act on the whole text.
 */
#include "parts/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "parts/byte_alphabet.h"
#include "parts/decoder_steps.h"

enum { MOST_STEPS = 64, MOST_NESTING = 16 };

struct pm_decoder {
    const pm_token_table *table;
    int is_bytes; /* the table's bytes are real ones */
    decoder_step steps[MOST_STEPS];
    size_t n_steps, n_before; /* steps[0, n_before) act on single tokens */
    int spaces;               /* no decoder: tokens are joined by spaces */
    int drops_repeats;        /* CTC */
    int first_differs, last_differs;
    char *middle; /* what each token gives, one after the other; 0 bytes of its own: the table's are the same */
    size_t *offsets;
};

/* ---- Making one ---- */

typedef struct decoder_building {
    pm_decoder *decoder;
    int fused;
    const pm_plugin_message *message;
} decoder_building;

static pm_plugin_code add_step(decoder_building *b, decoder_kind kind, decoder_step **out)
{
    pm_decoder *d = b->decoder;
    if (d->n_steps == MOST_STEPS)
        return pm_plugin_fail(b->message, PM_PLUGIN_UNSUPPORTED, "the decoder has more than %d steps", MOST_STEPS);
    *out = &d->steps[d->n_steps++];
    (*out)->kind = kind;
    if (!b->fused)
        d->n_before = d->n_steps;
    return PM_PLUGIN_OK;
}

static pm_plugin_code copy_string(decoder_building *b, const pm_json *json, const char *key, const char *otherwise,
                                  char **out, size_t *n)
{
    const pm_json *member = pm_json_member(json, key);
    if (member && member->type != PM_JSON_STRING)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the decoder's '%s' is no text", key);
    if (!member && !otherwise)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the decoder's '%s' is missing", key);
    *n = member ? member->n_string : strlen(otherwise);
    *out = malloc(*n + 1);
    if (!*out)
        return pm_plugin_fail_memory(b->message, "a decoder");
    memcpy(*out, member ? member->string : otherwise, *n);
    (*out)[*n] = 0;
    return PM_PLUGIN_OK;
}

static pm_plugin_code make_replace(decoder_building *b, const pm_json *json)
{
    const pm_json *pattern = pm_json_member(json, "pattern");
    int is_regex = pm_json_member(pattern, "Regex") != NULL;
    decoder_step *s = NULL;
    PM_PLUGIN_TRY(add_step(b, DECODE_REPLACE, &s));
    PM_PLUGIN_TRY(copy_string(b, json, "content", NULL, &s->content, &s->n_content));
    PM_PLUGIN_TRY(copy_string(b, pattern, is_regex ? "Regex" : "String", NULL, &s->pattern, &s->n_pattern));
    if (is_regex)
        return pm_regex_open(s->pattern, s->n_pattern, &s->regex, b->message);
    return s->n_pattern ? PM_PLUGIN_OK
                        : pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the decoder Replace has an empty pattern");
}

static pm_plugin_code make_strip(decoder_building *b, const pm_json *json)
{
    double start = pm_json_number(json, "start", 0), stop = pm_json_number(json, "stop", 0);
    decoder_step *s = NULL;
    PM_PLUGIN_TRY(add_step(b, DECODE_STRIP, &s));
    PM_PLUGIN_TRY(copy_string(b, json, "content", " ", &s->content, &s->n_content));
    if (!(start >= 0 && start <= INT32_MAX && stop >= 0 && stop <= INT32_MAX) || s->n_content == 0)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the decoder Strip has wrong settings");
    s->start = (size_t)start;
    s->stop = (size_t)stop;
    return PM_PLUGIN_OK;
}

static pm_plugin_code make_metaspace(decoder_building *b, const pm_json *json)
{
    const char *scheme =
        pm_json_text(json, "prepend_scheme", pm_json_flag(json, "add_prefix_space", 1) ? "always" : "never");
    decoder_step *s = NULL;
    PM_PLUGIN_TRY(add_step(b, DECODE_METASPACE, &s));
    s->drops_first = strcmp(scheme, "never") != 0;
    b->decoder->first_differs |= s->drops_first;
    return copy_string(b, json, "replacement", "\xE2\x96\x81", &s->pattern, &s->n_pattern);
}

static pm_plugin_code make_word_piece(decoder_building *b, const pm_json *json)
{
    decoder_step *s = NULL;
    PM_PLUGIN_TRY(add_step(b, DECODE_WORD_PIECE, &s));
    s->cleanup = pm_json_flag(json, "cleanup", 1);
    b->decoder->first_differs = 1;
    return copy_string(b, json, "prefix", "##", &s->pattern, &s->n_pattern);
}

static pm_plugin_code make_ctc(decoder_building *b, const pm_json *json)
{
    decoder_step *s = NULL;
    PM_PLUGIN_TRY(add_step(b, DECODE_CTC, &s));
    s->cleanup = pm_json_flag(json, "cleanup", 1);
    b->decoder->drops_repeats = 1;
    PM_PLUGIN_TRY(copy_string(b, json, "pad_token", "<pad>", &s->pattern, &s->n_pattern));
    return copy_string(b, json, "word_delimiter_token", "|", &s->content, &s->n_content);
}

static pm_plugin_code make_bpe(decoder_building *b, const pm_json *json)
{
    decoder_step *s = NULL;
    PM_PLUGIN_TRY(add_step(b, DECODE_BPE, &s));
    b->decoder->last_differs = 1;
    return copy_string(b, json, "suffix", "</w>", &s->pattern, &s->n_pattern);
}

static pm_plugin_code make_any(decoder_building *b, const pm_json *json, int depth)
{
    const char *type = pm_json_text(json, "type", "");
    decoder_step *s = NULL;
    if (strcmp(type, "Sequence") == 0) {
        const pm_json *list = pm_json_member(json, "decoders");
        if (depth > MOST_NESTING || (list && list->type != PM_JSON_ARRAY))
            return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT,
                                  "the decoder's Sequence is no list, or nested too deep");
        for (const pm_json *item = list ? list->first : NULL; item; item = item->next)
            PM_PLUGIN_TRY(make_any(b, item, depth + 1));
        return PM_PLUGIN_OK;
    }
    if (strcmp(type, "ByteLevel") == 0) { /* gives one text, as Fuse does */
        PM_PLUGIN_TRY(b->fused || !b->decoder->is_bytes ? add_step(b, DECODE_BYTE_LEVEL, &s) : PM_PLUGIN_OK);
        b->fused = 1;
        return PM_PLUGIN_OK;
    }
    if (strcmp(type, "Fuse") == 0) {
        b->fused = 1;
        return PM_PLUGIN_OK;
    }
    if (strcmp(type, "ByteFallback") == 0)
        return add_step(b, DECODE_BYTE_FALLBACK, &s);
    if (strcmp(type, "Replace") == 0)
        return make_replace(b, json);
    if (strcmp(type, "Strip") == 0)
        return make_strip(b, json);
    if (strcmp(type, "Metaspace") == 0)
        return make_metaspace(b, json);
    if (strcmp(type, "WordPiece") == 0)
        return make_word_piece(b, json);
    if (strcmp(type, "CTC") == 0)
        return make_ctc(b, json);
    if (strcmp(type, "BPEDecoder") == 0)
        return make_bpe(b, json);
    return pm_plugin_fail(b->message, PM_PLUGIN_UNSUPPORTED, "the decoder '%.60s' is not known", type);
}

/* ---- Tokens ---- */

/* What the token gives, into text, which is emptied; 0 when out of memory. */
static int decode_token(const pm_decoder *d, int32_t id, int is_first, int is_last, decoder_text *text)
{
    size_t n;
    const char *bytes = pm_token_bytes(d->table, id, &n);
    text->n = 0;
    text->is_byte = 0;
    if (d->spaces && !is_first && !decoder_text_append(text, " ", 1))
        return 0;
    if (!decoder_text_append(text, bytes, n))
        return 0;
    for (size_t i = 0; i < d->n_before; i++)
        if (!decoder_step_run(&d->steps[i], is_first, is_last, text))
            return 0;
    return 1;
}

static pm_plugin_code decode_all_tokens(pm_decoder *d, const pm_plugin_message *message)
{
    decoder_text text = {0};
    char *all = NULL;
    size_t n_all = 0, capacity = 0, n = d->table->n;
    int good = (d->offsets = calloc(n + 1, sizeof *d->offsets)) != NULL;
    for (size_t i = 0; good && i < n; i++) {
        good =
            decode_token(d, (int32_t)i, 0, 0, &text) && pm_grow((void **)&all, &capacity, n_all + text.n + 1, 1);
        if (good && text.n > 0)
            memcpy(all + n_all, text.bytes, text.n);
        n_all += text.n;
        d->offsets[i + 1] = n_all;
    }
    d->middle = all;
    decoder_text_free(&text);
    return good ? PM_PLUGIN_OK : pm_plugin_fail_memory(message, "the decoder");
}

pm_plugin_code pm_decoder_create(const pm_json *json, const pm_token_table *table, int is_bytes, pm_decoder **out,
                                 const pm_plugin_message *message)
{
    pm_decoder *made = calloc(1, sizeof *made);
    *out = NULL;
    if (!made)
        return pm_plugin_fail_memory(message, "a decoder");
    decoder_building b = {made, 0, message};
    made->table = table;
    made->is_bytes = is_bytes;
    pm_plugin_code code = PM_PLUGIN_OK;
    if (json && json->type != PM_JSON_NULL)
        code = make_any(&b, json, 0);
    else
        made->spaces = made->first_differs = 1;
    if (code == PM_PLUGIN_OK && (made->n_before > 0 || made->spaces))
        code = decode_all_tokens(made, message);
    if (code != PM_PLUGIN_OK) {
        pm_decoder_destroy(made);
        return code;
    }
    *out = made;
    return PM_PLUGIN_OK;
}

void pm_decoder_destroy(pm_decoder *decoder)
{
    if (!decoder)
        return;
    for (size_t i = 0; i < decoder->n_steps; i++)
        decoder_step_destroy(&decoder->steps[i]);
    free(decoder->middle);
    free(decoder->offsets);
    free(decoder);
}

const char *pm_decoder_token(const pm_decoder *decoder, int32_t id, size_t *n)
{
    if (!decoder->offsets)
        return pm_token_bytes(decoder->table, id, n);
    *n = decoder->offsets[id + 1] - decoder->offsets[id];
    return decoder->middle + decoder->offsets[id];
}

/* ---- Decoding ---- */

typedef struct decoding {
    const pm_decoder *decoder;
    pm_decode_call *call;
    decoder_text whole; /* where steps act on the whole text */
    int collects;
} decoding;

static int put(decoding *d, const char *bytes, size_t n)
{
    pm_decode_call *call = d->call;
    if (d->collects)
        return decoder_text_append(&d->whole, bytes, n);
    if (n > 0 && call->n_text < call->capacity) {
        size_t room = call->capacity - call->n_text;
        memcpy(call->text + call->n_text, bytes, n < room ? n : room);
    }
    call->n_text += n;
    return 1;
}

static int is_skipped(const decoding *d, size_t i, int32_t previous)
{
    int32_t id = d->call->ids[i];
    uint8_t kind = d->decoder->table->kinds[id];
    if (d->call->flags & PM_DECODE_SKIP_SPECIAL && (kind == PM_TOKEN_CONTROL || kind == PM_TOKEN_UNKNOWN))
        return 1;
    return d->decoder->drops_repeats && id == previous;
}

/* The last id that is not skipped; SIZE_MAX where there is none. */
static size_t last_shown(const decoding *d)
{
    for (size_t i = d->call->n_ids; i-- > 0;)
        if (!is_skipped(d, i, PM_NO_TOKEN))
            return i;
    return SIZE_MAX;
}

static int put_tokens(decoding *d)
{
    const pm_decoder *decoder = d->decoder;
    decoder_text text = {0};
    int good = 1, is_first = !(d->call->flags & PM_DECODE_CONTINUATION);
    size_t last = decoder->last_differs ? last_shown(d) : SIZE_MAX;
    int32_t previous = PM_NO_TOKEN;
    for (size_t i = 0; good && i < d->call->n_ids; i++) {
        int32_t id = d->call->ids[i];
        size_t n;
        if (is_skipped(d, i, previous))
            continue;
        previous = id;
        if ((is_first && decoder->first_differs) || i == last) {
            good = decode_token(decoder, id, is_first, i == last, &text) && put(d, text.bytes, text.n);
        } else {
            const char *bytes = pm_decoder_token(decoder, id, &n);
            good = put(d, bytes, n);
        }
        is_first = 0;
    }
    decoder_text_free(&text);
    return good;
}

/* The steps on the whole text. */
static int finish_whole(decoding *d)
{
    int continues = (d->call->flags & PM_DECODE_CONTINUATION) != 0;
    for (size_t i = d->decoder->n_before; i < d->decoder->n_steps; i++) {
        const decoder_step *s = &d->decoder->steps[i];
        if (s->kind == DECODE_STRIP && continues && s->stop == 0)
            continue;
        if (!decoder_step_run(s, !continues, 1, &d->whole))
            return 0;
    }
    d->collects = 0;
    return put(d, d->whole.bytes, d->whole.n);
}

pm_plugin_code pm_decoder_decode(const pm_decoder *decoder, pm_decode_call *call, const pm_plugin_message *message)
{
    if (call->size < sizeof *call || (!call->ids && call->n_ids > 0) || (!call->text && call->capacity > 0))
        return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT, "decode: the call is incomplete");
    for (size_t i = 0; i < call->n_ids; i++)
        if (call->ids[i] < 0 || (size_t)call->ids[i] >= decoder->table->n)
            return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT,
                                  "decode: id %d at position %zu is outside the vocabulary of %zu tokens",
                                  (int)call->ids[i], i, decoder->table->n);
    decoding d = {.decoder = decoder, .call = call, .collects = decoder->n_steps > decoder->n_before};
    call->n_text = 0;
    int good = put_tokens(&d);
    if (good && d.collects)
        good = finish_whole(&d);
    decoder_text_free(&d.whole);
    if (!good)
        return pm_plugin_fail_memory(message, "decoded text");
    return call->n_text > call->capacity ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK;
}
