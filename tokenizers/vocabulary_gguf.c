/* The vocabulary of a GGUF file, in the terms of pumice/plugin.h.
 *
 * Everything in the file is hostile: arrays may be missing, of the wrong type or of different lengths, ids and
 * merges out of range, tokens there twice. Source: the GGUF specification, "tokenizer.ggml.*", and the conventions
 * of the files in circulation where it is silent (said at each place).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/threads.h"
#include "base/utf8.h"
#include "parts/byte_alphabet.h"
#include "vocabulary_gguf.h"
#include "vocabulary_merges.h"

enum { MAX_TOKENS = 1 << 26, MAX_MERGES = 1 << 28 }; /* of the arrays */
enum { WORTH_A_THREAD = 1 << 14 };                   /* tokens, merges */

pm_status gguf_fail_key(const gguf_reading *r, pm_status status, const char *key, const char *what)
{
    return pm_fail(r->err, status, "%s: key '%s' %s", pm_gguf_path(r->file), key, what);
}

/* An array of the given element type, or NULL where the key is absent. */
static pm_status find_array(const gguf_reading *r, const char *key, int is_right_type(pm_gguf_type),
                            uint64_t max_count, const pm_gguf_entry **out)
{
    *out = pm_gguf_find(r->file, key);
    if (!*out)
        return PM_OK;
    if ((*out)->type != PM_GGUF_ARRAY || !is_right_type((*out)->elem_type))
        return gguf_fail_key(r, PM_ERR_FORMAT, key, "is not an array of the right type");
    if ((*out)->count > max_count)
        return pm_fail(r->err, PM_ERR_LIMIT, "%s: key '%s' has %llu elements; at most %llu are supported",
                       pm_gguf_path(r->file), key, (unsigned long long)(*out)->count,
                       (unsigned long long)max_count);
    return PM_OK;
}

static int is_string(pm_gguf_type type)
{
    return type == PM_GGUF_STRING;
}

static int is_float(pm_gguf_type type)
{
    return type == PM_GGUF_FLOAT32 || type == PM_GGUF_FLOAT64;
}

static int is_integer(pm_gguf_type type)
{
    return type != PM_GGUF_STRING && type != PM_GGUF_ARRAY && type != PM_GGUF_BOOL && !is_float(type);
}

/* An array with one element a token, or NULL. */
static pm_status find_per_token(const gguf_reading *r, const char *key, int is_right_type(pm_gguf_type),
                                const pm_gguf_entry **out)
{
    PM_TRY(find_array(r, key, is_right_type, MAX_TOKENS, out));
    if (*out && (*out)->count != r->n)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: key '%s' has %llu elements, but there are %zu tokens",
                       pm_gguf_path(r->file), key, (unsigned long long)(*out)->count, r->n);
    return PM_OK;
}

static char *copy_string(const gguf_reading *r, pm_str s, pm_status *status)
{
    char *copy = pm_arena_strndup(&r->out->arena, s.data, s.size);
    *status = copy ? PM_OK : pm_fail_memory(r->err, s.size + 1, "a string of the tokenizer");
    return copy;
}

/* The string behind *text in an array of strings. Opening the file has checked that they follow each other, each
 * behind its length. */
