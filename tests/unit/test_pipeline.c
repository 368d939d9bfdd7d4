/* The pipeline around the model against Hugging Face's tokenizers (data/pipeline.golden): added tokens,
 * post-processors, pairs, spans, truncation, padding; and what batches promise beyond that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts/json_tree.h"
#include "pumice/tokenizer.h"
#include "vocabulary.h"

static const pm_tokenizer_options options = {.plugin_dirs = PUMICE_BUILD_DIR "/plugins"};

static pm_tokenizer *open_json(const char *text)
{
    pm_vocabulary v;
    pm_tokenizer *tokenizer = NULL;
    pm_error err = {PM_OK, ""};
    pm_status status = pm_vocabulary_start(&v, "golden.json", &err);
    if (status == PM_OK)
        status = pm_vocabulary_read_hf(&v, text, strlen(text), &err);
    if (status == PM_OK)
        status = pm_tokenizer_open_spec(&v.spec, &options, &tokenizer, &err);
    pm_vocabulary_free(&v);
    if (status != PM_OK)
        fail_msg("%s", err.message);
    return tokenizer;
}

/* ---- The golden file ---- */

typedef struct golden {
    pm_tokenizer *tokenizer; /* of the lines that follow */
    size_t n_lines, n_texts, n_refused, n_batches;
    size_t n_wrong;
} golden;

static long long number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static long long element(const json_t *array, size_t i)
{
    return json_integer_value(json_array_get(array, i));
}

/* Prints what differs, for the person who looks for the reason. */
static void tell(golden *g, const json_t *line, const char *what, const pm_tokens *tokens)
{
    if (g->n_wrong++ >= 8)
        return;
    char *dumped = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
    fprintf(stderr, "line %zu: %s: %.1500s\n  ours:", g->n_lines, what, dumped);
    for (size_t i = 0; tokens && i < tokens->n; i++)
        fprintf(stderr, " %d[%zu,%zu]", (int)tokens->ids[i], tokens->spans[i].begin, tokens->spans[i].end);
    fprintf(stderr, "\n");
    free(dumped);
}

static const char *difference(const json_t *line, const pm_tokens *tokens)
{
    const json_t *ids = json_object_get(line, "ids"), *spans = json_object_get(line, "spans");
    if (json_array_size(ids) != tokens->n)
        return "number of tokens";
    for (size_t i = 0; i < tokens->n; i++) {
        const json_t *span = json_array_get(spans, i);
        if (element(ids, i) != tokens->ids[i])
            return "ids";
        if (element(json_object_get(line, "types"), i) != tokens->type_ids[i])
            return "type ids";
        if (element(json_object_get(line, "sequences"), i) != tokens->sequences[i])
            return "sequences";
        if (element(span, 0) != (long long)tokens->spans[i].begin ||
            element(span, 1) != (long long)tokens->spans[i].end)
            return "spans";
    }
    return NULL;
}

static void check_text(golden *g, const json_t *line)
{
    const json_t *text = json_object_get(line, "text"), *pair = json_object_get(line, "pair");
    pm_encode_request request = {
        .text = json_string_value(text),
        .size = json_string_length(text),
        .flags = (number(line, "add") ? PM_ENCODE_ADD_SPECIAL : 0) |
                 (number(line, "special") ? PM_ENCODE_PARSE_SPECIAL : 0),
        .with_spans = 1,
        .with_types = 1,
        .pair = json_string_value(pair),
        .pair_size = json_string_length(pair),
        .max_tokens = (size_t)number(line, "max"),
        .truncation = (pm_truncation)number(line, "strategy"),
        .truncate_left = (int)number(line, "left"),
    };
    pm_tokens tokens = {0};
    pm_error err = {PM_OK, ""};
    pm_status status = pm_tokenizer_encode_request(g->tokenizer, &request, &tokens, &err);
    g->n_texts++;
    if (json_object_get(line, "error")) {
        g->n_refused++;
        if (status != PM_ERR_ARGUMENT)
            tell(g, line, "is not refused", NULL);
    } else if (status != PM_OK) {
        tell(g, line, err.message, NULL);
    } else if (difference(line, &tokens)) {
        tell(g, line, difference(line, &tokens), &tokens);
    }
    pm_tokens_free(&tokens);
}

static int row_differs(const json_t *row, const pm_token_batch *batch, size_t i)
{
    const json_t *ids = json_object_get(row, "ids");
    size_t n = batch->starts[i + 1] - batch->starts[i], from = batch->starts[i];
    if (json_array_size(ids) != n)
        return 1;
    for (size_t k = 0; k < n; k++)
        if (element(ids, k) != batch->ids[from + k] ||
            element(json_object_get(row, "mask"), k) != batch->attention_mask[from + k] ||
            element(json_object_get(row, "types"), k) != batch->type_ids[from + k] ||
            element(json_object_get(row, "sequences"), k) != batch->sequences[from + k])
            return 1;
    return 0;
}

