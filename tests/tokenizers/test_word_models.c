/* Unigram, WordPiece and WordLevel on their own: against other implementations (word_models.golden), against
 * textbook versions of the algorithms on random vocabularies and any bytes, and what they cost (steps through the
 * trie). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "tests/tokenizers/random_vocabulary.h"

uint64_t pm_trie_n_steps;

/* ---- Goldens ---- */

static const pm_model_kind *kind_of(const char *name)
{
    const pm_model_kind *const kinds[] = {&unigram_kind, &wordpiece_kind, &wordlevel_kind};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    fail_msg("no model '%s'", name);
    return NULL;
}

static size_t unhex(const char *hex, char *out)
{
    size_t n = 0;
    for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
        out[n] = (char)byte;
    return n;
}

static void check_ids(const word_model_fixture *f, const char *line, unsigned line_number)
{
    size_t n = 0;
    long id;
    for (int used; sscanf(line, "%ld%n", &id, &used) == 1; line += used, n++)
        if (n >= f->n_ids || f->ids[n] != id)
            fail_msg("line %u: id %zu is %d, not %ld", line_number, n, n < f->n_ids ? (int)f->ids[n] : -1, id);
    if (n != f->n_ids)
        fail_msg("line %u: %zu ids, not %zu", line_number, f->n_ids, n);
}

static void goldens(void **state)
{
    (void)state;
    static char line[1 << 13], a[100], b[1 << 13];
    FILE *file = fopen(PUMICE_TEST_DATA "/word_models.golden", "r");
    assert_non_null(file);
    word_model_fixture *f = NULL;
    char options[200] = "";
    const pm_model_kind *kind = NULL;
    unsigned n_texts = 0;
    for (unsigned number = 1, token_kind; fgets(line, sizeof line, file); number++) {
        double score;
        int unk;
        if (sscanf(line, "model %99s %199s %d", a, options, &unk) == 3) {
            if (f)
                fixture_destroy(f);
            kind = kind_of(a);
            f = fixture_create();
            f->spec.unk = unk;
        } else if (sscanf(line, "token %u %la %8191s", &token_kind, &score, b) == 3) {
            unsigned byte = 0;
            fixture_add(f, b, unhex(b, b), token_kind, score);
            if (token_kind == PM_TOKEN_BYTE && sscanf(f->entries[f->n - 1].bytes, "<0x%2x>", &byte) == 1)
                f->entries[f->n - 1].byte = (uint8_t)byte;
        } else if (sscanf(line, "text %8191s", b) == 1) {
            if (!f->kind && fixture_open(f, kind, options) != PM_PLUGIN_OK)
                fail_msg("line %u: %s", number, f->text);
            assert_int_equal(fixture_encode(f, b, unhex(b, b), FIXTURE_IDS), PM_PLUGIN_OK);
            n_texts++;
        } else if (strncmp(line, "ids", 3) == 0)
            check_ids(f, line + 3, number);
    }
    fclose(file);
    fixture_destroy(f);
    assert_in_range(n_texts, 400, 10000);
}

/* ---- Textbook versions ---- */

typedef struct textbook {
    int32_t ids[FIXTURE_IDS];
    size_t begins[FIXTURE_IDS], n;
} textbook;

static void put(textbook *out, int32_t id, size_t begin)
{
    out->ids[out->n] = id;
    out->begins[out->n++] = begin;
}

/* Viterbi over all pairs of places. Unknown neighbours are fused; no token's bytes are those of a fused run. */
static void textbook_unigram(const word_model_fixture *f, int in_float, int byte_fallback, const char *text,
                             size_t n, textbook *out)
{
    static double best[4096];
    static int ids[4096], starts[4096], path[4096];
    double lowest = INFINITY;
    for (size_t i = 0; i < f->n; i++)
        if (f->entries[i].kind == PM_TOKEN_NORMAL || !in_float)
            lowest = fmin(lowest, in_float ? (double)(float)f->entries[i].score : f->entries[i].score);
    for (size_t i = 0; i <= n; i++)
        starts[i] = -1;
    best[0] = 0;
    for (size_t at = 0, length; at < n; at += length) {
        length = pm_read_character(text, at, n).length;
        for (size_t end = at + 1; end <= n && end <= at + 64; end++) {
            int id = find_entry(f, text + at, end - at);
            if (id == PM_NO_TOKEN && (end - at != length))
                continue;
            double score = id == PM_NO_TOKEN ? lowest - 10 : f->entries[id].score;
            if (in_float)
                score = (double)(float)score;
            double sum = in_float ? (double)((float)score + (float)best[at]) : score + best[at];
            if (starts[end] >= 0 && !(sum > best[end]))
                continue;
            best[end] = sum;
            ids[end] = id;
            starts[end] = (int)at;
        }
    }
    int n_path = 0;
    for (int at = (int)n; at > 0; at = starts[at])
        path[n_path++] = at;
    out->n = 0;
    int was_unknown = 0;
    for (int i = n_path; i-- > 0;) {
        int end = path[i];
        int is_unknown = ids[end] == PM_NO_TOKEN;
        if (!is_unknown)
            put(out, ids[end], (size_t)starts[end]);
        else if (byte_fallback)
            for (int k = starts[end]; k < end; k++)
                put(out, (int32_t)(f->n - 256 + (unsigned char)text[k]), (size_t)k);
        else if (!was_unknown)
            put(out, f->spec.unk, (size_t)starts[end]);
        was_unknown = is_unknown;
    }
}

