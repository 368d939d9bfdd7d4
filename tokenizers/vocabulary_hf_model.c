/* The vocabulary and the merges of a tokenizer.json: megabytes, read in one pass.
 *
 * Tokens that are written as they are stay where they are, in the mapped file; only those with escapes, or with
 * characters that spell other bytes, are copied. How merges become ids is in vocabulary_merges.h.
 */
#include <string.h>

#include "base/error.h"
#include "byte_alphabet.h"
#include "vocabulary_hf.h"
#include "vocabulary_merges.h"

/* ---- Tokens ---- */

/* Fills in the entry's bytes from the string that the reader has just read. */
static pm_status set_bytes(const hf_reading *r, const char *text, size_t n, int has_escapes, pm_vocab_entry *e)
{
    pm_vocabulary *v = r->out;
    if (n > INT32_MAX)
        return pm_fail(r->err, PM_ERR_LIMIT, "%s: a token of %zu bytes is too long", r->path, n);
    e->kind = PM_TOKEN_NORMAL;
    e->bytes = text;
    e->n_bytes = (uint32_t)n;
    int as_it_is = !has_escapes && (!r->is_bytes || pm_byte_alphabet_is_plain(text, n));
    if (as_it_is)
        return PM_OK;
    char *bytes = pm_vocabulary_bytes(v, n);
    if (!bytes || !pm_vocabulary_word(v, n))
        return pm_fail_memory(r->err, n, "a token");
    if (has_escapes) {
        n = pm_json_unescape(text, n, v->word);
        text = v->word;
    }
    size_t n_bytes = r->is_bytes ? pm_byte_alphabet_decode(text, n, bytes) : SIZE_MAX;
    if (n_bytes == SIZE_MAX) {
        /* A character outside the alphabet cannot come out of byte-level text: the token keeps its id. */
        if (r->is_bytes)
            e->kind = PM_TOKEN_UNUSED;
        memcpy(bytes, text, n);
        n_bytes = n;
    }
    e->bytes = bytes;
    e->n_bytes = (uint32_t)n_bytes;
    return PM_OK;
}

static pm_status read_ids(hf_reading *r, pm_json_reader *reader)
{
    for (;;) {
        pm_json_event event = pm_json_next(reader);
        if (event == PM_JSON_EVENT_END)
            return PM_OK;
        if (event != PM_JSON_EVENT_KEY)
            return hf_fail_json(r, reader, "a token");
        const char *text = reader->string;
        size_t n = reader->n_string, at = reader->value_at;
        int has_escapes = reader->has_escapes;
        if (pm_json_next(reader) != PM_JSON_EVENT_NUMBER || !reader->is_integer)
            return hf_fail_json(r, reader, "the id of a token");
        /* A file with more ids than bytes is no vocabulary, but an attack on memory. */
        if (reader->integer < 0 || (uint64_t)reader->integer > r->n)
            return pm_fail(r->err, PM_ERR_FORMAT, "%s: the token at byte %zu has the id %lld", r->path, at,
                           (long long)reader->integer);
        size_t id = (size_t)reader->integer;
        if (id >= r->out->spec.n_entries)
            PM_TRY(pm_vocabulary_extend(r->out, id + 1, r->err));
        pm_vocab_entry *e = &r->out->entries[id];
        if (e->kind != PM_TOKEN_UNUSED || e->n_bytes > 0)
            return pm_fail(r->err, PM_ERR_FORMAT, "%s: the token at byte %zu has the id %zu of another", r->path, at,
                           id);
        PM_TRY(set_bytes(r, text, n, has_escapes, e));
    }
}

/* One [piece, score]. */
static pm_status read_scored(hf_reading *r, pm_json_reader *reader)
{
    pm_vocabulary *v = r->out;
    size_t id = v->spec.n_entries;
    PM_TRY(pm_vocabulary_extend(v, id + 1, r->err));
    if (pm_json_next(reader) != PM_JSON_EVENT_STRING)
        return hf_fail_json(r, reader, "a token");
    PM_TRY(set_bytes(r, reader->string, reader->n_string, reader->has_escapes, &v->entries[id]));
    if (pm_json_next(reader) != PM_JSON_EVENT_NUMBER)
        return hf_fail_json(r, reader, "the score of a token");
    v->entries[id].score = reader->number;
    if (pm_json_next(reader) != PM_JSON_EVENT_END)
        return hf_fail_json(r, reader, "the end of [token, score]");
    return PM_OK;
}

