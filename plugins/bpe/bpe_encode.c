/* From a piece of text to ids: symbols, merges, and what happens to characters no token stands for.
 *
 * A byte-level symbol spans its byte; the byte tokens that stand in for a character each span the whole character,
 * as in Hugging Face's tokenizers.
 */
#include <string.h>

#include "bpe/bpe.h"
#include "parts/utf8_read.h"

/* ---- What no token stands for ---- */

static int all_bytes_have_tokens(const bpe_model *bpe, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bpe->table->byte_ids[(unsigned char)bytes[i]] == PM_NO_TOKEN)
            return 0;
    return 1;
}

/* A character that is no token: its bytes, or unk, or nothing. *fused is the index after the last unk. */
static void emit_unknown(const bpe_model *bpe, const bpe_symbol *s, pm_token_sink *sink, size_t *fused)
{
    const char *bytes = sink->piece->bytes + s->begin;
    size_t size = s->end - s->begin;
    if (bpe->byte_fallback && all_bytes_have_tokens(bpe, bytes, size)) {
        for (size_t i = 0; i < size; i++)
            pm_token_emit(sink, bpe->table->byte_ids[(unsigned char)bytes[i]], s->begin, s->end);
        return;
    }
    sink->n_unknown_bytes += size;
    if (bpe->unk == PM_NO_TOKEN)
        return;
    if (bpe->fuse_unknown && *fused == sink->n) {
        if (sink->spans && sink->n <= sink->capacity)
            sink->spans[sink->n - 1].end = pm_piece_span(sink->piece, s->begin, s->end).end;
        return;
    }
    pm_token_emit(sink, bpe->unk, s->begin, s->end);
    *fused = sink->n;
}

static void emit_symbols(const bpe_encoding *e, pm_token_sink *sink)
{
    size_t fused = SIZE_MAX; /* none yet */
    for (size_t i = 0; i < e->n_symbols; i++) {
        const bpe_symbol *s = &e->symbols[i];
        if (s->id >= 0 && (size_t)s->id < e->bpe->table->n)
            pm_token_emit(sink, s->id, s->begin, s->end);
        else
            emit_unknown(e->bpe, s, sink, &fused);
    }
}

/* ---- Symbols ---- */

static void add_symbol(bpe_encoding *e, int32_t id, size_t begin, size_t end)
{
    e->symbols[e->n_symbols++] = (bpe_symbol){.id = id, .begin = (uint32_t)begin, .end = (uint32_t)end};
}

/* Bytes that the vocabulary lacks are left out before merging, so their neighbours meet: what Hugging Face's
 * tokenizers do, and so what models of such vocabularies were trained on. */
static void add_byte_symbols(bpe_encoding *e, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n; at++) {
        int32_t id = e->bpe->byte_symbols[(unsigned char)bytes[at]];
        if (id != PM_NO_TOKEN || e->bpe->unk != PM_NO_TOKEN)
            add_symbol(e, id, at, at + 1);
    }
}

static void add_character_symbols(bpe_encoding *e, const char *bytes, size_t n)
{
    pm_character c;
    for (size_t at = 0; at < n; at += c.length) {
        c = pm_read_character(bytes, at, n);
        int32_t id = PM_NO_TOKEN;
        if (c.code < 128)
            id = e->bpe->ascii_symbols[c.code];
        else if (!c.malformed)
            id = bpe_character_symbol(e->bpe, bytes + at, c.length, c.code);
        add_symbol(e, id, at, at + c.length);
    }
}

void bpe_add_symbols(bpe_encoding *e, const char *bytes, size_t n)
{
    if (e->bpe->is_bytes)
        add_byte_symbols(e, bytes, n);
    else
        add_character_symbols(e, bytes, n);
}