static void textbook_wordpiece(const word_model_fixture *f, const char *prefix, size_t most, const char *text,
                               size_t n, textbook *out)
{
    size_t n_characters = 0;
    for (size_t at = 0; at < n; n_characters++)
        at += pm_read_character(text, at, n).length;
    out->n = 0;
    int is_bad = n_characters > most;
    for (size_t at = 0, end; at < n && !is_bad; at = end) {
        char word[4096];
        size_t n_prefix = at > 0 ? strlen(prefix) : 0;
        memcpy(word, prefix, n_prefix);
        int id = PM_NO_TOKEN;
        for (end = n; end > at; end--) {
            memcpy(word + n_prefix, text + at, end - at);
            id = find_entry(f, word, n_prefix + end - at);
            if (id != PM_NO_TOKEN)
                break;
        }
        is_bad = id == PM_NO_TOKEN;
        if (!is_bad)
            put(out, id, at);
    }
    if (is_bad) {
        out->n = 0;
        put(out, f->spec.unk, 0);
    }
}

static void check_same(const word_model_fixture *f, const textbook *expected, size_t n)
{
    assert_int_equal(f->n_ids, expected->n);
    for (size_t i = 0; i < f->n_ids; i++) {
        assert_int_equal(f->ids[i], expected->ids[i]);
        assert_int_equal(f->spans[i].begin, 1000 + expected->begins[i]);
        assert_int_equal(f->spans[i].end, 1000 + (i + 1 < f->n_ids ? expected->begins[i + 1] : n));
    }
}

/* ---- On random vocabularies ---- */

static void unigram_round(unsigned round, int in_float, int byte_fallback)
{
    static textbook expected;
    char text[2048], options[100];
    const char *alphabet = alphabets[round % 6];
    word_model_fixture *f = fixture_create();
    fixture_add_word(f, "<unk>", PM_TOKEN_UNKNOWN, 0);
    if (round % 6 == 1 && round % 4 != 0) { /* words that can be cut from each other */
        add_random_tokens(f, "ab", "\xE2\x96\x81", 4 + random_below(40), random_below(3));
        alphabet = "aab\xE2\x96\x81";
    } else
        add_random_tokens(f, alphabet, "", 4 + random_below(40), random_below(3));
    if (byte_fallback)
        add_bytes(f);
    f->spec.unk = 0;
    snprintf(options, sizeof options, "{\"sentencepiece\":%s,\"byte_fallback\":%s}", in_float ? "true" : "false",
             byte_fallback ? "true" : "false");
    assert_int_equal(fixture_open(f, &unigram_kind, options), PM_PLUGIN_OK);
    for (unsigned i = 0; i < 40; i++) {
        size_t n = random_text(alphabet, 1 + random_below(i % 8 == 0 ? 400 : 12), i % 3 == 0, text);
        textbook_unigram(f, in_float, byte_fallback, text, n, &expected);
        assert_int_equal(fixture_encode(f, text, n, FIXTURE_IDS), PM_PLUGIN_OK);
        check_same(f, &expected, n);
        assert_int_equal(fixture_encode(f, text, n, FIXTURE_IDS), PM_PLUGIN_OK); /* now its words are remembered */
        check_same(f, &expected, n);
        if (i % 16 == 0)
            fixture_forget(f);
    }
    fixture_destroy(f);
}

static void unigram_like_the_textbook(void **state)
{
    (void)state;
    random_state = 1;
    for (unsigned round = 0; round < 240; round++)
        unigram_round(round, round / 6 % 2 != 0, round / 12 % 2 != 0);
}

