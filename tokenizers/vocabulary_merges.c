/* Merges by their spellings: see vocabulary_merges.h. */
#include "vocabulary_merges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "parts/memory.h"

enum { MAX_MERGES = 1 << 28 };

pm_status pm_merge_reader_start(pm_merge_reader *reader, pm_vocabulary *vocabulary, pm_error *err)
{
    const pm_tokenizer_spec *spec = &vocabulary->spec;
    const pm_vocab_entry *entries = vocabulary->entries;
    const uint64_t *hashes = vocabulary->hashes;
    size_t n = vocabulary->n_hashes, n_others;
    *reader = (pm_merge_reader){.vocabulary = vocabulary, .place = "merge "};
    if (!pm_vocabulary_index_create(&reader->index, n))
        return pm_fail_memory(err, n * 2 * sizeof(pm_index_slot), "the merges");
    int32_t twice = pm_vocabulary_index_add(&reader->index, hashes, entries, n, 1u << PM_TOKEN_NORMAL, &n_others);
    if (n_others > 0)
        pm_vocabulary_index_add(&reader->index, hashes, entries, n,
                                1u << PM_TOKEN_UNUSED | 1u << PM_TOKEN_USER_DEFINED, &n_others);
    if (twice == PM_NO_TOKEN)
        return PM_OK;
    char shown[80];
    const pm_vocab_entry *e = &entries[twice];
    return pm_fail(err, PM_ERR_FORMAT, "%s: tokens %d and %d are the same: %s", spec->source,
                   (int)pm_vocabulary_find(&reader->index, hashes[twice]), (int)twice,
                   pm_quote(e->bytes, e->n_bytes, shown, sizeof shown));
}

void pm_merge_reader_destroy(pm_merge_reader *reader)
{
    free(reader->word);
    if (!reader->is_shared)
        pm_vocabulary_index_destroy(&reader->index);
}

void pm_merge_reader_share(const pm_merge_reader *first, size_t begin, pm_merge_reader *second)
{
    *second = (pm_merge_reader){.vocabulary = first->vocabulary,
                                .index = first->index,
                                .is_shared = 1,
                                .prefix = first->prefix,
                                .place = first->place,
                                .begin = begin};
}

static pm_status fail_merge(const pm_merge_reader *m, const pm_merge_spelling *merge, pm_error *err)
{
    const pm_spelling *left = &merge->left, *right = &merge->right;
    char text[80], shown[120];
    int n = snprintf(text, sizeof text, "%.*s %.*s", (int)(left->n < 30 ? left->n : 30), left->text,
                     (int)(right->n < 30 ? right->n : 30), right->text);
    return pm_fail(err, PM_ERR_FORMAT, "%s: %s%zu, %s, names or makes a token that is not there",
                   m->vocabulary->spec.source, m->place, merge->at,
                   pm_quote(text, (size_t)n, shown, sizeof shown));
}

pm_status pm_merge_reader_hash_result(pm_merge_reader *m, pm_merge_spelling *merge, pm_error *err)
{
    const pm_vocabulary *v = m->vocabulary;
    if (merge->right.n < m->prefix)
        return fail_merge(m, merge, err);
    size_t n_right = merge->right.n - m->prefix, n = merge->left.n + n_right;
    if (!pm_grow((void **)&m->word, &m->word_capacity, n + 1, 1))
        return pm_fail_memory(err, n, "a merge");
    memcpy(m->word, merge->left.text, merge->left.n);
    memcpy(m->word + merge->left.n, merge->right.text + m->prefix, n_right);
    merge->left_hash = pm_hash_spelling(v, merge->left.text, merge->left.n);
    merge->right_hash = pm_hash_spelling(v, merge->right.text, merge->right.n);
    merge->result_hash = pm_hash_spelling(v, m->word, n);
    return PM_OK;
}

/* The token that a merge makes: that of the merge before, or the next, or another. */
static int32_t find_result(pm_merge_reader *m, uint64_t hash)
{
    const pm_vocabulary *v = m->vocabulary;
    for (size_t id = (size_t)m->guess; id < (size_t)m->guess + 2 && id < v->n_hashes; id++)
        if (v->hashes[id] == hash && v->entries[id].kind == PM_TOKEN_NORMAL)
            return m->guess = (int32_t)id;
    int32_t found = pm_vocabulary_find(&m->index, hash);
    if (found >= 0)
        m->guess = found;
    return found;
}

pm_status pm_merge_reader_finish(pm_merge_reader *m, pm_error *err)
{
    pm_vocabulary *v = m->vocabulary;
    size_t n = m->begin + m->n_done;
    if (n + m->n > MAX_MERGES)
        return pm_fail(err, PM_ERR_LIMIT, "%s: there are too many merges", v->spec.source);
    if (!pm_table_grow((void **)&v->merges, &v->merges_capacity, n + m->n, sizeof *v->merges))
        return pm_fail_memory(err, (n + m->n) * sizeof *v->merges, "the merges");
    for (size_t i = 0; i < m->n; i++) {
        const pm_merge_spelling *merge = &m->merges[i];
        int32_t left = pm_vocabulary_find(&m->index, merge->left_hash);
        int32_t right = pm_vocabulary_find(&m->index, merge->right_hash);
        int32_t result = find_result(m, merge->result_hash);
        if (left == PM_NO_TOKEN || right == PM_NO_TOKEN || result == PM_NO_TOKEN)
            return fail_merge(m, merge, err);
        v->merges[n] = (pm_vocab_merge){left, right, result};
        n += left >= 0 && right >= 0 && result >= 0; /* not with one that is UNUSED */
    }
    m->n_done = n - m->begin;
    m->n = 0;
    return PM_OK;
}