static void next_string(pm_str *text)
{
    const uint8_t *at = (const uint8_t *)text->data + text->size;
    uint64_t size = (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
                    (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
    *text = (pm_str){(const char *)at + 8, (size_t)size};
}

/* Two halves of something, which `read` does on two threads, or on one where that is not worth while. */
typedef struct halves {
    pm_status (*read)(void *user, int half, pm_error *err);
    void *user;
    pm_status status[2];
    pm_error errors[2];
} halves;

static void read_halves(void *user, int thread, int n_threads)
{
    halves *h = user;
    for (int half = thread; half < 2; half += n_threads)
        h->status[half] = h->read(h->user, half, &h->errors[half]);
}

/* Of n things together. What went wrong in the first half goes before what did in the second. */
static pm_status in_halves(gguf_reading *r, size_t n, pm_status read(void *user, int half, pm_error *err),
                           void *user)
{
    halves h = {.read = read, .user = user};
    int n_threads = n > WORTH_A_THREAD && pm_threads_cores() > 1 ? 2 : 1;
    if (r->threads && pm_threads_count(r->threads) < n_threads) {
        pm_threads_destroy(r->threads);
        r->threads = NULL;
    }
    if (!r->threads)
        PM_TRY(pm_threads_create(n_threads, &r->threads, r->err));
    pm_threads_run(r->threads, read_halves, &h);
    int half = h.status[0] != PM_OK ? 0 : 1;
    if (h.status[half] != PM_OK && r->err)
        *r->err = h.errors[half];
    return h.status[half];
}

/* ---- Tokens ---- */

static pm_status read_kind(const gguf_reading *r, const pm_gguf_entry *types, size_t i, pm_str text,
                           pm_vocab_entry *e)
{
    int64_t kind = PM_TOKEN_NORMAL;
    if (types)
        PM_TRY(pm_gguf_elem_i64(r->file, types, i, &kind, r->err));
    if (kind == 0) /* "undefined" in the files' own list */
        kind = PM_TOKEN_NORMAL;
    if (kind < PM_TOKEN_NORMAL || kind > PM_TOKEN_BYTE)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: token %zu has the unknown type %lld", pm_gguf_path(r->file), i,
                       (long long)kind);
    e->kind = (uint8_t)kind;
    if (kind == PM_TOKEN_BYTE) {
        int byte = pm_byte_of_name(text.data, text.size);
        char shown[40];
        if (byte < 0)
            return pm_fail(r->err, PM_ERR_FORMAT, "%s: token %zu stands for a byte, but is called %s, not <0xNN>",
                           pm_gguf_path(r->file), i, pm_quote(text.data, text.size, shown, sizeof shown));
        e->byte = (uint8_t)byte;
    }
    return PM_OK;
}

/* User-defined tokens are written as they are, but merges spell their bytes. */
static pm_status spell_added(const gguf_reading *r, size_t i)
{
    const pm_vocab_entry *e = &r->entries[i];
    char *spelling = pm_vocabulary_bytes(r->out, 2 * (size_t)e->n_bytes);
    size_t n = spelling ? pm_byte_alphabet_encode(e->bytes, e->n_bytes, spelling) : 0;
    return spelling && pm_vocabulary_spell(r->out, i, spelling, n) ? PM_OK : pm_fail_memory(r->err, n, "a token");
}

/* A byte-level token's bytes. One that is not spelled in the alphabet cannot come out of merges; it keeps its id.
 */
static pm_status undo_spelling(const gguf_reading *r, size_t i)
{
    pm_vocab_entry *e = &r->entries[i];
    if (e->kind == PM_TOKEN_USER_DEFINED)
        return spell_added(r, i);
    if (e->kind != PM_TOKEN_NORMAL && e->kind != PM_TOKEN_UNUSED)
        return PM_OK;
    if (!pm_vocabulary_spell(r->out, i, e->bytes, e->n_bytes))
        return pm_fail_memory(r->err, e->n_bytes, "a token");
    if (pm_byte_alphabet_is_plain(e->bytes, e->n_bytes))
        return PM_OK;
    char *bytes = pm_vocabulary_bytes(r->out, e->n_bytes);
    if (!bytes)
        return pm_fail_memory(r->err, e->n_bytes, "a token");
    size_t n = pm_byte_alphabet_decode(e->bytes, e->n_bytes, bytes);
    if (n == SIZE_MAX) {
        e->kind = PM_TOKEN_UNUSED;
        return PM_OK;
    }
    e->bytes = bytes;
    e->n_bytes = (uint32_t)n;
    return PM_OK;
}

/* BERT's files mark the words, with U+2581 in front, and not what continues them; its own list does the reverse.
 */
static pm_status undo_phantom_space(const gguf_reading *r, pm_vocab_entry *e)
{
    if (e->n_bytes > 3 && memcmp(e->bytes, "\xE2\x96\x81", 3) == 0) {
        e->bytes += 3;
        e->n_bytes -= 3;
        return PM_OK;
    }
    int is_unused = e->n_bytes > 2 && e->bytes[0] == '[' && e->bytes[e->n_bytes - 1] == ']'; /* [unused1] */
    if (is_unused || e->n_bytes == 0 || e->n_bytes > UINT32_MAX - 2)
        return PM_OK;
    char *bytes = pm_vocabulary_bytes(r->out, e->n_bytes + 2);
    if (!bytes)
        return pm_fail_memory(r->err, e->n_bytes + 2, "a token");
    memcpy(bytes, "##", 2);
    memcpy(bytes + 2, e->bytes, e->n_bytes);
    e->bytes = bytes;
    e->n_bytes += 2;
    return PM_OK;
}

static pm_status read_token(const gguf_reading *r, pm_str text, const pm_gguf_entry *types,
                            const pm_gguf_entry *scores, size_t i)
{
    pm_vocab_entry *e = &r->entries[i];
    double score = 0;
    if (text.size > UINT32_MAX)
        return pm_fail(r->err, PM_ERR_LIMIT, "%s: token %zu is too long", pm_gguf_path(r->file), i);
    e->bytes = text.data;
    e->n_bytes = (uint32_t)text.size;
    PM_TRY(read_kind(r, types, i, text, e));
    if (scores)
        PM_TRY(pm_gguf_elem_f64(r->file, scores, i, &score, r->err));
    if (isnan(score))
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the score of token %zu is not a number", pm_gguf_path(r->file),
                       i);
    e->score = score;
    if (r->kind == GGUF_BYTE_LEVEL)
        return undo_spelling(r, i);
    if (r->kind == GGUF_BERT && e->kind == PM_TOKEN_NORMAL)
        return undo_phantom_space(r, e);
    return PM_OK;
}