/* The same where symbols are written with a prefix inside of words and a suffix at their ends. */
static void add_affixed_symbols(bpe_encoding *e, const pm_piece *piece)
{
    const bpe_model *bpe = e->bpe;
    enum { MOST_AFFIX = 64 };
    char name[2 * MOST_AFFIX + 4];
    for (size_t at = 0; at < piece->n;) {
        size_t length = bpe->is_bytes ? 1 : pm_read_character(piece->bytes, at, piece->n).length, n = 0;
        size_t n_prefix = at > 0 ? bpe->n_prefix : 0, n_suffix = at + length == piece->n ? bpe->n_suffix : 0;
        int32_t id = PM_NO_TOKEN;
        if (n_prefix <= MOST_AFFIX && n_suffix <= MOST_AFFIX) {
            memcpy(name, bpe->prefix, n_prefix);
            memcpy(name + n_prefix, piece->bytes + at, length);
            memcpy(name + n_prefix + length, bpe->suffix, n_suffix);
            n = n_prefix + length + n_suffix;
            id = pm_token_map_find(&bpe->map, name, n, sizeof name);
        }
        add_symbol(e, id, at, at + length);
        at += length;
    }
}

/* ---- Pieces ---- */

enum {
    LONGEST_MERGED = 7, /* bytes above ASCII; longer pieces are searched, which waits more but works less a byte */
    LONGEST_WHOLE = 32, /* bytes; what is longer is cut, where the vocabulary has characters */
    PARTS = 256,        /* cut off at a time */
    AHEAD = 16          /* pieces whose entries in the table of tokens are loaded at a time */
};

/* Is the piece looked for among the tokens? The search through long ones finds it by itself. */
static inline int is_looked_up(const bpe_model *bpe, size_t n)
{
    return bpe->ignore_merges || (bpe->n_prefix + bpe->n_suffix == 0 && (n <= BPE_CACHE_KEY || !bpe->is_searched));
}

/* By merging: any piece. */
static pm_plugin_code encode_by_merging(bpe_encoding *e, pm_token_sink *sink, pm_hashed_bytes hashed)
{
    const bpe_model *bpe = e->bpe;
    const pm_piece *piece = sink->piece;
    e->n_symbols = 0;
    if (!pm_grow((void **)&e->symbols, &e->symbols_capacity, piece->n, sizeof *e->symbols))
        return pm_plugin_fail_memory(e->message, "a piece of text");
    if (bpe->n_prefix + bpe->n_suffix > 0)
        add_affixed_symbols(e, piece);
    else
        bpe_add_symbols(e, piece->bytes, piece->n);
    if (bpe->is_bytes) /* those that were left out */
        sink->n_unknown_bytes += piece->n - e->n_symbols;
    PM_PLUGIN_TRY(bpe_apply(e));
    bpe_cache_add(e, piece->bytes, piece->n, hashed.hash);
    emit_symbols(e, sink);
    return PM_PLUGIN_OK;
}

/* By search: pieces that are made of tokens. *done is 0 where this one is not. */
static pm_plugin_code encode_by_search(bpe_encoding *e, pm_token_sink *sink, pm_hashed_bytes hashed, int *done)
{
    const pm_piece *piece = sink->piece;
    size_t n, begin = 0;
    PM_PLUGIN_TRY(bpe_long_encode(e, piece->bytes, piece->n, &n));
    for (size_t i = 0; i < n; i++) {
        pm_token_emit(sink, e->found[i].id, begin, e->found[i].end);
        begin = e->found[i].end;
    }
    *done = n > 0;
    if (n > 0)
        bpe_cache_add_found(&e->cache, piece->bytes, piece->n, hashed.hash, e->found, n);
    return PM_PLUGIN_OK;
}

/* A piece that is one token; *done is 0 where this one is none. */
static pm_plugin_code encode_as_token(bpe_encoding *e, pm_token_sink *sink, pm_hashed_bytes hashed, int *done)
{
    const bpe_model *bpe = e->bpe;
    const pm_piece *piece = sink->piece;
    int32_t whole = pm_token_map_find_hashed(&bpe->map, piece->bytes, piece->n, hashed);
    uint8_t what = BPE_WHOLE_ITSELF;
    *done = 0;
    if (whole == PM_NO_TOKEN)
        return PM_PLUGIN_OK;
    if (!bpe->ignore_merges)
        PM_PLUGIN_TRY(bpe_whole_of(e, whole, &what));
    *done = what != BPE_WHOLE_OTHERS;
    if (*done)
        pm_token_emit(sink, whole, 0, piece->n);
    return PM_PLUGIN_OK;
}

