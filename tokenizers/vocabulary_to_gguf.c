/* Tokens, merges, scores and ids as GGUF's keys: see vocabulary_to_gguf.h. The way back of vocabulary_gguf.c.
 *
 * Tokens are written as that kind of file spells them: bytes in GPT-2's alphabet, words of BERT's with U+2581 in
 * front. Where SentencePiece's BPE comes from a tokenizer.json, which has merges instead of scores, a token's
 * score is the rank of the first merge that makes it, below zero: the order of merging is the same.
 */
#include "vocabulary_to_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "parts/byte_alphabet.h"
#include "parts/charsmap.h"

typedef struct gguf_writing {
    const pm_vocabulary *v;
    const pm_gguf_settings *settings;
    pm_gguf_writer *writer;
    pm_error *err;
    size_t n; /* tokens to write */
    pm_arena arena;
} gguf_writing;

/* ---- Tokens ---- */

static pm_status spell(gguf_writing *w, const pm_vocab_entry *e, pm_str *out)
{
    char *text = pm_arena_alloc(&w->arena, 2 * (size_t)e->n_bytes + 1);
    if (!text)
        return pm_fail_memory(w->err, 2 * (size_t)e->n_bytes, "a token");
    *out = (pm_str){text, pm_byte_alphabet_encode(e->bytes, e->n_bytes, text)};
    return PM_OK;
}

/* Words of BERT's are marked, and not what continues them. */
static pm_status mark_word(gguf_writing *w, const pm_vocab_entry *e, pm_str *out)
{
    static const char mark[] = "\xE2\x96\x81";
    const pm_gguf_settings *s = w->settings;
    size_t n_mark = sizeof mark - 1;
    if (e->n_bytes > 2 && e->bytes[0] == '[' && e->bytes[e->n_bytes - 1] == ']') /* [unused1] */
        return PM_OK;
    if (s->n_prefix > 0 && e->n_bytes > s->n_prefix && memcmp(e->bytes, s->prefix, s->n_prefix) == 0) {
        *out = (pm_str){e->bytes + s->n_prefix, e->n_bytes - s->n_prefix};
        return PM_OK;
    }
    char *text = pm_arena_alloc(&w->arena, n_mark + e->n_bytes);
    if (!text)
        return pm_fail_memory(w->err, n_mark + e->n_bytes, "a token");
    memcpy(text, mark, n_mark);
    memcpy(text + n_mark, e->bytes, e->n_bytes);
    *out = (pm_str){text, n_mark + e->n_bytes};
    return PM_OK;
}

/* User-defined tokens are looked for in the text as given, where spaces are spaces still. */
static pm_status unmark_spaces(gguf_writing *w, const pm_vocab_entry *e, pm_str *out)
{
    static const char mark[] = "\xE2\x96\x81";
    size_t n_mark = sizeof mark - 1, n = 0;
    char *text = pm_arena_alloc(&w->arena, (size_t)e->n_bytes + 1);
    if (!text)
        return pm_fail_memory(w->err, e->n_bytes, "a token");
    for (size_t i = 0; i < e->n_bytes; n++) {
        int is_mark = e->n_bytes - i >= n_mark && memcmp(e->bytes + i, mark, n_mark) == 0;
        text[n] = is_mark ? ' ' : e->bytes[i];
        i += is_mark ? n_mark : 1;
    }
    *out = (pm_str){text, n};
    return PM_OK;
}

/* A token that no text becomes, for a row of the embeddings that would have none. */
static pm_status make_padding(gguf_writing *w, size_t id, pm_str *out)
{
    char *text = pm_arena_alloc(&w->arena, 32);
    if (!text)
        return pm_fail_memory(w->err, 32, "a token");
    *out = (pm_str){text, (size_t)snprintf(text, 32, "[PAD%zu]", id)};
    return PM_OK;
}

static pm_status name_token(gguf_writing *w, size_t id, pm_str *text, int32_t *kind)
{
    const pm_tokenizer_spec *spec = &w->v->spec;
    static const pm_vocab_entry none = {.kind = PM_TOKEN_UNUSED};
    const pm_vocab_entry *e = id < spec->n_entries ? &spec->entries[id] : &none;
    size_t bad;
    *kind = e->kind;
    *text = (pm_str){e->bytes, e->n_bytes};
    if (e->kind == PM_TOKEN_UNUSED && e->n_bytes == 0)
        return make_padding(w, id, text);
    if (e->kind == PM_TOKEN_NORMAL && (int32_t)id == spec->unk && w->settings->kind != GGUF_BYTE_LEVEL)
        *kind = PM_TOKEN_UNKNOWN;
    if (w->settings->kind == GGUF_BYTE_LEVEL &&
        (e->kind == PM_TOKEN_NORMAL || !pm_utf8_check(e->bytes, e->n_bytes, &bad)))
        return spell(w, e, text);
    if (w->settings->kind == GGUF_BERT && *kind == PM_TOKEN_NORMAL)
        return mark_word(w, e, text);
    if (w->settings->kind == GGUF_LLAMA && e->kind == PM_TOKEN_USER_DEFINED)
        return unmark_spaces(w, e, text);
    return PM_OK;
}

