/* The vocabulary and the merges of a tokenizer.json: megabytes, read in one pass.
 *
 * Tokens that are written as they are stay where they are, in the mapped file; only those with escapes, or with
 * characters that spell other bytes, are copied. How merges become ids is in vocabulary_merges.h.
 */
#include <string.h>

#include "base/error.h"
#include "parts/byte_alphabet.h"
#include "vocabulary_hf.h"
#include "vocabulary_merges.h"

/* ---- Tokens ---- */

/* The string without its escapes, in memory that stays; text is NULL when there is none. */
static pm_spelling plain_string(const hf_reading *r, const char *text, size_t n, int has_escapes)
{
    if (!has_escapes)
        return (pm_spelling){text, n};
    char *plain = pm_vocabulary_bytes(r->out, n);
    return (pm_spelling){plain, plain ? pm_json_unescape(text, n, plain) : 0};
}

/* Makes the entry that is spelled like this. */
static pm_status set_entry(const hf_reading *r, size_t id, pm_spelling spelling)
{
    pm_vocabulary *v = r->out;
    pm_vocab_entry *e = &v->entries[id];
    if (!spelling.text || (!r->vocab_is_list && !pm_vocabulary_spell(v, id, spelling.text, spelling.n)))
        return pm_fail_memory(r->err, spelling.n, "a token");
    if (spelling.n > INT32_MAX)
        return pm_fail(r->err, PM_ERR_LIMIT, "%s: a token of %zu bytes is too long", r->path, spelling.n);
    e->kind = PM_TOKEN_NORMAL;
    e->bytes = spelling.text;
    e->n_bytes = (uint32_t)spelling.n;
    if (!r->is_bytes || pm_byte_alphabet_is_plain(spelling.text, spelling.n))
        return PM_OK;
    char *bytes = pm_vocabulary_bytes(v, spelling.n);
    if (!bytes)
        return pm_fail_memory(r->err, spelling.n, "a token");
    size_t n_bytes = pm_byte_alphabet_decode(spelling.text, spelling.n, bytes);
    if (n_bytes == SIZE_MAX) {
        /* A character outside the alphabet cannot come out of byte-level text: the token only keeps its id. */
        e->kind = PM_TOKEN_UNUSED;
        return PM_OK;
    }
    e->bytes = bytes;
    e->n_bytes = (uint32_t)n_bytes;
    return PM_OK;
}

/* The next token and its id; *id is negative at the end. */
static pm_status read_id(const hf_reading *r, pm_json_reader *reader, pm_spelling *spelling, int64_t *id)
{
    pm_json_string key;
    uint32_t small;
    if (pm_json_take_id(reader, &key, &small)) {
        *spelling = (pm_spelling){key.text, key.n};
        *id = small;
        return PM_OK;
    }
    pm_json_event event = pm_json_next(reader);
    *id = -1;
    if (event == PM_JSON_EVENT_END)
        return PM_OK;
    if (event != PM_JSON_EVENT_KEY)
        return hf_fail_json(r, reader, "a token");
    *spelling = plain_string(r, reader->string, reader->n_string, reader->has_escapes);
    if (pm_json_next(reader) != PM_JSON_EVENT_NUMBER || !reader->is_integer || reader->integer < 0)
        return hf_fail_json(r, reader, "the id of a token");
    *id = reader->integer;
    return PM_OK;
}

static pm_status read_ids(const hf_reading *r, pm_json_reader *reader)
{
    pm_spelling spelling;
    int64_t id;
    for (;;) {
        PM_TRY(read_id(r, reader, &spelling, &id));
        if (id < 0)
            return PM_OK;
        /* A file with more ids than bytes is no vocabulary, but an attack on memory. */
        if ((uint64_t)id > r->n)
            return pm_fail(r->err, PM_ERR_FORMAT, "%s: the token at byte %zu has the id %lld", r->path,
                           reader->value_at, (long long)id);
        if ((size_t)id >= r->out->spec.n_entries)
            PM_TRY(pm_vocabulary_extend(r->out, (size_t)id + 1, r->err));
        const pm_vocab_entry *e = &r->out->entries[id];
        if (e->kind != PM_TOKEN_UNUSED || e->n_bytes > 0)
            return pm_fail(r->err, PM_ERR_FORMAT, "%s: the token at byte %zu has the id %lld of another", r->path,
                           reader->value_at, (long long)id);
        PM_TRY(set_entry(r, (size_t)id, spelling));
    }
}

