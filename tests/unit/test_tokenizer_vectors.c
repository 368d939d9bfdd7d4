/* The published test sets of released vocabularies: every input must give exactly the expected ids, and decode
 * back.
 *
 * Each set is a vocabulary (.gguf), inputs separated by a line (.inp) and the ids that the original tokenizer
 * gives, one line an input (.out). bert-bge of the same folder is WordPiece, which has no plugin yet, and is not
 * in the list.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mapped_file.h"
#include "pumice/tokenizer.h"
#include "tests/shared_data.h"

static const char *const sets[] = {"gpt-2",          "llama-bpe", "qwen2", "deepseek-llm",
                                   "deepseek-coder", "llama-spm", "phi-3", "bert-bge"};

static const char separator[] = "\n__ggml_vocab_test__\n";

enum { MOST_IDS = 4096 };

static pm_mapped_file map_file(const char *set, const char *ending)
{
    char relative[128], path[1024];
    pm_error err;
    pm_mapped_file file = {0};
    snprintf(relative, sizeof relative, "tokenizers/ggml-vocab-%s.gguf%s", set, ending);
    if (!shared_data_find(relative, path, sizeof path))
        skip();
    if (pm_map_file(path, &file, &err) != PM_OK)
        fail_msg("%s", err.message);
    return file;
}

static pm_tokenizer *open_set(const char *set)
{
    char relative[128], path[1024];
    pm_error err;
    pm_gguf *gguf = NULL;
    pm_tokenizer *tokenizer = NULL;
    snprintf(relative, sizeof relative, "tokenizers/ggml-vocab-%s.gguf", set);
    if (!shared_data_find(relative, path, sizeof path))
        skip();
    if (pm_gguf_open(path, &gguf, &err) != PM_OK || pm_tokenizer_open_gguf(gguf, NULL, &tokenizer, &err) != PM_OK)
        fail_msg("%s", err.message);
    pm_gguf_close(gguf);
    return tokenizer;
}

/* Reads one line of ids and moves *at behind it; returns their number. */
static size_t read_ids(const char **at, const char *end, int32_t *ids)
{
    size_t n = 0;
    while (*at < end && **at != '\n') {
        char *stop;
        ids[n++] = (int32_t)strtol(*at, &stop, 10);
        assert_true(stop > *at && n < MOST_IDS);
        *at = stop;
    }
    *at += *at < end;
    return n;
}

static void check_input(const pm_tokenizer *tokenizer, const char *set, size_t index, const char *text,
                        size_t size, const int32_t *expected, size_t n)
{
    pm_error err;
    pm_tokens tokens = {0};
    if (pm_tokenizer_encode(tokenizer, text, size, 0, &tokens, &err) != PM_OK)
        fail_msg("%s, input %zu: %s", set, index, err.message);
    for (size_t i = 0; i < n && i < tokens.n; i++)
        if (tokens.ids[i] != expected[i])
            fail_msg("%s, input %zu: id %zu is %d instead of %d", set, index, i, (int)tokens.ids[i],
                     (int)expected[i]);
    if (tokens.n != n)
        fail_msg("%s, input %zu: %zu ids instead of %zu", set, index, tokens.n, n);
    char *back = NULL;
    size_t n_back = 0;
    if (pm_tokenizer_decode(tokenizer, tokens.ids, tokens.n, 0, &back, &n_back, &err) != PM_OK)
        fail_msg("%s, input %zu: %s", set, index, err.message);
    /* Decoding gives the text back, but not after BERT's normaliser, which drops case and accents. */
    if (strcmp(set, "bert-bge") != 0 && (n_back != size || memcmp(back, text, size) != 0))
        fail_msg("%s, input %zu decodes to '%s'", set, index, back);
    pm_text_free(back);
    pm_tokens_free(&tokens);
}

static void test_set(void **state)
{
    const char *set = *state;
    pm_mapped_file inputs = map_file(set, ".inp");
    pm_mapped_file outputs = map_file(set, ".out");
    pm_tokenizer *tokenizer = open_set(set);
    const char *text = inputs.data;
    const char *text_end = text + inputs.size;
    const char *ids_at = outputs.data;
    const char *ids_end = ids_at + outputs.size;
    int32_t *expected = malloc(MOST_IDS * sizeof *expected);
    assert_non_null(expected);
    size_t index = 0;
    while (text < text_end) {
        const char *stop = memmem(text, (size_t)(text_end - text), separator, sizeof separator - 1);
        assert_non_null(stop);
        assert_true(ids_at < ids_end);
        size_t n = read_ids(&ids_at, ids_end, expected);
        check_input(tokenizer, set, index++, text, (size_t)(stop - text), expected, n);
        text = stop + sizeof separator - 1;
    }
    assert_int_equal(index, 46);
    assert_true(ids_at == ids_end);
    free(expected);
    pm_tokenizer_close(tokenizer);
    pm_unmap_file(&inputs);
    pm_unmap_file(&outputs);
}

int main(void)
{
    struct CMUnitTest tests[sizeof sets / sizeof sets[0]];
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        tests[i] = (struct CMUnitTest){sets[i], test_set, NULL, NULL, (void *)sets[i]};
    return _cmocka_run_group_tests("tokenizer vectors", tests, sizeof sets / sizeof sets[0], NULL, NULL);
}