/* The settings of truncation and padding are those of the file. */
static void check_batch(golden *g, const json_t *line)
{
    const json_t *given = json_object_get(line, "texts"), *rows = json_object_get(line, "rows");
    pm_batch_text texts[8];
    size_t n = json_array_size(given);
    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_array_get(json_array_get(given, i), 0),
                     *pair = json_array_get(json_array_get(given, i), 1);
        texts[i] = (pm_batch_text){json_string_value(text), json_string_length(text), json_string_value(pair),
                                   json_string_length(pair)};
    }
    pm_batch_options o;
    pm_token_batch batch = {0};
    pm_error err = {PM_OK, ""};
    pm_tokenizer_batch_options(g->tokenizer, &o);
    o.flags = PM_ENCODE_ADD_SPECIAL;
    o.with_types = 1;
    g->n_batches++;
    if (pm_tokenizer_encode_batch(g->tokenizer, texts, n, &o, &batch, &err) != PM_OK)
        fail_msg("line %zu: %s", g->n_lines, err.message);
    assert_int_equal(batch.n, n);
    for (size_t i = 0; i < n; i++)
        if (row_differs(json_array_get(rows, i), &batch, i))
            tell(g, line, "row", NULL);
    pm_token_batch_free(&batch);
}

static void check_line(golden *g, const json_t *line)
{
    json_t *tokenizer = json_object_get(line, "tokenizer");
    if (tokenizer) {
        char *text = json_dumps(tokenizer, 0);
        pm_tokenizer_close(g->tokenizer);
        g->tokenizer = open_json(text);
        free(text);
    } else if (json_object_get(line, "rows")) {
        check_batch(g, line);
    } else {
        check_text(g, line);
    }
}

static void as_hugging_face(void **state)
{
    (void)state;
    golden g = {0};
    char *text = NULL;
    size_t capacity = 0;
    FILE *file = fopen(PUMICE_TEST_DATA "/pipeline.golden", "r");
    assert_non_null(file);
    while (getline(&text, &capacity, file) > 0) {
        json_t *line = json_loads(text, 0, NULL);
        g.n_lines++;
        assert_non_null(line);
        check_line(&g, line);
        json_decref(line);
    }
    free(text);
    fclose(file);
    pm_tokenizer_close(g.tokenizer);
    assert_true(g.n_texts > 600 && g.n_refused > 20 && g.n_batches > 60);
    assert_int_equal(g.n_wrong, 0);
}

/* ---- What is ours ---- */

static const char bert[] =
    "{\"added_tokens\":[{\"id\":3,\"content\":\"[CLS]\",\"special\":true},{\"id\":4,\"content\":\"[PAD]\","
    "\"special\":true}],"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_"
    "id\":0}},"
    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
    "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],\"special_tokens\":{\"[CLS]\":{\"id\":\"[CLS]\",\"ids\":[3],"
    "\"tokens\":[\"[CLS]\"]}}},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a "
    "b\"]}}";

static void fewer_tokens_than_are_added(void **state)
{
    (void)state;
    pm_tokenizer *t = open_json(bert);
    pm_encode_request request = {.text = "abab", .size = 4, .flags = PM_ENCODE_ADD_SPECIAL, .max_tokens = 1};
    pm_tokens tokens = {0};
    pm_error err = {PM_OK, ""};
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_OK);
    assert_int_equal(tokens.n, 1);
    assert_int_equal(tokens.ids[0], 3);
    assert_int_equal(tokens.n_truncated, 2);
    pm_tokens_free(&tokens);
    request.pair = "ab";
    request.pair_size = 2;
    request.truncation = PM_TRUNCATE_ONLY_SECOND;
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_ERR_ARGUMENT);
    request.truncation = (pm_truncation)3;
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_ERR_ARGUMENT);
    pm_tokenizer_close(t);
}

/* Spans in which special tokens are honoured are those of the first sequence. */
static void special_spans_of_a_pair(void **state)
{
    (void)state;
    pm_tokenizer *t = open_json(bert);
    const pm_text_span spans[] = {{0, 5}};
    pm_encode_request request = {.text = "[CLS]a",
                                 .size = 6,
                                 .special_spans = spans,
                                 .n_special_spans = 1,
                                 .with_spans = 1,
                                 .with_types = 1,
                                 .pair = "[CLS]b",
                                 .pair_size = 6};
    pm_tokens tokens = {0};
    pm_error err = {PM_OK, ""};
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_OK);
    assert_int_equal(tokens.n,
                     3); /* what is in brackets in the second is unknown, and there is no token for that */
    assert_int_equal(tokens.ids[0], 3);
    assert_int_equal(tokens.ids[1], 0);
    assert_int_equal(tokens.ids[2], 1);
    assert_int_equal(tokens.spans[2].begin, 5);
    assert_int_equal(tokens.sequences[2], PM_SEQUENCE_SECOND);
    assert_int_equal(tokens.type_ids[2], 1);
    assert_int_equal(tokens.n_unknown_bytes, 5);
    pm_tokens_free(&tokens);
    pm_tokenizer_close(t);
}