/* A piece is one token, or what is remembered of it, or else found by search or by merging. */
static pm_plugin_code encode_hashed(bpe_encoding *e, pm_token_sink *sink, pm_hashed_bytes hashed)
{
    const bpe_model *bpe = e->bpe;
    const pm_piece *piece = sink->piece;
    int done = 0;
    if (is_looked_up(bpe, piece->n))
        PM_PLUGIN_TRY(encode_as_token(e, sink, hashed, &done));
    if (done || bpe_cache_emit(&e->cache, piece->bytes, piece->n, hashed.hash, sink))
        return PM_PLUGIN_OK;
    size_t longest = (unsigned char)piece->bytes[piece->n - 1] < 0x80 ? BPE_CACHE_KEY : LONGEST_MERGED;
    if (piece->n > longest && bpe->is_searched)
        PM_PLUGIN_TRY(encode_by_search(e, sink, hashed, &done));
    return done ? PM_PLUGIN_OK : encode_by_merging(e, sink, hashed);
}

pm_plugin_code bpe_encode_many(const void *model, void *scratch, const pm_pieces *pieces, pm_token_sink *sink,
                               const pm_plugin_message *message)
{
    const bpe_model *bpe = model;
    bpe_encoding *e = scratch;
    const pm_piece *whole = pieces->whole;
    pm_hashed_bytes hashes[AHEAD];
    size_t begin = pieces->begin;
    e->message = message;
    for (size_t first = 0; first < pieces->n; first += AHEAD) {
        const uint32_t *ends = pieces->ends + first;
        size_t n = pieces->n - first < AHEAD ? pieces->n - first : AHEAD;
        for (size_t i = 0, at = begin; i < n; at = ends[i++]) { /* so that the look-ups wait for memory together */
            hashes[i] = pm_hash_bytes(whole->bytes + at, ends[i] - at, whole->n - at);
            if (is_looked_up(bpe, ends[i] - at))
                pm_token_map_prefetch(&bpe->map, hashes[i]);
        }
        for (size_t i = 0; i < n; begin = ends[i++]) {
            pm_piece piece = pm_piece_part(whole, begin, ends[i]);
            sink->piece = &piece;
            PM_PLUGIN_TRY(encode_hashed(e, sink, hashes[i]));
        }
    }
    return PM_PLUGIN_OK;
}

/* By the parts that no merge can join. */
static pm_plugin_code encode_parts(bpe_encoding *e, const pm_piece *piece, pm_token_sink *sink)
{
    bpe_model *bpe = (bpe_model *)e->bpe; /* for what is made once */
    uint32_t ends[PARTS];
    PM_PLUGIN_TRY(bpe_make_once(bpe, &bpe->cuts_are_there, bpe_cuts_create, e->message));
    for (size_t begin = 0, at = 0, n; begin < piece->n; begin = at) {
        n = bpe_cut(&bpe->cuts, piece->bytes, piece->n, &at, ends, PARTS);
        pm_pieces parts = {piece, begin, ends, n};
        PM_PLUGIN_TRY(bpe_encode_many(bpe, e, &parts, sink, e->message));
    }
    return PM_PLUGIN_OK;
}

pm_plugin_code bpe_encode(const void *model, void *scratch, pm_token_sink *sink, const pm_plugin_message *message)
{
    const bpe_model *bpe = model;
    bpe_encoding *e = scratch;
    const pm_piece *piece = sink->piece;
    e->message = message;
    if (bpe->is_cut && piece->n > LONGEST_WHOLE)
        return encode_parts(e, piece, sink);
    return encode_hashed(e, sink, pm_hash_bytes(piece->bytes, piece->n, piece->n));
}
