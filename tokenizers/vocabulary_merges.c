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
    if (!pm_vocabulary_index_create(&reader->index, n))
        return pm_fail_memory(err, n * 2 * sizeof(pm_index_slot), "the merges");
    const pm_spelling *spellings = vocabulary->spellings;
    int32_t twice =
        pm_vocabulary_index_add(&reader->index, spellings, vocabulary->entries, n, 1u << PM_TOKEN_NORMAL);
    pm_vocabulary_index_add(&reader->index, spellings, vocabulary->entries, n,
                            1u << PM_TOKEN_UNUSED | 1u << PM_TOKEN_USER_DEFINED);
    if (twice == PM_NO_TOKEN)
        return PM_OK;
    char shown[80];
    const pm_vocab_entry *e = &vocabulary->entries[twice];
    uint64_t hash = pm_vocabulary_hash(&reader->index, spellings[twice].text, spellings[twice].n);
    return pm_fail(err, PM_ERR_FORMAT, "%s: tokens %d and %d are the same: %s", spec->source,
                   (int)pm_vocabulary_find(&reader->index, hash), (int)twice,
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

/* Is the token with this id spelled as the concatenation of the two? */
static inline int is_result(const pm_vocabulary *v, int32_t id, const pm_spelling *left, const char *right,
                            size_t n_right)
{
    if ((size_t)id >= v->n_spellings || v->spellings[id].n != left->n + n_right ||
        v->entries[id].kind == PM_TOKEN_UNUSED)
        return 0;
    const char *text = v->spellings[id].text;
    return pm_same_bytes(text + left->n, right, n_right) && pm_same_bytes(text, left->text, left->n);
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
        *result = pm_vocabulary_find(&m->index, pm_vocabulary_hash(&m->index, v->word, n));
        if (*result == PM_NO_TOKEN)
            return fail_merge(m, i, err);
    }
    m->guess = *result >= 0 ? *result : m->guess;
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
        pm_vocab_merge *merge = &v->merges[n];
        merge->left = pm_vocabulary_find(&m->index, m->parts[i][0].hash);
        merge->right = pm_vocabulary_find(&m->index, m->parts[i][1].hash);
        if (merge->left == PM_NO_TOKEN || merge->right == PM_NO_TOKEN)
            return fail_merge(m, i, err);
        PM_TRY(find_result(m, i, &merge->result, err));
        n += merge->left >= 0 && merge->right >= 0 && merge->result >= 0;
    }
    v->spec.n_merges = n;
    m->n = 0;
    return PM_OK;
}
