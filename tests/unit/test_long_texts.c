/* Texts that are encoded in parts by several threads become what one thread makes of them: for every expression
 * that has a scanner, on random texts with long runs of one kind, and on texts in which the parts never meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts/byte_alphabet.h"
#include "parts/pre_tokenizer.h"
#include "pumice/tokenizer.h"
#include "tests/tokenizers/splitter_patterns.h"
#include "vocabulary.h"

enum { TEXT_BYTES = 700000 /* five parts and something */ };

/* ---- A tokenizer ---- */

static json_t *split_json(const char *pattern)
{
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", pattern, "behavior",
                     "Isolated", "invert", 0);
}

static json_t *pre_tokenizer_json(const char *const *patterns, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, split_json(patterns[i]));
    json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                                          "trim_offsets", 0, "use_regex", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}

/* All bytes, and a few merges. */
static json_t *model_json(void)
{
    static const char *const merges[] = {"t h", "th e", "e r", "a n", "1 2", "\xC4\xA0 t", "\xC4\xA0t h"};
    json_t *vocab = json_object(), *list = json_array();
    int id = 0;
    for (int byte = 0; byte < 256; byte++) {
        char spelled[8] = "", c = (char)byte;
        spelled[pm_byte_alphabet_encode(&c, 1, spelled)] = 0;
        json_object_set_new(vocab, spelled, json_integer(id++));
    }
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++) {
        char joined[32];
        const char *space = strchr(merges[i], ' ');
        snprintf(joined, sizeof joined, "%.*s%s", (int)(space - merges[i]), merges[i], space + 1);
        json_object_set_new(vocab, joined, json_integer(id++));
        json_array_append_new(list, json_string(merges[i]));
    }
    return json_pack("{s:s, s:o, s:o}", "type", "BPE", "vocab", vocab, "merges", list);
}

static pm_tokenizer *open_tokenizer(const char *const *patterns, size_t n, int *is_one_scanner)
{
    const pm_tokenizer_options options = {.plugin_dirs = PUMICE_BUILD_DIR "/plugins"};
    json_t *root =
        json_pack("{s:o, s:o}", "pre_tokenizer", pre_tokenizer_json(patterns, n), "model", model_json());
    char *text = json_dumps(root, 0), *part = json_dumps(json_object_get(root, "pre_tokenizer"), 0);
    pm_vocabulary v;
    pm_tokenizer *tokenizer = NULL;
    pm_json_tree *tree = NULL;
    pm_pre_tokenizer *pre_tokenizer = NULL;
    pm_error err = {PM_OK, ""};
    assert_int_equal(pm_vocabulary_start(&v, "long.json", &err), PM_OK);
    if (pm_vocabulary_read_hf(&v, text, strlen(text), &err) != PM_OK ||
        pm_tokenizer_open_spec(&v.spec, &options, &tokenizer, &err) != PM_OK)
        fail_msg("%s", err.message);
    assert_int_equal(pm_json_tree_parse(part, strlen(part), &tree, NULL), PM_PLUGIN_OK);
    assert_int_equal(pm_pre_tokenizer_create(pm_json_root(tree), &pre_tokenizer, NULL), PM_PLUGIN_OK);
    *is_one_scanner = pm_pre_tokenizer_scanner(pre_tokenizer) != NULL;
    pm_pre_tokenizer_destroy(pre_tokenizer);
    pm_json_tree_destroy(tree);
    pm_vocabulary_free(&v);
    free(text);
    free(part);
    json_decref(root);
    return tokenizer;
}

/* ---- Texts ---- */

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Runs of one kind, mostly short and now and then of thousands. */
static void fill_text(char *text, size_t n, uint64_t seed)
{
    static const char *const kinds[][6] = {
        {"a", "the", "er", "x", "an", "q"},
        {" ", " ", "  ", "\t", "\xC2\xA0", "\xE3\x80\x80"},
        {"\n", "\r\n", "\n\n", "\r", "\n", " \n"},
        {"1", "12", "7", "\xD9\xA3", "9", "0"},
        {".", "!?", "\"", "/", "'", "(("},
        {"'s", "'re", "'LL", "'t", "'d", "'m"},
        {"\xE3\x81\x82", "\xE3\x82\xAB", "\xE6\xBC\xA2", "\xE5\xAD\x97", "\xED\x95\x9C", "\xE3\x80\x82"},
        {"A", "B", "\xC3\x89", "\xC3\xA9", "e\xCC\x81", "\xC7\x85"},
        {"\xFF", "\xE3\x81", "\x80", "\xF0\x9F\x91", "\xC3", "\x00"},
        {"\xF0\x9F\x91\x8D", "\xE2\x80\x8D", "\xEF\xB8\x8F", "\xCC\x81", "\xD7\x90", "\xE0\xB8\x81"}};
    for (size_t at = 0; at < n;) {
        size_t kind = next_random(&seed) % 10, run = 1 + next_random(&seed) % 8;
        if (next_random(&seed) % 2000 == 0)
            run = 200 + next_random(&seed) % 20000;
        for (; run > 0 && at < n; run--) {
            const char *piece = kinds[kind][next_random(&seed) % 6];
            size_t length = *piece ? strlen(piece) : 1;
            length = length < n - at ? length : n - at;
            memcpy(text + at, piece, length);
            at += length;
        }
    }
}

