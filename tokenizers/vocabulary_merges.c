/* Merges by their spellings: see vocabulary_merges.h. */
#include "vocabulary_merges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "byte_alphabet.h"
#include "parts/plugin_fail.h"

enum { BATCH_BYTES = 1 << 14, MAX_MERGES = 1 << 28 };

pm_status pm_merge_reader_start(pm_merge_reader *reader, pm_vocabulary *vocabulary, int with_added, pm_error *err)
{
    const pm_tokenizer_spec *spec = &vocabulary->spec;
    *reader = (pm_merge_reader){.vocabulary = vocabulary, .place = "merge "};
    if (!pm_vocabulary_index_create(&reader->index, vocabulary->entries, spec->n_entries))
        return pm_fail_memory(err, spec->n_entries * 16, "the merges");
    int32_t twice = pm_vocabulary_index_add(&reader->index, 0, spec->n_entries, 1u << PM_TOKEN_NORMAL);
    if (with_added)
        pm_vocabulary_index_add(&reader->index, 0, spec->n_entries, 1u << PM_TOKEN_USER_DEFINED);
    char shown[80];
    if (twice == PM_NO_TOKEN)
        return PM_OK;
    const pm_vocab_entry *e = &vocabulary->entries[twice];
    uint64_t hash = pm_vocabulary_hash(&reader->index, e->bytes, e->n_bytes);
    return pm_fail(err, PM_ERR_FORMAT, "%s: tokens %d and %d are the same: %s", spec->source,
                   (int)pm_vocabulary_find(&reader->index, hash, e->bytes, e->n_bytes), (int)twice,
                   pm_quote(e->bytes, e->n_bytes, shown, sizeof shown));
}

void pm_merge_reader_destroy(pm_merge_reader *reader)
{
    pm_vocabulary_index_destroy(&reader->index);
    free(reader->bytes);
    reader->bytes = NULL;
}

static pm_status fail_merge(const pm_merge_reader *m, size_t at, const char *left, size_t n_left, const char *right,
                            size_t n_right, pm_error *err)
{
    char text[80], shown[120];
    int n = snprintf(text, sizeof text, "%.*s %.*s", (int)(n_left < 30 ? n_left : 30), left,
                     (int)(n_right < 30 ? n_right : 30), right);
    return pm_fail(err, PM_ERR_FORMAT, "%s: %s%zu, %s, names or makes a token that is not there",
                   m->vocabulary->spec.source, m->place, at, pm_quote(text, (size_t)n, shown, sizeof shown));
}

static pm_status fail_parts(const pm_merge_reader *m, size_t i, pm_error *err)
{
    const pm_merge_part *part = m->parts[i];
    return fail_merge(m, m->at[i], part[0].bytes, part[0].n, part[1].bytes, part[1].n, err);
}

/* Is the entry with this id the concatenation of the two? */
static int is_result(const pm_vocabulary *v, int32_t id, const pm_merge_part *left, const char *right, size_t n_right)
{
    if ((size_t)id >= v->spec.n_entries)
        return 0;
    const pm_vocab_entry *e = &v->entries[id];
    return e->kind == PM_TOKEN_NORMAL && e->n_bytes == left->n + n_right &&
           memcmp(e->bytes, left->bytes, left->n) == 0 && memcmp(e->bytes + left->n, right, n_right) == 0;
}

static pm_status find_result(pm_merge_reader *m, size_t i, int32_t *result, pm_error *err)
{
    pm_vocabulary *v = m->vocabulary;
    const pm_merge_part *left = &m->parts[i][0];
    const char *right = m->parts[i][1].bytes + m->prefix;
    if (m->parts[i][1].n < m->prefix)
        return fail_parts(m, i, err);
    size_t n_right = m->parts[i][1].n - m->prefix;
    *result = m->guess;
    if (!is_result(v, *result, left, right, n_right) && !is_result(v, ++*result, left, right, n_right)) {
        size_t n = left->n + n_right;
        if (!pm_vocabulary_word(v, n))
            return pm_fail_memory(err, n, "a merge");
        memcpy(v->word, left->bytes, left->n);
        memcpy(v->word + left->n, right, n_right);
        *result = pm_vocabulary_find(&m->index, pm_vocabulary_hash(&m->index, v->word, n), v->word, n);
        if (*result == PM_NO_TOKEN)
            return fail_parts(m, i, err);
    }
    m->guess = *result;
    return PM_OK;
}

pm_status pm_merge_reader_finish(pm_merge_reader *m, pm_error *err)
{
    pm_vocabulary *v = m->vocabulary;
    size_t n = v->spec.n_merges;
    if (n + m->n > MAX_MERGES)
        return pm_fail(err, PM_ERR_LIMIT, "%s: there are too many merges", v->spec.source);
    if (!pm_grow((void **)&v->merges, &v->merges_capacity, n + m->n, sizeof *v->merges))
        return pm_fail_memory(err, (n + m->n) * sizeof *v->merges, "the merges");
    for (size_t i = 0; i < m->n; i++) {
        const pm_merge_part *part = m->parts[i];
        pm_vocab_merge *merge = &v->merges[n + i];
        merge->left = pm_vocabulary_find(&m->index, part[0].hash, part[0].bytes, part[0].n);
        merge->right = pm_vocabulary_find(&m->index, part[1].hash, part[1].bytes, part[1].n);
        if (merge->left == PM_NO_TOKEN || merge->right == PM_NO_TOKEN)
            return fail_parts(m, i, err);
        PM_TRY(find_result(m, i, &merge->result, err));
    }
    v->spec.n_merges += m->n;
    m->n = m->n_bytes = 0;
    return PM_OK;
}

pm_status pm_merge_reader_reserve(pm_merge_reader *m, size_t n, pm_error *err)
{
    if (m->n == PM_MERGE_BATCH || m->n_bytes + n > m->capacity)
        PM_TRY(pm_merge_reader_finish(m, err));
    if (n <= m->capacity && m->capacity > 0)
        return PM_OK;
    size_t most = n > BATCH_BYTES ? n : BATCH_BYTES;
    return pm_grow((void **)&m->bytes, &m->capacity, most, 1) ? PM_OK : pm_fail_memory(err, n, "a merge");
}

char *pm_merge_reader_memory(pm_merge_reader *m)
{
    return m->bytes + m->n_bytes;
}

void pm_merge_reader_keep(pm_merge_reader *m, size_t n)
{
    m->n_bytes += n;
}

/* Sets the part to the token that is spelled text[0, n); 0 where no bytes are spelled like that. */
static int set_part(pm_merge_reader *m, pm_merge_part *part, const char *text, size_t n)
{
    part->bytes = text;
    part->n = n;
    if (m->is_bytes && !pm_byte_alphabet_is_plain(text, n)) {
        char *bytes = pm_merge_reader_memory(m);
        part->n = pm_byte_alphabet_decode(text, n, bytes);
        if (part->n == SIZE_MAX)
            return 0;
        part->bytes = bytes;
        pm_merge_reader_keep(m, part->n);
    }
    part->hash = pm_vocabulary_hash(&m->index, part->bytes, part->n);
    pm_vocabulary_prefetch(&m->index, part->hash);
    return 1;
}

pm_status pm_merge_reader_add(pm_merge_reader *m, size_t at, const char *left, size_t n_left, const char *right,
                              size_t n_right, pm_error *err)
{
    if (set_part(m, &m->parts[m->n][0], left, n_left) && set_part(m, &m->parts[m->n][1], right, n_right))
        m->at[m->n++] = at;
    else if (!m->skips_foreign)
        return fail_merge(m, at, left, n_left, right, n_right, err);
    return PM_OK;
}