static void wordpiece_like_the_textbook(void **state)
{
    (void)state;
    static textbook expected;
    static const char *const prefixes[] = {"##", "", "a", "\xC3\xA9"};
    random_state = 2;
    for (unsigned round = 0; round < 200; round++) {
        char text[2048], options[100];
        const char *prefix = prefixes[round / 6 % 4];
        unsigned most = round % 5 == 0 ? random_below(10) : 100;
        word_model_fixture *f = fixture_create();
        fixture_add_word(f, "[UNK]", PM_TOKEN_UNKNOWN, 0);
        add_random_tokens(f, alphabets[round % 6], prefix, 60, 0);
        snprintf(options, sizeof options,
                 "{\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"%s\","
                 "\"max_input_chars_per_word\":%u}",
                 prefix, most);
        assert_int_equal(fixture_open(f, &wordpiece_kind, options), PM_PLUGIN_OK);
        f->spec.unk = 0; /* for the textbook; the model finds it by its name */
        for (unsigned i = 0; i < 40; i++) {
            size_t n =
                random_text(alphabets[round % 6], 1 + random_below(i % 8 == 0 ? 105 : 12), i % 3 == 0, text);
            textbook_wordpiece(f, prefix, most, text, n, &expected);
            assert_int_equal(fixture_encode(f, text, n, FIXTURE_IDS), PM_PLUGIN_OK);
            check_same(f, &expected, n);
            assert_int_equal(f->n_unknown_bytes, expected.ids[0] == 0 ? n : 0);
        }
        fixture_destroy(f);
    }
}

/* SentencePiece counts anew where a sum falls below -100000: until then floats get coarser, and at the places
 * below a difference of 0.0005 goes under or comes back (the last id is that of "y", or of "xy"), as 0.2.3 does
 * it. */
static void large_sums_are_counted_anew(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        int32_t last;
    } cases[] = {{16381, 3},  {16382, 4},  {100000, 4}, {100001, 3}, {116382, 3},
                 {116383, 4}, {200001, 4}, {200002, 3}, {216383, 3}, {216384, 4}};
    word_model_fixture *f = fixture_create();
    fixture_add_word(f, "<unk>", PM_TOKEN_UNKNOWN, 0);
    fixture_add_word(f, "a", PM_TOKEN_NORMAL, -1);
    fixture_add_word(f, "x", PM_TOKEN_NORMAL, -1);
    fixture_add_word(f, "y", PM_TOKEN_NORMAL, -1);
    fixture_add_word(f, "xy", PM_TOKEN_NORMAL, -2.0005);
    assert_int_equal(fixture_open(f, &unigram_kind, "{\"sentencepiece\":true}"), PM_PLUGIN_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static char text[300000];
        memset(text, 'a', cases[i].n);
        memcpy(text + cases[i].n, "xy", 2);
        assert_int_equal(fixture_encode(f, text, cases[i].n + 2, FIXTURE_IDS), PM_PLUGIN_OK);
        assert_int_equal(f->n_ids, cases[i].n + (cases[i].last == 3 ? 2 : 1));
    }
    fixture_destroy(f);
}

/* ---- What text cannot do ---- */

static void special_tokens_do_not_come_out_of_text(void **state)
{
    (void)state;
    static const char *const words[] = {"<s>", "<unk>", "<0x41>", "a", "<", "s", ">"};
    static const unsigned kinds[] = {PM_TOKEN_CONTROL, PM_TOKEN_UNKNOWN, PM_TOKEN_BYTE, 1, 1, 1, 1};
    const pm_model_kind *const models[] = {&unigram_kind, &unigram_kind, &wordpiece_kind};
    for (size_t m = 0; m < 3; m++) {
        word_model_fixture *f = fixture_create();
        for (size_t i = 0; i < 7; i++)
            fixture_add_word(f, words[i], kinds[i], i < 3 ? 0 : -5);
        f->entries[0].flags = f->entries[1].flags = PM_TOKEN_IN_MODEL;
        f->entries[2].byte = 0x41;
        f->spec.unk = 1;
        const char *options = m == 1 ? "{\"sentencepiece\":true}" : "{\"continuing_subword_prefix\":\"\"}";
        assert_int_equal(fixture_open(f, models[m], options), PM_PLUGIN_OK);
        assert_int_equal(fixture_encode(f, "<s>", 3, FIXTURE_IDS), PM_PLUGIN_OK);
        assert_int_equal(f->n_ids, 3);
        assert_int_equal(f->ids[0], 4);
        assert_int_equal(fixture_encode(f, "<s><s", 5, 2), PM_PLUGIN_OK); /* no room for all */
        assert_int_equal(f->n_ids, 5);
        fixture_destroy(f);
    }
}