/* How many bytes the file has from the first token on: at least those behind the array's head. */
static size_t file_bytes_from(const gguf_reading *r, const pm_gguf_entry *tokens)
{
    uint64_t size = pm_gguf_file_size(r->file), head = tokens->file_offset + 4 + 8 + 8;
    return size > head ? (size_t)(size - head) : 0;
}

/* The tokens in two halves, one a thread; the second has memory of its own until it is done. */
typedef struct token_halves {
    const gguf_reading *r;
    const pm_gguf_entry *tokens, *types, *scores;
    pm_vocabulary second;
} token_halves;

static pm_status read_half_of_tokens(void *user, int half, pm_error *err)
{
    token_halves *h = user;
    gguf_reading r = *h->r;
    size_t begin = half ? r.n / 2 : 0, end = half ? r.n : r.n / 2;
    pm_str text = {0};
    r.err = err;
    if (half)
        r.out = &h->second;
    if (begin < end)
        PM_TRY(pm_gguf_elem_str(r.file, h->tokens, begin, &text, r.err));
    for (size_t i = begin; i < end; i++) {
        PM_TRY(read_token(&r, text, h->types, h->scores, i));
        if (i + 1 < end)
            next_string(&text);
    }
    return PM_OK;
}

static pm_status read_all_tokens(gguf_reading *r, token_halves *h)
{
    if (r->kind == GGUF_BYTE_LEVEL && !pm_vocabulary_spell(r->out, r->n - 1, "", 0)) /* room for all spellings */
        return pm_fail_memory(r->err, r->n * sizeof *r->out->hashes, "the tokens");
    h->second = *r->out;
    h->second.arena = (pm_arena){0};
    h->second.bytes = NULL;
    h->second.n_bytes_left = 0;
    pm_status status = in_halves(r, r->n, read_half_of_tokens, h);
    pm_arena_take(&r->out->arena, &h->second.arena);
    return status;
}