pm_status hf_read_vocabulary(hf_reading *r, pm_json_reader *reader)
{
    pm_json_event event = pm_json_next(reader);
    r->has_vocab = 1;
    if (event == PM_JSON_EVENT_OBJECT)
        return read_ids(r, reader);
    if (event != PM_JSON_EVENT_ARRAY)
        return hf_fail_json(r, reader, "an object or array of tokens");
    r->vocab_is_list = 1;
    for (event = pm_json_next(reader); event == PM_JSON_EVENT_ARRAY; event = pm_json_next(reader))
        PM_TRY(read_scored(r, reader));
    return event == PM_JSON_EVENT_END ? PM_OK : hf_fail_json(r, reader, "[token, score]");
}

/* ---- Merges ---- */

/* The string that the reader has just read without its escapes, for which there is room in `merges`. */
static const char *plain_string(pm_merge_reader *merges, const pm_json_reader *reader, size_t *n)
{
    *n = reader->n_string;
    if (!reader->has_escapes)
        return reader->string;
    char *plain = pm_merge_reader_memory(merges);
    *n = pm_json_unescape(reader->string, reader->n_string, plain);
    pm_merge_reader_keep(merges, *n);
    return plain;
}

/* "left right" */
static pm_status read_joined(const hf_reading *r, pm_merge_reader *merges, const pm_json_reader *reader)
{
    size_t n, at = reader->value_at;
    PM_TRY(pm_merge_reader_reserve(merges, 2 * reader->n_string, r->err));
    const char *text = plain_string(merges, reader, &n);
    if (n >= 8 && memcmp(text, "#version", 8) == 0) /* as in merges.txt, from which these come */
        return PM_OK;
    const char *space = memchr(text, ' ', n);
    size_t n_left = space ? (size_t)(space - text) : 0;
    size_t n_right = space ? n - n_left - 1 : 0;
    if (!space || memchr(space + 1, ' ', n_right))
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the merge at byte %zu is not two tokens with a space between",
                       r->path, at);
    return pm_merge_reader_add(merges, at, text, n_left, space + 1, n_right, r->err);
}

/* ["left", "right"], the bracket having been read */
static pm_status read_pair(const hf_reading *r, pm_merge_reader *merges, pm_json_reader *reader)
{
    size_t n_left, n_right, at = reader->value_at;
    if (pm_json_next(reader) != PM_JSON_EVENT_STRING)
        return hf_fail_json(r, reader, "a token");
    pm_json_reader first = *reader;
    if (pm_json_next(reader) != PM_JSON_EVENT_STRING)
        return hf_fail_json(r, reader, "a second token");
    PM_TRY(pm_merge_reader_reserve(merges, 2 * (first.n_string + reader->n_string), r->err));
    const char *left = plain_string(merges, &first, &n_left);
    const char *right = plain_string(merges, reader, &n_right);
    PM_TRY(pm_merge_reader_add(merges, at, left, n_left, right, n_right, r->err));
    return pm_json_next(reader) == PM_JSON_EVENT_END ? PM_OK : hf_fail_json(r, reader, "the end of a merge");
}

static pm_status read_all_merges(const hf_reading *r, pm_merge_reader *merges, pm_json_reader *reader)
{
    if (pm_json_next(reader) != PM_JSON_EVENT_ARRAY)
        return hf_fail_json(r, reader, "an array of merges");
    PM_TRY(pm_merge_reader_start(merges, r->out, 0, r->err));
    merges->is_bytes = r->is_bytes;
    merges->prefix = r->prefix;
    merges->skips_foreign = 1;
    merges->place = "the merge at byte ";
    for (;;) {
        switch (pm_json_next(reader)) {
        case PM_JSON_EVENT_STRING:
            PM_TRY(read_joined(r, merges, reader));
            break;
        case PM_JSON_EVENT_ARRAY:
            PM_TRY(read_pair(r, merges, reader));
            break;
        case PM_JSON_EVENT_END:
            return pm_merge_reader_finish(merges, r->err);
        default:
            return hf_fail_json(r, reader, "a merge");
        }
    }
}

pm_status hf_read_merges(hf_reading *r, pm_json_reader *reader)
{
    pm_merge_reader merges = {0};
    r->has_merges = 1;
    r->prefix_of_merges = r->prefix;
    r->out->spec.n_merges = 0;
    pm_status status = read_all_merges(r, &merges, reader);
    pm_merge_reader_destroy(&merges);
    return status;
}
