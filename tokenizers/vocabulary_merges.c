/* Merges by their spellings: see vocabulary_merges.h. */
#include "vocabulary_merges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "parts/plugin_fail.h"

enum { MAX_MERGES = 1 << 28 };

pm_status pm_merge_reader_start(pm_merge_reader *reader, pm_vocabulary *vocabulary, pm_error *err)
{
    const pm_tokenizer_spec *spec = &vocabulary->spec;
    size_t n = vocabulary->n_spellings;
    reader->vocabulary = vocabulary;
    reader->place = "merge ";
    reader->guess = 0;
    reader->prefix = reader->n = 0;
    reader->has_unused = 0;
    for (size_t i = 0; i < n && !reader->has_unused; i++)
        reader->has_unused = vocabulary->entries[i].kind == PM_TOKEN_UNUSED && vocabulary->spellings[i].n > 0;
    if (!pm_vocabulary_index_create(&reader->index, vocabulary->spellings, n))
        return pm_fail_memory(err, n * 16, "the merges");
    int32_t twice = pm_vocabulary_index_add(&reader->index, vocabulary->entries, n, 1u << PM_TOKEN_NORMAL);
    pm_vocabulary_index_add(&reader->index, vocabulary->entries, n,
                            1u << PM_TOKEN_UNUSED | 1u << PM_TOKEN_USER_DEFINED);
    if (twice == PM_NO_TOKEN)
        return PM_OK;
    char shown[80];
    const pm_vocab_entry *e = &vocabulary->entries[twice];
    const pm_spelling *s = &vocabulary->spellings[twice];
    uint64_t hash = pm_vocabulary_hash(&reader->index, s->text, s->n);
    return pm_fail(err, PM_ERR_FORMAT, "%s: tokens %d and %d are the same: %s", spec->source,
                   (int)pm_vocabulary_find(&reader->index, hash, s->text, s->n), (int)twice,
                   pm_quote(e->bytes, e->n_bytes, shown, sizeof shown));
}

void pm_merge_reader_destroy(pm_merge_reader *reader)
{
    pm_vocabulary_index_destroy(&reader->index);
}

static pm_status fail_merge(const pm_merge_reader *m, size_t i, pm_error *err)
{
    const pm_spelling *left = &m->parts[i][0].spelling, *right = &m->parts[i][1].spelling;
    char text[80], shown[120];
    int n = snprintf(text, sizeof text, "%.*s %.*s", (int)(left->n < 30 ? left->n : 30), left->text,
                     (int)(right->n < 30 ? right->n : 30), right->text);
    return pm_fail(err, PM_ERR_FORMAT, "%s: %s%zu, %s, names or makes a token that is not there",
                   m->vocabulary->spec.source, m->place, m->at[i], pm_quote(text, (size_t)n, shown, sizeof shown));
}

/* Is the token with this id, a normal one, the concatenation of the two? */
static int is_result(const pm_vocabulary *v, int32_t id, const pm_spelling *left, const char *right, size_t n_right)
{
    if ((size_t)id >= v->n_spellings || v->entries[id].kind != PM_TOKEN_NORMAL)
        return 0;
    const pm_spelling *s = &v->spellings[id];
    return s->n == left->n + n_right && pm_same_bytes(s->text, left->text, left->n) &&
           pm_same_bytes(s->text + left->n, right, n_right);
}

static pm_status find_result(pm_merge_reader *m, size_t i, int32_t *result, pm_error *err)
{
    pm_vocabulary *v = m->vocabulary;
    const pm_spelling *left = &m->parts[i][0].spelling, *whole = &m->parts[i][1].spelling;
    if (whole->n < m->prefix)
        return fail_merge(m, i, err);
    const char *right = whole->text + m->prefix;
    size_t n_right = whole->n - m->prefix;
    *result = m->guess;
    if (!is_result(v, *result, left, right, n_right) && !is_result(v, ++*result, left, right, n_right)) {
        size_t n = left->n + n_right;
        if (!pm_vocabulary_word(v, n))
            return pm_fail_memory(err, n, "a merge");
        memcpy(v->word, left->text, left->n);
        memcpy(v->word + left->n, right, n_right);
        *result = pm_vocabulary_find(&m->index, pm_vocabulary_hash(&m->index, v->word, n), v->word, n);
        if (*result == PM_NO_TOKEN)
            return fail_merge(m, i, err);
    }
    m->guess = *result;
    return PM_OK;
}