static pm_status read_tokens(gguf_reading *r)
{
    const pm_gguf_entry *tokens, *types, *scores;
    PM_TRY(find_array(r, KEY("tokens"), is_string, MAX_TOKENS, &tokens));
    if (!tokens || tokens->count == 0)
        return gguf_fail_key(r, PM_ERR_FORMAT, KEY("tokens"), "is missing or empty: the file has no vocabulary");
    r->n = (size_t)tokens->count;
    PM_TRY(find_per_token(r, KEY("token_type"), is_integer, &types));
    PM_TRY(find_per_token(r, KEY("scores"), is_float, &scores));
    if (!scores && (r->kind == GGUF_LLAMA || r->kind == GGUF_T5))
        return gguf_fail_key(r, PM_ERR_FORMAT, KEY("scores"),
                             "is missing: without scores there is nothing to merge by");
    PM_TRY(pm_vocabulary_extend(r->out, r->n, r->err));
    r->entries = r->out->entries;
    pm_str text;
    PM_TRY(pm_gguf_elem_str(r->file, tokens, 0, &text, r->err));
    pm_vocabulary_set_file(r->out, text.data, file_bytes_from(r, tokens)); /* from here to the end of the file */
    token_halves h = {.r = r, .tokens = tokens, .types = types, .scores = scores};
    return read_all_tokens(r, &h);
}

/* ---- Merges ---- */

/* The first space behind the first byte, or n. Looked for in 16 bytes at once, as how many come before it cannot
 * be foreseen. */
static size_t find_space(const pm_vocabulary *v, const char *text, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    if (n > 1 && (uintptr_t)text - (uintptr_t)v->file_begin < v->n_file_padded) {
        uint64_t words[2];
        memcpy(words, text, sizeof words);
        words[0] |= 1; /* a space no more */
        for (size_t i = 0; i < 2; i++) {
            uint64_t x = words[i] ^ ' ' * ones, zeros = (x - ones) & ~x & 0x80 * ones; /* the lowest is exact */
            size_t at = 8 * i + (zeros ? (size_t)__builtin_ctzll(zeros) / 8 : 8);
            if (zeros || at >= n)
                return at < n ? at : n;
        }
    }
    const char *space = n > 1 ? memchr(text + 1, ' ', n - 1) : NULL;
    return space ? (size_t)(space - text) : n;
}

/* One merge: two tokens with a space between. The first is not empty, so it may start with a space. */
static pm_status read_merge(const gguf_reading *r, pm_merge_reader *reader, size_t i, pm_str text)
{
    size_t n_left = find_space(r->out, text.data, text.size);
    if (n_left + 1 < text.size)
        return pm_merge_reader_add(reader, i, (pm_spelling){text.data, n_left},
                                   (pm_spelling){text.data + n_left + 1, text.size - n_left - 1}, r->err);
    char shown[80];
    return pm_fail(r->err, PM_ERR_FORMAT, "%s: merge %zu, %s, is not two tokens with a space between",
                   pm_gguf_path(r->file), i, pm_quote(text.data, text.size, shown, sizeof shown));
}

/* The merges in two halves, one a thread. */
typedef struct merge_halves {
    const gguf_reading *r;
    const pm_gguf_entry *merges;
    size_t middle;
    pm_merge_reader readers[2];
} merge_halves;

static pm_status read_half_of_merges(void *user, int half, pm_error *err)
{
    merge_halves *h = user;
    gguf_reading r = *h->r;
    size_t begin = half ? h->middle : 0, end = half ? (size_t)h->merges->count : h->middle;
    pm_str text = {0};
    r.err = err;
    if (begin < end)
        PM_TRY(pm_gguf_elem_str(r.file, h->merges, begin, &text, r.err));
    for (size_t i = begin; i < end; i++) {
        PM_TRY(read_merge(&r, &h->readers[half], i, text));
        if (i + 1 < end)
            next_string(&text);
    }
    return pm_merge_reader_finish(&h->readers[half], r.err);
}

/* The merges into out->merges, which has room for them. */
static pm_status read_all_merges(gguf_reading *r, merge_halves *h)
{
    PM_TRY(pm_merge_reader_start(&h->readers[0], r->out, r->err));
    pm_merge_reader_share(&h->readers[0], h->middle, &h->readers[1]);
    PM_TRY(in_halves(r, (size_t)h->merges->count, read_half_of_merges, h));
    size_t n_first = h->readers[0].n_done, n_second = h->readers[1].n_done;
    if (n_second > 0) /* otherwise there may be no memory at all */
        memmove(r->out->merges + n_first, r->out->merges + h->middle, n_second * sizeof *r->out->merges);
    r->out->spec.n_merges = n_first + n_second;
    return PM_OK;
}