/* One [piece, score]. */
static pm_status read_scored(const hf_reading *r, pm_json_reader *reader)
{
    pm_vocabulary *v = r->out;
    size_t id = v->spec.n_entries;
    PM_TRY(pm_vocabulary_extend(v, id + 1, r->err));
    if (pm_json_next(reader) != PM_JSON_EVENT_STRING)
        return hf_fail_json(r, reader, "a token");
    PM_TRY(set_entry(r, id, plain_string(r, reader->string, reader->n_string, reader->has_escapes)));
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
    /* Entries and merges that a file of this size may well have: growing tables copies them. */
    if (!pm_vocabulary_reserve(r->out, r->n / 64, r->n / 24))
        return pm_fail_memory(r->err, r->n, "a vocabulary");
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

/* "left right" */
static pm_status add_joined(const hf_reading *r, pm_merge_reader *merges, size_t at, pm_spelling joined)
{
    if (!joined.text)
        return pm_fail_memory(r->err, joined.n, "a merge");
    if (joined.n >= 8 && joined.text[0] == '#' &&
        memcmp(joined.text, "#version", 8) == 0) /* as in merges.txt, from which these come */
        return PM_OK;
    const char *space = memchr(joined.text, ' ', joined.n);
    size_t n_left = space ? (size_t)(space - joined.text) : 0;
    size_t n_right = space ? joined.n - n_left - 1 : 0;
    if (!space || memchr(space + 1, ' ', n_right))
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the merge at byte %zu is not two tokens with a space between",
                       r->path, at);
    return pm_merge_reader_add(merges, at, (pm_spelling){joined.text, n_left}, (pm_spelling){space + 1, n_right},
                               r->err);
}

/* ["left", "right"], the bracket having been read */
static pm_status read_pair(const hf_reading *r, pm_merge_reader *merges, pm_json_reader *reader)
{
    size_t at = reader->value_at;
    pm_spelling parts[2];
    for (int k = 0; k < 2; k++) {
        if (pm_json_next(reader) != PM_JSON_EVENT_STRING)
            return hf_fail_json(r, reader, k == 0 ? "a token" : "a second token");
        parts[k] = plain_string(r, reader->string, reader->n_string, reader->has_escapes);
        if (!parts[k].text)
            return pm_fail_memory(r->err, reader->n_string, "a merge");
    }
    PM_TRY(pm_merge_reader_add(merges, at, parts[0], parts[1], r->err));
    return pm_json_next(reader) == PM_JSON_EVENT_END ? PM_OK : hf_fail_json(r, reader, "the end of a merge");
}

/* One merge in any form; *is_over at the end of them. */
static pm_status read_merge(const hf_reading *r, pm_merge_reader *merges, pm_json_reader *reader, int *is_over)
{
    switch (pm_json_next(reader)) {
    case PM_JSON_EVENT_STRING:
        return add_joined(r, merges, reader->value_at,
                          plain_string(r, reader->string, reader->n_string, reader->has_escapes));
    case PM_JSON_EVENT_ARRAY:
        return read_pair(r, merges, reader);
    case PM_JSON_EVENT_END:
        *is_over = 1;
        return PM_OK;
    default:
        return hf_fail_json(r, reader, "a merge");
    }
}

static pm_status read_all_merges(const hf_reading *r, pm_merge_reader *merges, pm_json_reader *reader)
{
    pm_json_string pair[2];
    int is_over = 0;
    if (pm_json_next(reader) != PM_JSON_EVENT_ARRAY)
        return hf_fail_json(r, reader, "an array of merges");
    PM_TRY(pm_merge_reader_start(merges, r->out, r->err));
    merges->prefix = r->prefix;
    merges->place = "the merge at byte ";
    while (!is_over) { /* one form, then the other; what is neither goes the long way */
        while (pm_json_take_pair(reader, pair))
            PM_TRY(pm_merge_reader_add(merges, reader->value_at, (pm_spelling){pair[0].text, pair[0].n},
                                       (pm_spelling){pair[1].text, pair[1].n}, r->err));
        while (pm_json_take_string(reader, pair))
            PM_TRY(add_joined(r, merges, reader->value_at, (pm_spelling){pair[0].text, pair[0].n}));
        PM_TRY(read_merge(r, merges, reader, &is_over));
    }
    return pm_merge_reader_finish(merges, r->err);
}

pm_status hf_read_merges(hf_reading *r, pm_json_reader *reader)
{
    pm_merge_reader merges = {0};
    r->has_merges = 1;
    r->prefix_of_merges = r->prefix;
    pm_status status = read_all_merges(r, &merges, reader);
    r->out->spec.n_merges = merges.n_done;
    pm_merge_reader_destroy(&merges);
    return status;
}
