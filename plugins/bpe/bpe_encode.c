/* From text to ids: special tokens, pieces, symbols, merges, and what happens to characters no token stands for.
 *
 * Spans always lie in the caller's text. A byte-level symbol spans its byte; the byte tokens that stand in for a
 * character each span the whole character, as in Hugging Face's tokenizers.
 */
#include "bpe/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "parts/utf8_read.h"

static void emit(pm_encode_call *call, int32_t id, size_t begin, size_t end)
{
    if (call->n_ids < call->capacity) {
        call->ids[call->n_ids] = id;
        if (call->spans)
            call->spans[call->n_ids] = (pm_text_span){begin, end};
    }
    call->n_ids++;
}

/* ---- What no token stands for ---- */

static int all_bytes_have_tokens(const bpe_tokenizer *bpe, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bpe->table.byte_ids[(unsigned char)bytes[i]] == PM_NO_TOKEN)
            return 0;
    return 1;
}

/* A character that is no token: its bytes, or unk, or nothing. *fused is the index after the last unk. */
static void emit_unknown(bpe_encoding *e, const bpe_symbol *s, size_t *fused)
{
    const bpe_tokenizer *bpe = e->bpe;
    pm_encode_call *call = e->call;
    const char *bytes = call->text + s->begin;
    size_t size = s->end - s->begin;
    if (size == 0 || (size == 1 && *bytes == ' ')) {
        bytes = bpe->space;
        size = bpe->n_space;
    }
    if (all_bytes_have_tokens(bpe, bytes, size)) {
        for (size_t i = 0; i < size; i++)
            emit(call, bpe->table.byte_ids[(unsigned char)bytes[i]], s->begin, s->end);
        return;
    }
    call->n_unknown_bytes += s->end - s->begin;
    if (bpe->unk == PM_NO_TOKEN)
        return;
    if (bpe->flags & PM_SPEC_FUSE_UNKNOWN && *fused == call->n_ids) {
        if (call->spans && call->n_ids <= call->capacity)
            call->spans[call->n_ids - 1].end = s->end;
        return;
    }
    emit(call, bpe->unk, s->begin, s->end);
    *fused = call->n_ids;
}

static void emit_symbols(bpe_encoding *e)
{
    size_t fused = SIZE_MAX; /* none yet */
    for (size_t i = 0; i < e->n_symbols; i++) {
        const bpe_symbol *s = &e->symbols[i];
        if (s->id >= 0 && (size_t)s->id < e->bpe->table.n)
            emit(e->call, s->id, s->begin, s->end);
        else
            emit_unknown(e, s, &fused);
    }
}

/* ---- Symbols ---- */

static pm_plugin_code reserve_symbols(bpe_encoding *e, size_t n)
{
    if (!pm_grow((void **)&e->symbols, &e->symbols_capacity, n, sizeof *e->symbols))
        return pm_plugin_fail_memory(e->message, "a piece of text");
    return PM_PLUGIN_OK;
}

static void add_symbol(bpe_encoding *e, int32_t id, size_t begin, size_t end)
{
    e->symbols[e->n_symbols++] = (bpe_symbol){.id = id, .begin = begin, .end = end};
}

/* Bytes that the vocabulary lacks are left out before merging, so their neighbours meet: what Hugging Face's
 * tokenizers do, and so what models of such vocabularies were trained on. */
static void add_byte_symbols(bpe_encoding *e, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at++) {
        int32_t id = e->bpe->byte_symbols[(unsigned char)e->call->text[at]];
        if (id != PM_NO_TOKEN)
            add_symbol(e, id, at, at + 1);
        else
            e->call->n_unknown_bytes++;
    }
}

static void add_character_symbols(bpe_encoding *e, size_t begin, size_t end)
{
    const char *text = e->call->text;
    pm_character c;
    for (size_t at = begin; at < end; at += c.length) {
        c = pm_read_character(text, at, end);
        int32_t id = PM_NO_TOKEN;
        if (c.code < 128)
            id = e->bpe->ascii_symbols[c.code];
        else if (!c.malformed)
            id = bpe_character_symbol(e->bpe, text + at, c.length, c.code);
        add_symbol(e, id, at, at + c.length);
    }
}

/* ---- Pieces, stretches, texts ---- */