/* Merges may name and make user-defined tokens too. */
static pm_status read_merges(gguf_reading *r)
{
    const pm_gguf_entry *merges;
    PM_TRY(find_array(r, KEY("merges"), is_string, MAX_MERGES, &merges));
    if (!merges)
        return gguf_fail_key(r, PM_ERR_FORMAT, KEY("merges"),
                             "is missing: a byte-level vocabulary needs its merges");
    size_t n = (size_t)merges->count;
    if (!pm_vocabulary_reserve(r->out, r->n, n))
        return pm_fail_memory(r->err, n, "merges");
    merge_halves h = {.r = r, .merges = merges, .middle = n / 2};
    pm_status status = read_all_merges(r, &h);
    pm_merge_reader_destroy(&h.readers[1]);
    pm_merge_reader_destroy(&h.readers[0]);
    for (size_t i = 0; i < r->out->spec.n_merges && status == PM_OK; i++) {
        pm_vocab_entry *result = &r->entries[r->out->merges[i].result];
        if (result->kind == PM_TOKEN_USER_DEFINED)
            result->flags |= PM_TOKEN_IN_MODEL;
    }
    return status;
}

/* ---- Special tokens and settings ---- */

/* An id, or what *id was before where the key is absent. */
static pm_status read_id(const gguf_reading *r, const char *key, int32_t *id)
{
    int64_t value = *id;
    pm_status status = pm_gguf_get_i64(r->file, key, &value, r->err);
    if (status == PM_ERR_NOT_FOUND)
        return PM_OK;
    if (status != PM_OK)
        return status;
    if (value < 0 || (uint64_t)value >= r->n)
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: key '%s' is %lld, but there are %zu tokens",
                       pm_gguf_path(r->file), key, (long long)value, r->n);
    *id = (int32_t)value;
    return PM_OK;
}

static int has_kind(const gguf_reading *r, size_t id, pm_token_kind kind)
{
    return id < r->n && r->entries[id].kind == kind;
}

static pm_status read_ends(const gguf_reading *r)
{
    const pm_gguf_entry *list;
    PM_TRY(find_array(r, GGUF_ENDS_KEY, is_integer, MAX_TOKENS, &list));
    if (!list || list->count == 0)
        return PM_OK;
    size_t n = (size_t)list->count;
    int32_t *ends = pm_arena_alloc(&r->out->arena, n * sizeof *ends);
    if (!ends)
        return pm_fail_memory(r->err, n * sizeof *ends, "the tokens that end an answer");
    for (size_t i = 0; i < n; i++) {
        int64_t id;
        PM_TRY(pm_gguf_elem_i64(r->file, list, i, &id, r->err));
        if (id < 0 || (uint64_t)id >= r->n)
            return gguf_fail_key(r, PM_ERR_FORMAT, GGUF_ENDS_KEY, "has an id that is no token's");
        ends[i] = (int32_t)id;
    }
    r->out->ends = ends;
    r->out->n_ends = n;
    return PM_OK;
}

/* Those that the file names. */
static pm_status read_ids(const gguf_reading *r)
{
    pm_tokenizer_spec *spec = &r->out->spec;
    PM_TRY(read_id(r, KEY("bos_token_id"), &spec->bos));
    PM_TRY(read_id(r, KEY("eos_token_id"), &spec->eos));
    PM_TRY(read_id(r, KEY("unknown_token_id"), &spec->unk));
    PM_TRY(read_id(r, KEY("padding_token_id"), &spec->pad));
    PM_TRY(read_id(r, KEY("seperator_token_id"), &spec->sep)); /* as the specification spells it */
    PM_TRY(read_id(r, KEY("cls_token_id"), &spec->cls));
    PM_TRY(read_id(r, KEY("mask_token_id"), &spec->mask));
    PM_TRY(read_id(r, KEY("eot_token_id"), &r->out->eot));
    return read_ends(r);
}