enum { MANY = 1500 };

/* The rows are those of single calls, whatever the number of threads. */
static void batches_over_threads(void **state)
{
    (void)state;
    static char text[MANY];
    static pm_batch_text texts[MANY];
    pm_tokenizer *t = open_json(bert);
    pm_error err = {PM_OK, ""};
    for (size_t i = 0; i < MANY; i++) {
        text[i] = i * i % 7 < 3 ? 'a' : 'b';
        texts[i] = (pm_batch_text){text + i / 2, i - i / 2, i % 3 == 0 ? text : NULL, i % 3 == 0 ? i % 50 : 0};
    }
    for (int n_threads = 0; n_threads < 5; n_threads++) {
        pm_token_batch batch = {0};
        pm_batch_options o = {.flags = PM_ENCODE_ADD_SPECIAL,
                              .n_threads = n_threads,
                              .with_spans = 1,
                              .with_types = 1,
                              .padding = PM_PAD_LONGEST,
                              .pad_left = 1,
                              .pad_id = 99 /* not set */,
                              .pad_multiple = 16};
        assert_int_equal(pm_tokenizer_encode_batch(t, texts, MANY, &o, &batch, &err), PM_OK);
        for (size_t i = 0; i < MANY; i++) {
            pm_encode_request request = {.text = texts[i].text,
                                         .size = texts[i].size,
                                         .flags = PM_ENCODE_ADD_SPECIAL,
                                         .with_spans = 1,
                                         .with_types = 1,
                                         .pair = texts[i].pair,
                                         .pair_size = texts[i].pair_size};
            pm_tokens tokens = {0};
            size_t length = batch.starts[i + 1] - batch.starts[i], end = batch.starts[i + 1];
            assert_int_equal(length % 16, 0);
            assert_int_equal(length, batch.starts[1]);
            assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_OK);
            assert_memory_equal(batch.ids + end - tokens.n, tokens.ids, tokens.n * sizeof *tokens.ids);
            assert_memory_equal(batch.spans + end - tokens.n, tokens.spans, tokens.n * sizeof *tokens.spans);
            assert_memory_equal(batch.type_ids + end - tokens.n, tokens.type_ids, tokens.n);
            for (size_t k = batch.starts[i]; k < end; k++) {
                assert_int_equal(batch.attention_mask[k], k >= end - tokens.n);
                if (k < end - tokens.n)
                    assert_int_equal(batch.ids[k], 4); /* the tokenizer's own, as none was set */
            }
            pm_tokens_free(&tokens);
        }
        pm_token_batch_free(&batch);
    }
    pm_tokenizer_close(t);
}

static void assert_same_batch(const pm_token_batch *a, const pm_token_batch *b)
{
    size_t n = a->starts[a->n];
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->starts, b->starts, (a->n + 1) * sizeof *a->starts);
    assert_memory_equal(a->n_unknown_bytes, b->n_unknown_bytes, a->n * sizeof *a->n_unknown_bytes);
    assert_memory_equal(a->n_truncated, b->n_truncated, a->n * sizeof *a->n_truncated);
    assert_memory_equal(a->ids, b->ids, n * sizeof *a->ids);
    assert_memory_equal(a->attention_mask, b->attention_mask, n);
    assert_int_equal(a->spans != NULL, b->spans != NULL);
    assert_int_equal(a->type_ids != NULL, b->type_ids != NULL);
    if (a->spans)
        assert_memory_equal(a->spans, b->spans, n * sizeof *a->spans);
    if (a->type_ids) {
        assert_memory_equal(a->type_ids, b->type_ids, n);
        assert_memory_equal(a->sequences, b->sequences, n);
    }
}