/* The token of a part, whose candidate has been found. */
static int32_t find_part(const pm_merge_reader *m, const pm_merge_part *part)
{
    const pm_spelling *s = &part->spelling;
    if (part->id == PM_NO_TOKEN || pm_vocabulary_is(&m->index, part->id, s->text, s->n))
        return part->id;
    return pm_vocabulary_find(&m->index, part->hash, s->text, s->n);
}

/* Looks at the slots of all parts, then at the places of their spellings, so that the spellings are on their way. */
static void find_candidates(pm_merge_reader *m)
{
    const pm_spelling *spellings = m->index.spellings;
    for (size_t i = 0; i < m->n; i++)
        for (int k = 0; k < 2; k++) {
            pm_merge_part *part = &m->parts[i][k];
            part->id = pm_vocabulary_candidate(&m->index, part->hash);
            if (part->id != PM_NO_TOKEN)
                __builtin_prefetch(&spellings[part->id]);
        }
    for (size_t i = 0; i < m->n; i++)
        for (int k = 0; k < 2; k++)
            if (m->parts[i][k].id != PM_NO_TOKEN)
                __builtin_prefetch(spellings[m->parts[i][k].id].text);
}

static int is_unused(const pm_vocabulary *v, const pm_vocab_merge *merge)
{
    return v->entries[merge->left].kind == PM_TOKEN_UNUSED || v->entries[merge->right].kind == PM_TOKEN_UNUSED ||
           v->entries[merge->result].kind == PM_TOKEN_UNUSED;
}

pm_status pm_merge_reader_finish(pm_merge_reader *m, pm_error *err)
{
    pm_vocabulary *v = m->vocabulary;
    size_t n = v->spec.n_merges;
    if (n + m->n > MAX_MERGES)
        return pm_fail(err, PM_ERR_LIMIT, "%s: there are too many merges", v->spec.source);
    if (!pm_grow((void **)&v->merges, &v->merges_capacity, n + m->n, sizeof *v->merges))
        return pm_fail_memory(err, (n + m->n) * sizeof *v->merges, "the merges");
    find_candidates(m);
    for (size_t i = 0; i < m->n; i++) {
        pm_vocab_merge *merge = &v->merges[n];
        merge->left = find_part(m, &m->parts[i][0]);
        merge->right = find_part(m, &m->parts[i][1]);
        if (merge->left == PM_NO_TOKEN || merge->right == PM_NO_TOKEN)
            return fail_merge(m, i, err);
        PM_TRY(find_result(m, i, &merge->result, err));
        n += !(m->has_unused && is_unused(v, merge));
    }
    v->spec.n_merges = n;
    m->n = 0;
    return PM_OK;
}

pm_status pm_merge_reader_add(pm_merge_reader *m, size_t at, pm_spelling left, pm_spelling right, pm_error *err)
{
    if (m->n == PM_MERGE_BATCH)
        PM_TRY(pm_merge_reader_finish(m, err));
    const pm_spelling both[2] = {left, right};
    for (int k = 0; k < 2; k++) {
        pm_merge_part *part = &m->parts[m->n][k];
        part->spelling = both[k];
        part->hash = pm_vocabulary_hash(&m->index, both[k].text, both[k].n);
        pm_vocabulary_prefetch(&m->index, part->hash);
    }
    m->at[m->n++] = at;
    return PM_OK;
}