static pm_status read_special_ids(const gguf_reading *r)
{
    pm_tokenizer_spec *spec = &r->out->spec;
    spec->bos = spec->eos = spec->unk = spec->pad = spec->sep = spec->cls = spec->mask = PM_NO_TOKEN;
    r->out->eot = PM_NO_TOKEN;
    if (pm_gguf_find(r->file, KEY("scores"))) { /* SentencePiece's usual places, where the file does not say */
        spec->unk = has_kind(r, 0, PM_TOKEN_UNKNOWN) ? 0 : PM_NO_TOKEN;
        spec->bos = has_kind(r, 1, PM_TOKEN_CONTROL) ? 1 : PM_NO_TOKEN;
        spec->eos = has_kind(r, 2, PM_TOKEN_CONTROL) ? 2 : PM_NO_TOKEN;
    }
    PM_TRY(read_ids(r));
    if (!pm_gguf_find(r->file, KEY("token_type"))) {
        const int32_t control[] = {spec->bos, spec->eos, spec->pad, r->out->eot};
        for (size_t i = 0; i < sizeof control / sizeof control[0]; i++)
            if (control[i] != PM_NO_TOKEN)
                r->entries[control[i]].kind = PM_TOKEN_CONTROL;
    }
    return PM_OK;
}

static pm_status read_flag(const gguf_reading *r, const char *key, int is_default, uint32_t flag)
{
    int value = is_default;
    PM_TRY(gguf_read_setting(r, key, &value));
    if (value)
        r->out->spec.flags |= flag;
    return PM_OK;
}

pm_status gguf_read_setting(const gguf_reading *r, const char *key, int *value)
{
    pm_status status = pm_gguf_get_bool(r->file, key, value, r->err);
    return status == PM_ERR_NOT_FOUND ? PM_OK : status;
}

/* Files name the pre-tokenizer of byte-level vocabularies; what else belongs to it is known by that name. */
static pm_status read_pre_tokenizer(gguf_reading *r)
{
    pm_str name = {"default", 7};
    char shown[60];
    pm_status status = pm_gguf_get_str(r->file, KEY("pre"), &name, r->err);
    if (status != PM_OK && status != PM_ERR_NOT_FOUND)
        return status;
    const char *copy = copy_string(r, name, &status);
    if (status != PM_OK)
        return status;
    r->pre_tokenizer = strlen(copy) == name.size ? pm_gguf_pre_tokenizer_find(copy) : NULL;
    if (!r->pre_tokenizer)
        return pm_fail(r->err, PM_ERR_UNSUPPORTED, "%s: the pre-tokenizer %s is not known", pm_gguf_path(r->file),
                       pm_quote(name.data, name.size, shown, sizeof shown));
    return PM_OK;
}

/* T5 ends its texts with eos, BERT has its own two tokens, LLaMA starts with bos. */
static pm_status read_settings(gguf_reading *r)
{
    pm_tokenizer_spec *spec = &r->out->spec;
    int is_bytes = r->kind == GGUF_BYTE_LEVEL;
    if (is_bytes)
        PM_TRY(read_pre_tokenizer(r));
    if (r->kind == GGUF_BERT) {
        spec->bos = spec->cls != PM_NO_TOKEN ? spec->cls : spec->bos;
        spec->eos = spec->sep != PM_NO_TOKEN ? spec->sep : spec->eos;
    }
    int starts = is_bytes ? r->pre_tokenizer->adds_bos : r->kind != GGUF_T5;
    int ends = r->kind == GGUF_T5 || r->kind == GGUF_BERT;
    PM_TRY(read_flag(r, KEY("add_bos_token"), starts && spec->bos != PM_NO_TOKEN, PM_SPEC_ADD_BOS));
    PM_TRY(read_flag(r, KEY("add_eos_token"), ends && spec->eos != PM_NO_TOKEN, PM_SPEC_ADD_EOS));
    r->adds_space_prefix = !is_bytes;
    PM_TRY(gguf_read_setting(r, KEY("add_space_prefix"), &r->adds_space_prefix));
    if (spec->flags & PM_SPEC_ADD_BOS && spec->bos == PM_NO_TOKEN)
        return gguf_fail_key(r, PM_ERR_FORMAT, KEY("add_bos_token"), "is set, but there is no bos token");
    if (spec->flags & PM_SPEC_ADD_EOS && spec->eos == PM_NO_TOKEN)
        return gguf_fail_key(r, PM_ERR_FORMAT, KEY("add_eos_token"), "is set, but there is no eos token");
    return PM_OK;
}

