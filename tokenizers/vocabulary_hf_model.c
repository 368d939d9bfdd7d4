/* The vocabulary and the merges of a tokenizer.json: megabytes, read in one pass.
 *
 * Tokens that are written as they are stay where they are, in the mapped file; only those with escapes, or with
 * characters that spell other bytes, are copied. A merge names two tokens and makes a third: the two are looked up by
 * hash, many merges at a time so that the memory of one is fetched while another is read; the third is nearly
 * always the token after that of the merge before, or the same, and only otherwise looked up.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "byte_alphabet.h"
#include "parts/plugin_fail.h"
#include "vocabulary_hf.h"
#include "vocabulary_index.h"

enum { BATCH = 32, BATCH_BYTES = 1 << 14, MAX_MERGES = 1 << 28 };

/* ---- Tokens ---- */

/* Every byte stands for itself in the alphabet of byte-level vocabularies. */
static int is_printable_ascii(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] < 0x21 || text[i] > 0x7E)
            return 0;
    return 1;
}

/* Room for n bytes of one word, used again for the next. */
static int reserve_word(pm_vocabulary *v, size_t n)
{
    return pm_grow((void **)&v->word, &v->word_capacity, n > 0 ? n : 1, 1);
}

/* Fills in the entry's bytes from the string that the reader has just read. */
static pm_status set_bytes(const hf_reading *r, const char *text, size_t n, int has_escapes, pm_vocab_entry *e)
{
    pm_vocabulary *v = r->out;
    if (n > INT32_MAX)
        return pm_fail(r->err, PM_ERR_LIMIT, "%s: a token of %zu bytes is too long", r->path, n);
    e->kind = PM_TOKEN_NORMAL;
    e->bytes = text;
    e->n_bytes = (uint32_t)n;
    int as_it_is = !has_escapes && (!r->is_bytes || is_printable_ascii(text, n));
    if (as_it_is)
        return PM_OK;
    char *bytes = pm_vocabulary_bytes(v, n);
    if (!bytes || !reserve_word(v, n))
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

/* A token named by a merge. */
typedef struct merge_part {
    const char *bytes;
    size_t n;
    uint64_t hash;
} merge_part;

typedef struct merge_reading {
    const hf_reading *r;
    pm_vocabulary_index index;
    size_t prefix;  /* bytes that the right token loses when it joins the left one */
    int32_t guess;  /* the token that the merge before made */
    merge_part parts[BATCH][2];
    size_t at[BATCH]; /* where in the file, for messages */
    size_t n;         /* merges under way */
    char *bytes;      /* of those that are not written as they are */
    size_t n_bytes, capacity;
} merge_reading;

static pm_status fail_merge(const merge_reading *m, size_t at, const char *what)
{
    return pm_fail(m->r->err, PM_ERR_FORMAT, "%s: the merge at byte %zu %s", m->r->path, at, what);
}

static int is_entry(const pm_vocabulary *v, int32_t id, const merge_part *left, const char *right, size_t n_right)
{
    if (id < 0 || (size_t)id >= v->spec.n_entries)
        return 0;
    const pm_vocab_entry *e = &v->entries[id];
    return e->kind == PM_TOKEN_NORMAL && e->n_bytes == left->n + n_right &&
           memcmp(e->bytes, left->bytes, left->n) == 0 && memcmp(e->bytes + left->n, right, n_right) == 0;
}

/* The token that a merge makes. */
static pm_status find_result(merge_reading *m, size_t i, int32_t *result)
{
    pm_vocabulary *v = m->r->out;
    const merge_part *left = &m->parts[i][0];
    const char *right = m->parts[i][1].bytes + m->prefix;
    if (m->parts[i][1].n < m->prefix)
        return fail_merge(m, m->at[i], "joins a token that is shorter than the prefix of such tokens");
    size_t n_right = m->parts[i][1].n - m->prefix;
    *result = m->guess;
    if (!is_entry(v, *result, left, right, n_right) && !is_entry(v, ++*result, left, right, n_right)) {
        size_t n = left->n + n_right;
        if (!reserve_word(v, n))
            return pm_fail_memory(m->r->err, n, "a merge");
        memcpy(v->word, left->bytes, left->n);
        memcpy(v->word + left->n, right, n_right);
        *result = pm_vocabulary_find(&m->index, pm_vocabulary_hash(&m->index, v->word, n), v->word, n);
        if (*result == PM_NO_TOKEN)
            return fail_merge(m, m->at[i], "makes a token that is not in the vocabulary");
    }
    m->guess = *result;
    return PM_OK;
}

static pm_status finish_batch(merge_reading *m)
{
    pm_vocabulary *v = m->r->out;
    size_t n = v->spec.n_merges;
    if (n + m->n > MAX_MERGES)
        return pm_fail(m->r->err, PM_ERR_LIMIT, "%s: there are too many merges", m->r->path);
    if (!pm_grow((void **)&v->merges, &v->merges_capacity, n + m->n, sizeof *v->merges))
        return pm_fail_memory(m->r->err, (n + m->n) * sizeof *v->merges, "the merges");
    for (size_t i = 0; i < m->n; i++) {
        const merge_part *part = m->parts[i];
        pm_vocab_merge *merge = &v->merges[n + i];
        merge->left = pm_vocabulary_find(&m->index, part[0].hash, part[0].bytes, part[0].n);
        merge->right = pm_vocabulary_find(&m->index, part[1].hash, part[1].bytes, part[1].n);
        if (merge->left == PM_NO_TOKEN || merge->right == PM_NO_TOKEN)
            return fail_merge(m, m->at[i], "names a token that is not in the vocabulary");
        PM_TRY(find_result(m, i, &merge->result));
    }
    v->spec.n_merges += m->n;
    m->n = m->n_bytes = 0;
    return PM_OK;
}

/* Room for n bytes that stay until the batch is finished. */
static pm_status reserve_batch(merge_reading *m, size_t n)
{
    if (m->n == BATCH || m->n_bytes + n > m->capacity)
        PM_TRY(finish_batch(m));
    size_t most = n > BATCH_BYTES ? n : BATCH_BYTES;
    if (!pm_grow((void **)&m->bytes, &m->capacity, most, 1))
        return pm_fail_memory(m->r->err, n, "a merge");
    return PM_OK;
}

/* Sets the part to the token that is spelled text[0, n); 0 where no byte is spelled like that. Room for n bytes has
 * been made. */
static int set_part(merge_reading *m, merge_part *part, const char *text, size_t n)
{
    part->bytes = text;
    part->n = n;
    if (m->r->is_bytes && !is_printable_ascii(text, n)) {
        char *bytes = m->bytes + m->n_bytes;
        part->n = pm_byte_alphabet_decode(text, n, bytes);
        if (part->n == SIZE_MAX)
            return 0;
        part->bytes = bytes;
        m->n_bytes += part->n;
    }
    part->hash = pm_vocabulary_hash(&m->index, part->bytes, part->n);
    pm_vocabulary_prefetch(&m->index, part->hash);
    return 1;
}

/* One merge is complete but for its escapes: left and right as they are written. A merge that is not spelled in
 * bytes can never be applied to them and is left out. */
static void add_merge(merge_reading *m, size_t at, const char *left, size_t n_left, const char *right,
                      size_t n_right)
{
    if (!set_part(m, &m->parts[m->n][0], left, n_left) || !set_part(m, &m->parts[m->n][1], right, n_right))
        return;
    m->at[m->n++] = at;
}

/* The string that the reader has just read without its escapes, in the memory of the batch. */
static const char *plain_string(merge_reading *m, const pm_json_reader *reader, size_t *n)
{
    *n = reader->n_string;
    if (!reader->has_escapes)
        return reader->string;
    char *plain = m->bytes + m->n_bytes;
    *n = pm_json_unescape(reader->string, reader->n_string, plain);
    m->n_bytes += *n;
    return plain;
}

/* "left right" */
static pm_status read_joined(merge_reading *m, pm_json_reader *reader)
{
    size_t n, at = reader->value_at;
    PM_TRY(reserve_batch(m, 2 * reader->n_string));
    const char *text = plain_string(m, reader, &n);
    if (n >= 8 && memcmp(text, "#version", 8) == 0) /* as in merges.txt, from which these come */
        return PM_OK;
    const char *space = memchr(text, ' ', n);
    size_t n_left = space ? (size_t)(space - text) : 0;
    size_t n_right = space ? n - n_left - 1 : 0;
    if (!space || memchr(space + 1, ' ', n_right))
        return fail_merge(m, at, "is not two tokens with a space between");
    add_merge(m, at, text, n_left, space + 1, n_right);
    return PM_OK;
}

/* ["left", "right"], the bracket having been read */
static pm_status read_pair(merge_reading *m, pm_json_reader *reader)
{
    size_t n_left, n_right, at = reader->value_at;
    if (pm_json_next(reader) != PM_JSON_EVENT_STRING)
        return hf_fail_json(m->r, reader, "a token");
    pm_json_reader first = *reader;
    if (pm_json_next(reader) != PM_JSON_EVENT_STRING)
        return hf_fail_json(m->r, reader, "a second token");
    PM_TRY(reserve_batch(m, 2 * (first.n_string + reader->n_string)));
    const char *left = plain_string(m, &first, &n_left);
    const char *right = plain_string(m, reader, &n_right);
    add_merge(m, at, left, n_left, right, n_right);
    return pm_json_next(reader) == PM_JSON_EVENT_END ? PM_OK : hf_fail_json(m->r, reader, "the end of a merge");
}

static pm_status read_all_merges(merge_reading *m, pm_json_reader *reader)
{
    const hf_reading *r = m->r;
    if (pm_json_next(reader) != PM_JSON_EVENT_ARRAY)
        return hf_fail_json(r, reader, "an array of merges");
    size_t n = r->out->spec.n_entries;
    if (!pm_vocabulary_index_create(&m->index, r->out->entries, n))
        return pm_fail_memory(r->err, n * 16, "the merges");
    int32_t twice = pm_vocabulary_index_add(&m->index, 0, n, 1u << PM_TOKEN_NORMAL);
    if (twice != PM_NO_TOKEN) {
        const pm_vocab_entry *e = &r->out->entries[twice];
        char shown[80];
        return pm_fail(r->err, PM_ERR_FORMAT, "%s: the token %s is there twice", r->path,
                       pm_quote(e->bytes, e->n_bytes, shown, sizeof shown));
    }
    for (;;) {
        switch (pm_json_next(reader)) {
        case PM_JSON_EVENT_STRING:
            PM_TRY(read_joined(m, reader));
            break;
        case PM_JSON_EVENT_ARRAY:
            PM_TRY(read_pair(m, reader));
            break;
        case PM_JSON_EVENT_END:
            return finish_batch(m);
        default:
            return hf_fail_json(r, reader, "a merge");
        }
    }
}

pm_status hf_read_merges(hf_reading *r, pm_json_reader *reader)
{
    merge_reading m = {.r = r, .prefix = r->prefix};
    r->has_merges = 1;
    r->prefix_of_merges = r->prefix;
    r->out->spec.n_merges = 0;
    pm_status status = read_all_merges(&m, reader);
    pm_vocabulary_index_destroy(&m.index);
    free(m.bytes);
    return status;
}