static void words_are_whole_in_wordlevel(void **state)
{
    (void)state;
    word_model_fixture *f = fixture_create();
    fixture_add_word(f, "[UNK]", PM_TOKEN_CONTROL, 0);
    fixture_add_word(f, "ab", PM_TOKEN_NORMAL, 0);
    fixture_add_word(f, "abc", PM_TOKEN_NORMAL, 0);
    f->spec.unk = 0;
    assert_int_equal(fixture_open(f, &wordlevel_kind, "{}"), PM_PLUGIN_OK);
    static const struct {
        const char *word;
        int32_t id;
    } cases[] = {{"ab", 1}, {"abc", 2}, {"a", 0}, {"abcd", 0}, {"[UNK]", 0}, {"\xFF", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(fixture_encode(f, cases[i].word, strlen(cases[i].word), FIXTURE_IDS), PM_PLUGIN_OK);
        assert_int_equal(f->n_ids, 1);
        assert_int_equal(f->ids[0], cases[i].id);
    }
    fixture_destroy(f);
}

static void no_unknown_token(void **state)
{
    (void)state;
    const pm_model_kind *const models[] = {&unigram_kind, &wordpiece_kind, &wordlevel_kind};
    for (size_t m = 0; m < 3; m++) {
        word_model_fixture *f = fixture_create();
        fixture_add_word(f, "a", PM_TOKEN_NORMAL, -1);
        assert_int_equal(fixture_open(f, models[m], "{}"), PM_PLUGIN_OK);
        assert_int_equal(fixture_encode(f, "zz", 2, FIXTURE_IDS), PM_PLUGIN_OK);
        assert_int_equal(f->n_ids, 0);
        assert_int_equal(f->n_unknown_bytes, 2);
        fixture_destroy(f);
    }
}

static void bad_settings_are_refused(void **state)
{
    (void)state;
    static const struct {
        const pm_model_kind *kind;
        double score;
        const char *options;
    } cases[] = {{&unigram_kind, INFINITY, "{}"},
                 {&unigram_kind, -1e300, "{}"},
                 {&unigram_kind, -1e30, "{\"sentencepiece\":true}"},
                 {&unigram_kind, 0, "{\"unk_id\":7}"},
                 {&unigram_kind, 0, "{\"unk_id\":-2}"},
                 {&unigram_kind, 0, "{\"unk_id\":0.5}"},
                 {&wordpiece_kind, 0, "{\"max_input_chars_per_word\":-1}"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        word_model_fixture *f = fixture_create();
        fixture_add_word(f, "a", PM_TOKEN_NORMAL, cases[i].score);
        assert_int_equal(fixture_open(f, cases[i].kind, cases[i].options), PM_PLUGIN_FORMAT);
        assert_int_not_equal(strlen(f->text), 0);
        fixture_destroy(f);
    }
}

/* ---- What it costs ---- */

/* Steps for a text of n characters that is as bad as can be: everywhere the longest token nearly fits. */
static uint64_t count_steps(const pm_model_kind *kind, const char *options, size_t n)
{
    word_model_fixture *f = fixture_create();
    fixture_add_word(f, "a", PM_TOKEN_NORMAL, -1);
    fixture_add_word(f, "aaaaaaaaaaaaaaab", PM_TOKEN_NORMAL, -1);
    assert_int_equal(fixture_open(f, kind, options), PM_PLUGIN_OK);
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'a', n);
    pm_trie_n_steps = 0;
    assert_int_equal(fixture_encode(f, text, n, 0), PM_PLUGIN_OK);
    assert_int_equal(f->n_ids, n);
    free(text);
    fixture_destroy(f);
    return pm_trie_n_steps;
}

static void work_is_linear(void **state)
{
    (void)state;
    static const struct {
        const pm_model_kind *kind;
        const char *options;
    } cases[] = {{&unigram_kind, "{}"},
                 {&unigram_kind, "{\"sentencepiece\":true}"},
                 {&wordpiece_kind, "{\"continuing_subword_prefix\":\"\",\"max_input_chars_per_word\":100000000}"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t n = 1000; n <= 1000000; n *= 10) {
            uint64_t steps = count_steps(cases[i].kind, cases[i].options, n);
            assert_in_range(steps, n, 16 * n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens),
        cmocka_unit_test(unigram_like_the_textbook),
        cmocka_unit_test(wordpiece_like_the_textbook),
        cmocka_unit_test(large_sums_are_counted_anew),
        cmocka_unit_test(special_tokens_do_not_come_out_of_text),
        cmocka_unit_test(words_are_whole_in_wordlevel),
        cmocka_unit_test(no_unknown_token),
        cmocka_unit_test(bad_settings_are_refused),
        cmocka_unit_test(work_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