/* A batch that is written over another one, larger or smaller and of other options, is as one of its own. */
static void batches_used_again(void **state)
{
    (void)state;
    static char text[MANY * 40];
    static pm_batch_text texts[MANY];
    pm_tokenizer *t = open_json(bert);
    pm_token_batch again = {0};
    pm_error err = {PM_OK, ""};
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "abc"[i * i % 11 % 3];
    for (size_t i = 0; i < MANY; i++)
        texts[i] = (pm_batch_text){text + i, (i * 37) % (sizeof text - MANY), NULL, 0};
    for (unsigned turn = 0; turn < 48; turn++) {
        pm_batch_options o = {.flags = PM_ENCODE_ADD_SPECIAL,
                              .n_threads = turn % 3 == 2 ? 3 : 1,
                              .with_spans = turn / 2 % 2,
                              .with_types = turn / 4 % 2,
                              .max_tokens = turn % 5 == 1 ? 7 : 0,
                              .padding = turn % 7 < 3 ? PM_PAD_LONGEST : PM_PAD_NONE};
        size_t n = turn * 29 % 60;
        pm_token_batch fresh = {0};
        assert_int_equal(pm_tokenizer_encode_batch(t, texts + turn, n, &o, &fresh, &err), PM_OK);
        assert_int_equal(pm_tokenizer_encode_batch(t, texts + turn, n, &o, &again, &err), PM_OK);
        assert_same_batch(&fresh, &again);
        pm_token_batch_free(&fresh);
    }
    pm_batch_options bad = {.n_threads = -1};
    assert_int_equal(pm_tokenizer_encode_batch(t, texts, 1, &bad, &again, &err), PM_ERR_ARGUMENT);
    assert_null(again.ids);
    assert_null(again.memory);
    pm_tokenizer_close(t);
}

static void batches_that_fail(void **state)
{
    (void)state;
    pm_tokenizer *t = open_json(bert);
    const pm_batch_text texts[] = {{"a", 1, NULL, 0}, {"abb", 3, "a", 1}, {"", 0, NULL, 0}};
    pm_batch_options o = {.max_tokens = 1, .truncation = PM_TRUNCATE_ONLY_FIRST};
    pm_token_batch batch = {0};
    pm_error err = {PM_OK, ""};
    assert_int_equal(pm_tokenizer_encode_batch(t, texts, 3, &o, &batch, &err), PM_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "text 1"));
    assert_null(batch.ids);
    o = (pm_batch_options){.padding = (pm_padding)3};
    assert_int_equal(pm_tokenizer_encode_batch(t, texts, 3, &o, &batch, &err), PM_ERR_ARGUMENT);
    assert_int_equal(pm_tokenizer_encode_batch(t, NULL, 3, NULL, &batch, &err), PM_ERR_ARGUMENT);
    assert_int_equal(pm_tokenizer_encode_batch(t, NULL, 0, NULL, &batch, &err), PM_OK);
    assert_int_equal(batch.n, 0);
    assert_int_equal(batch.starts[0], 0);
    pm_token_batch_free(&batch);
    pm_token_batch_free(&batch);
    o = (pm_batch_options){.padding = PM_PAD_FIXED, .pad_to = SIZE_MAX / 2};
    assert_int_equal(pm_tokenizer_encode_batch(t, texts, 3, &o, &batch, &err), PM_ERR_MEMORY);
    pm_tokenizer_close(t);
}

/* The simplest plugin refuses what it does not know, and says of each token what all have to say. */
static void plugins_without_pairs(void **state)
{
    (void)state;
    const pm_tokenizer_options whitespace = {.plugin = PUMICE_BUILD_DIR "/plugins/whitespace.so"};
    pm_vocabulary v;
    pm_tokenizer *t = NULL;
    pm_tokens tokens = {0};
    pm_error err = {PM_OK, ""};
    assert_int_equal(pm_vocabulary_start(&v, "golden.json", &err), PM_OK);
    assert_int_equal(pm_vocabulary_read_hf(&v, bert, sizeof bert - 1, &err), PM_OK);
    assert_int_equal(pm_tokenizer_open_spec(&v.spec, &whitespace, &t, &err), PM_OK);
    pm_vocabulary_free(&v);
    pm_encode_request request = {.text = "a ab", .size = 4, .with_types = 1};
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_OK);
    assert_int_equal(tokens.n, 2);
    assert_int_equal(tokens.sequences[1], PM_SEQUENCE_FIRST);
    assert_int_equal(tokens.type_ids[0] | tokens.type_ids[1], 0);
    pm_tokens_free(&tokens);
    request.pair = "b";
    request.pair_size = 1;
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_ERR_UNSUPPORTED);
    request.pair = NULL;
    request.max_tokens = 1;
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_ERR_UNSUPPORTED);
    pm_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_hugging_face),         cmocka_unit_test(fewer_tokens_than_are_added),
        cmocka_unit_test(special_spans_of_a_pair), cmocka_unit_test(batches_over_threads),
        cmocka_unit_test(batches_used_again),      cmocka_unit_test(batches_that_fail),
        cmocka_unit_test(plugins_without_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