static pm_status write_tokens(gguf_writing *w)
{
    pm_str *texts = malloc(w->n * sizeof *texts);
    int32_t *kinds = malloc(w->n * sizeof *kinds);
    pm_status status = texts && kinds ? PM_OK : pm_fail_memory(w->err, w->n * sizeof *texts, "the tokens");
    for (size_t i = 0; i < w->n && status == PM_OK; i++)
        status = name_token(w, i, &texts[i], &kinds[i]);
    if (status == PM_OK) {
        pm_gguf_writer_bytes_array(w->writer, KEY("tokens"), texts, w->n);
        pm_gguf_writer_i32_array(w->writer, KEY("token_type"), kinds, w->n);
    }
    free(texts);
    free(kinds);
    return status;
}

/* ---- Scores ---- */

/* By the merges: the first to apply make the tokens of the highest score. */
static void score_by_merges(const gguf_writing *w, float *scores)
{
    const pm_tokenizer_spec *spec = &w->v->spec;
    size_t n_scored = 0;
    for (size_t i = 0; i < spec->n_merges; i++) {
        size_t made = (size_t)spec->merges[i].result;
        if (made < w->n && scores[made] > 0)
            scores[made] = -(float)n_scored++;
    }
    for (size_t i = 0; i < w->n; i++) /* what no merge makes: characters, behind all */
        if (scores[i] > 0)
            scores[i] =
                i < spec->n_entries && spec->entries[i].kind == PM_TOKEN_NORMAL ? -(float)n_scored++ : 0.0f;
}

static pm_status write_scores(const gguf_writing *w)
{
    const pm_tokenizer_spec *spec = &w->v->spec;
    float *scores = malloc(w->n * sizeof *scores);
    if (!scores)
        return pm_fail_memory(w->err, w->n * sizeof *scores, "the scores");
    int by_merges = w->settings->kind == GGUF_LLAMA && spec->n_merges > 0;
    for (size_t i = 0; i < w->n; i++)
        scores[i] = by_merges ? 1.0f : i < spec->n_entries ? (float)spec->entries[i].score : 0.0f;
    if (by_merges)
        score_by_merges(w, scores);
    pm_gguf_writer_f32_array(w->writer, KEY("scores"), scores, w->n);
    free(scores);
    return PM_OK;
}

/* ---- Merges ---- */

/* "left right", spelled as the tokens are; merges of tokens that are not written are left out. */
static pm_status write_merges(gguf_writing *w)
{
    const pm_tokenizer_spec *spec = &w->v->spec;
    pm_str *texts = malloc((spec->n_merges + 1) * sizeof *texts);
    size_t n = 0;
    if (!texts)
        return pm_fail_memory(w->err, spec->n_merges * sizeof *texts, "the merges");
    for (size_t i = 0; i < spec->n_merges; i++) {
        const pm_vocab_merge *m = &spec->merges[i];
        if ((size_t)m->left >= w->n || (size_t)m->right >= w->n || (size_t)m->result >= w->n)
            continue;
        const pm_vocab_entry *left = &spec->entries[m->left], *right = &spec->entries[m->right];
        size_t room = 2 * ((size_t)left->n_bytes + right->n_bytes) + 1;
        char *text = pm_arena_alloc(&w->arena, room);
        if (!text) {
            free(texts);
            return pm_fail_memory(w->err, room, "a merge");
        }
        size_t n_text = pm_byte_alphabet_encode(left->bytes, left->n_bytes, text);
        text[n_text++] = ' ';
        n_text += pm_byte_alphabet_encode(right->bytes, right->n_bytes, text + n_text);
        texts[n++] = (pm_str){text, n_text};
    }
    pm_gguf_writer_bytes_array(w->writer, KEY("merges"), texts, n);
    free(texts);
    return PM_OK;
}

/* ---- Ids and settings ---- */