static pm_status read_chat_template(const gguf_reading *r)
{
    pm_str text;
    pm_status status = pm_gguf_get_str(r->file, "tokenizer.chat_template", &text, r->err);
    if (status == PM_ERR_NOT_FOUND)
        return PM_OK;
    if (status == PM_OK)
        r->out->chat_template = copy_string(r, text, &status);
    return status;
}

/* The file's kind of tokenizer, and what that says of the entries. */
static pm_status read_model(gguf_reading *r)
{
    static const struct {
        const char *gguf, *plugin;
        gguf_kind kind;
        pm_alphabet alphabet;
        const char *space;
    } kinds[] = {
        {"gpt2", "bpe", GGUF_BYTE_LEVEL, PM_ALPHABET_BYTES, NULL},
        {"llama", "bpe", GGUF_LLAMA, PM_ALPHABET_CHARACTERS, "\xE2\x96\x81"},
        {"t5", "unigram", GGUF_T5, PM_ALPHABET_CHARACTERS, "\xE2\x96\x81"},
        {"bert", "wordpiece", GGUF_BERT, PM_ALPHABET_CHARACTERS, NULL},
    };
    pm_str name;
    pm_status status = pm_gguf_get_str(r->file, KEY("model"), &name, r->err);
    if (status == PM_ERR_NOT_FOUND)
        return gguf_fail_key(r, PM_ERR_NOT_FOUND, KEY("model"), "is missing: the file has no tokenizer");
    if (status != PM_OK)
        return status;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strlen(kinds[i].gguf) == name.size && memcmp(kinds[i].gguf, name.data, name.size) == 0) {
            r->kind = kinds[i].kind;
            r->out->spec.model = kinds[i].plugin;
            r->out->spec.alphabet = kinds[i].alphabet;
            r->out->spec.space_symbol = kinds[i].space;
            return PM_OK;
        }
    char shown[60];
    return pm_fail(r->err, PM_ERR_UNSUPPORTED, "%s: tokenizers of kind %s are not supported",
                   pm_gguf_path(r->file), pm_quote(name.data, name.size, shown, sizeof shown));
}

/* A tokenizer.json within the file, with the ids and the template that stand beside it. */
static pm_status read_json(gguf_reading *r)
{
    pm_str text;
    PM_TRY(pm_gguf_get_str(r->file, GGUF_JSON_KEY, &text, r->err));
    PM_TRY(pm_vocabulary_read_hf(r->out, text.data, text.size, r->err));
    r->n = r->out->spec.n_entries;
    PM_TRY(read_ids(r));
    return read_chat_template(r);
}

static pm_status read_keys(gguf_reading *r)
{
    PM_TRY(read_model(r));
    PM_TRY(read_tokens(r));
    PM_TRY(read_special_ids(r));
    if (r->out->spec.alphabet == PM_ALPHABET_BYTES)
        PM_TRY(read_merges(r));
    PM_TRY(read_settings(r));
    PM_TRY(read_chat_template(r));
    PM_TRY(gguf_write_pipeline(r));
    return pm_vocabulary_finish(r->out, r->err);
}

pm_status pm_vocabulary_read_gguf(const pm_gguf *file, pm_vocabulary *out, pm_error *err)
{
    gguf_reading r = {.file = file, .out = out, .err = err};
    PM_TRY(pm_vocabulary_start(out, pm_gguf_path(file), err));
    if (pm_gguf_find(file, GGUF_JSON_KEY))
        return read_json(&r);
    pm_status status = read_keys(&r);
    pm_threads_destroy(r.threads);
    return status;
}