/* One piece of text; `prefix`: with a space before it that is not in the text. */
static pm_plugin_code encode_piece(bpe_encoding *e, size_t begin, size_t end, int prefix)
{
    const bpe_tokenizer *bpe = e->bpe;
    if (bpe->flags & PM_SPEC_IGNORE_MERGES && !prefix) {
        int32_t whole = pm_token_map_find(&bpe->map, e->call->text + begin, end - begin);
        if (whole != PM_NO_TOKEN) {
            emit(e->call, whole, begin, end);
            return PM_PLUGIN_OK;
        }
    }
    e->n_symbols = 0;
    PM_PLUGIN_TRY(reserve_symbols(e, end - begin + 1));
    if (prefix)
        add_symbol(e, bpe->space_symbol, begin, begin);
    if (bpe->alphabet == PM_ALPHABET_BYTES)
        add_byte_symbols(e, begin, end);
    else
        add_character_symbols(e, begin, end);
    PM_PLUGIN_TRY(bpe_apply(e));
    emit_symbols(e);
    return PM_PLUGIN_OK;
}

static pm_plugin_code piece_sink(void *context, size_t begin, size_t end)
{
    return encode_piece(context, begin, end, 0);
}

/* Text between special tokens. */
static pm_plugin_code encode_stretch(bpe_encoding *e, size_t begin, size_t end)
{
    if (begin == end)
        return PM_PLUGIN_OK;
    int continues = begin == 0 && e->call->flags & PM_ENCODE_CONTINUATION;
    if (e->bpe->alphabet == PM_ALPHABET_CHARACTERS)
        return encode_piece(e, begin, end, e->bpe->flags & PM_SPEC_ADD_SPACE_PREFIX && !continues);
    return pm_split(e->split, begin, end, piece_sink, e, e->message);
}

static pm_plugin_code encode_text(bpe_encoding *e)
{
    pm_encode_call *call = e->call;
    size_t span = 0;
    for (size_t at = 0; at < call->n_text;) {
        pm_special_match match = pm_special_find(&e->bpe->specials, call, at, &span);
        PM_PLUGIN_TRY(encode_stretch(e, at, match.begin));
        if (match.id != PM_NO_TOKEN)
            emit(call, match.id, match.begin, match.end);
        at = match.end;
    }
    return PM_PLUGIN_OK;
}

static pm_plugin_code check_call(const pm_encode_call *call, const pm_plugin_message *message)
{
    if (call->size < sizeof *call || (!call->text && call->n_text > 0) || (!call->ids && call->capacity > 0) ||
        (!call->special_spans && call->n_special_spans > 0))
        return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT, "encode: the call is incomplete");
    if (call->n_text > INT32_MAX / 2)
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "encode: a text of %zu bytes is too long",
                              call->n_text);
    size_t before = 0;
    for (size_t i = 0; i < call->n_special_spans; i++) {
        pm_text_span span = call->special_spans[i];
        if (span.begin < before || span.end < span.begin || span.end > call->n_text)
            return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT, "encode: special span %zu is out of place", i);
        before = span.end;
    }
    return PM_PLUGIN_OK;
}

pm_plugin_code bpe_encode(const void *instance, pm_encode_call *call, const pm_plugin_message *message)
{
    const bpe_tokenizer *bpe = instance;
    PM_PLUGIN_TRY(check_call(call, message));
    bpe_encoding e = {.bpe = bpe, .call = call, .message = message};
    call->n_ids = 0;
    call->n_unknown_bytes = 0;
    PM_PLUGIN_TRY(pm_split_run_begin(bpe->splitter, call->text, call->n_text, &e.split, message));
    int special = (call->flags & PM_ENCODE_ADD_SPECIAL) != 0;
    if (special && bpe->flags & PM_SPEC_ADD_BOS)
        emit(call, bpe->bos, 0, 0);
    pm_plugin_code code = encode_text(&e);
    if (code == PM_PLUGIN_OK && special && bpe->flags & PM_SPEC_ADD_EOS)
        emit(call, bpe->eos, call->n_text, call->n_text);
    pm_split_run_end(e.split);
    free(e.symbols);
    free(e.heap);
    if (code == PM_PLUGIN_OK && call->n_ids > call->capacity)
        return PM_PLUGIN_TOO_SMALL;
    return code;
}