static pm_status write_ends(gguf_writing *w)
{
    const pm_vocabulary *v = w->v;
    size_t n = 0;
    int32_t *others = v->n_ends > 0 ? pm_arena_alloc(&w->arena, v->n_ends * sizeof *others) : NULL;
    if (v->n_ends > 0 && !others)
        return pm_fail_memory(w->err, v->n_ends * sizeof *others, "the tokens that end an answer");
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] != v->spec.eos && v->ends[i] != v->eot && (size_t)v->ends[i] < w->n)
            others[n++] = v->ends[i];
    if (n > 0)
        pm_gguf_writer_i32_array(w->writer, GGUF_ENDS_KEY, others, n);
    return PM_OK;
}

static void write_ids(const gguf_writing *w)
{
    const pm_tokenizer_spec *spec = &w->v->spec;
    const struct {
        const char *key;
        int32_t id;
    } ids[] = {
        {KEY("bos_token_id"), spec->bos},       {KEY("eos_token_id"), spec->eos},
        {KEY("unknown_token_id"), spec->unk},   {KEY("padding_token_id"), spec->pad},
        {KEY("seperator_token_id"), spec->sep}, /* as the specification spells it */
        {KEY("cls_token_id"), spec->cls},       {KEY("mask_token_id"), spec->mask},
        {KEY("eot_token_id"), w->v->eot},
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i].id >= 0 && (size_t)ids[i].id < w->n)
            pm_gguf_writer_u32(w->writer, ids[i].key, (uint32_t)ids[i].id);
    pm_gguf_writer_bool(w->writer, KEY("add_bos_token"), (spec->flags & PM_SPEC_ADD_BOS) != 0);
    pm_gguf_writer_bool(w->writer, KEY("add_eos_token"), (spec->flags & PM_SPEC_ADD_EOS) != 0);
}

static pm_status write_charsmap(gguf_writing *w)
{
    const pm_json *text = w->settings->charsmap;
    if (!text || text->n_string == 0)
        return PM_OK;
    size_t room = text->n_string / 4 * 3 + 3;
    unsigned char *bytes = pm_arena_alloc(&w->arena, room);
    if (!bytes)
        return pm_fail_memory(w->err, room, "a charsmap");
    size_t n = pm_charsmap_decode_base64(text->string, text->n_string, bytes);
    if (n != SIZE_MAX) /* otherwise the tokenizer could not be opened either */
        pm_gguf_writer_u8_array(w->writer, KEY("precompiled_charsmap"), bytes, n);
    return PM_OK;
}

static pm_status write_kind(gguf_writing *w)
{
    const pm_gguf_settings *s = w->settings;
    switch (s->kind) {
    case GGUF_BYTE_LEVEL:
        if (s->pre)
            pm_gguf_writer_bytes(w->writer, KEY("pre"), (pm_str){s->pre, s->n_pre});
        return write_merges(w);
    case GGUF_LLAMA:
        pm_gguf_writer_str(w->writer, KEY("pre"), "default");
        pm_gguf_writer_bool(w->writer, KEY("add_space_prefix"), s->adds_space_prefix);
        return write_scores(w);
    case GGUF_T5:
        pm_gguf_writer_str(w->writer, KEY("pre"), "default");
        pm_gguf_writer_bool(w->writer, KEY("add_space_prefix"), s->adds_space_prefix);
        pm_gguf_writer_bool(w->writer, KEY("remove_extra_whitespaces"), s->removes_spaces);
        PM_TRY(write_charsmap(w));
        return write_scores(w);
    case GGUF_BERT:
        pm_gguf_writer_bool(w->writer, KEY("normalizer.lowercase"), s->lowercase);
        if (s->strip_accents >= 0)
            pm_gguf_writer_bool(w->writer, KEY("normalizer.strip_accents"), s->strip_accents);
        return PM_OK;
    }
    return PM_OK;
}

pm_status pm_vocabulary_to_gguf(const pm_vocabulary *vocabulary, const pm_gguf_settings *settings, size_t n_rows,
                                pm_gguf_writer *writer, pm_error *err)
{
    static const char *const names[] = {"gpt2", "llama", "t5", "bert"}; /* as gguf_kind */
    gguf_writing w = {.v = vocabulary, .settings = settings, .writer = writer, .err = err, .n = n_rows};
    pm_gguf_writer_str(writer, KEY("model"), settings->has_kind ? names[settings->kind] : "none");
    pm_status status = PM_OK;
    if (settings->has_kind)
        status = write_tokens(&w);
    if (status == PM_OK && settings->has_kind)
        status = write_kind(&w);
    write_ids(&w);
    if (status == PM_OK)
        status = write_ends(&w);
    if (vocabulary->chat_template)
        pm_gguf_writer_str(writer, "tokenizer.chat_template", vocabulary->chat_template);
    pm_arena_free(&w.arena);
    return status;
}