static void compare(const pm_tokenizer *tokenizer, const char *name, const char *text, size_t n)
{
    const pm_batch_text one = {text, n, NULL, 0};
    pm_token_batch whole = {0}, parts = {0};
    pm_error err = {PM_OK, ""};
    pm_batch_options o = {.n_threads = 1, .with_spans = 1};
    if (pm_tokenizer_encode_batch(tokenizer, &one, 1, &o, &whole, &err) != PM_OK)
        fail_msg("%s: %s", name, err.message);
    for (o.n_threads = 2; o.n_threads < 6; o.n_threads++) {
        o.with_spans = o.n_threads % 2;
        if (pm_tokenizer_encode_batch(tokenizer, &one, 1, &o, &parts, &err) != PM_OK)
            fail_msg("%s: %s", name, err.message);
        if (parts.starts[1] != whole.starts[1])
            fail_msg("%s, %d threads: %zu tokens in place of %zu", name, o.n_threads, parts.starts[1],
                     whole.starts[1]);
        assert_memory_equal(parts.ids, whole.ids, whole.starts[1] * sizeof *whole.ids);
        assert_int_equal(parts.n_unknown_bytes[0], whole.n_unknown_bytes[0]);
        if (o.with_spans)
            assert_memory_equal(parts.spans, whole.spans, whole.starts[1] * sizeof *whole.spans);
    }
    pm_token_batch_free(&whole);
    pm_token_batch_free(&parts);
}

static void compare_texts(const pm_tokenizer *tokenizer, const char *name, uint64_t seed)
{
    char *text = malloc(TEXT_BYTES);
    assert_non_null(text);
    for (size_t i = 0; i < 2; i++) {
        fill_text(text, TEXT_BYTES, 2 * seed + i);
        compare(tokenizer, name, text, TEXT_BYTES - i * 12345);
    }
    free(text);
}

/* ---- Tests ---- */

static void every_scanner(void **state)
{
    (void)state;
    size_t n_in_parts = 0;
    for (size_t i = 0; i < N_SPLITTER_PATTERNS; i++) {
        int is_one_scanner;
        if (strcmp(splitter_patterns[i].name, WHITESPACE_WORDS) == 0)
            continue; /* of characters */
        pm_tokenizer *tokenizer = open_tokenizer(&splitter_patterns[i].pattern, 1, &is_one_scanner);
        compare_texts(tokenizer, splitter_patterns[i].name, i);
        n_in_parts += (size_t)is_one_scanner;
        pm_tokenizer_close(tokenizer);
    }
    assert_true(n_in_parts > 20);
}

static void a_chain_of_scanners(void **state)
{
    (void)state;
    static const char *const names[] = {"numbers by three", "deepseek-v3, han and kana", "deepseek-v3, words"};
    const char *patterns[3] = {NULL, NULL, NULL};
    int is_one_scanner;
    for (size_t i = 0; i < N_SPLITTER_PATTERNS; i++)
        for (size_t k = 0; k < 3; k++)
            if (strcmp(splitter_patterns[i].name, names[k]) == 0)
                patterns[k] = splitter_patterns[i].pattern;
    assert_true(patterns[0] && patterns[1] && patterns[2]);
    pm_tokenizer *tokenizer = open_tokenizer(patterns, 3, &is_one_scanner);
    assert_true(is_one_scanner);
    compare_texts(tokenizer, "deepseek-v3", 77);
    pm_tokenizer_close(tokenizer);
}

/* One piece; pieces that fall out differently by where they begin; nothing but broken characters. */
static void parts_that_never_meet(void **state)
{
    (void)state;
    static char text[TEXT_BYTES];
    int is_one_scanner;
    const char *three = "\\p{N}{1,3}";
    pm_tokenizer *gpt2 = open_tokenizer(&splitter_patterns[0].pattern, 1, &is_one_scanner);
    pm_tokenizer *numbers = open_tokenizer(&three, 1, &is_one_scanner);
    assert_true(is_one_scanner);
    memset(text, 'a', sizeof text);
    compare(gpt2, "one letter", text, sizeof text / 2); /* one piece */
    memset(text, '1', sizeof text);
    compare(numbers, "one digit", text, sizeof text - 1);
    compare(numbers, "one digit", text, sizeof text - 2);
    memset(text, 0x80, sizeof text);
    compare(gpt2, "continuation bytes", text, sizeof text / 2);
    memset(text, ' ', sizeof text);
    compare(gpt2, "spaces", text, sizeof text / 2);
    pm_tokenizer_close(gpt2);
    pm_tokenizer_close(numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scanner),
        cmocka_unit_test(a_chain_of_scanners),
        cmocka_unit_test(parts_that_never_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
