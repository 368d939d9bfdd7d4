/* What text becomes and comes back as: special tokens and who may use them, spans, odd bytes, long texts, streams,
 * the plugin interface's own rules. On a small vocabulary; real ones are compared in test_tokenizer_vectors.c and
 * by tokenizers/peers. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <dlfcn.h>
#include <time.h>
#include <cmocka.h>

#include "base/threads.h"
#include "tests/tokenizer_fixture.h"

static pm_tokenizer *open_fixture(void)
{
    tokenizer_fixture f;
    pm_tokenizer *tokenizer = NULL;
    pm_error err;
    fixture_init(&f);
    if (fixture_open(&f, &tokenizer, &err) != PM_OK)
        fail_msg("%s", err.message);
    return tokenizer;
}

static pm_tokens encode(const pm_tokenizer *tokenizer, const char *text, size_t size, uint32_t flags)
{
    pm_tokens tokens = {0};
    pm_error err;
    if (pm_tokenizer_encode(tokenizer, text, size, flags, &tokens, &err) != PM_OK)
        fail_msg("%s", err.message);
    return tokens;
}

static void check_ids(const pm_tokenizer *tokenizer, const char *text, uint32_t flags, const int32_t *ids,
                      size_t n)
{
    pm_tokens tokens = encode(tokenizer, text, strlen(text), flags);
    if (tokens.n != n || memcmp(tokens.ids, ids, n * sizeof *ids) != 0)
        fail_msg("'%s': %zu ids, first %d", text, tokens.n, tokens.n ? (int)tokens.ids[0] : -1);
    pm_tokens_free(&tokens);
}

#define CHECK_IDS(tokenizer, text, flags, ...)                                                                    \
    check_ids(tokenizer, text, flags, (const int32_t[]){__VA_ARGS__},                                             \
              sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void check_round_trip(const pm_tokenizer *tokenizer, const char *text, size_t size)
{
    pm_tokens tokens = encode(tokenizer, text, size, 0);
    char *back = NULL;
    size_t n_back = 0;
    pm_error err;
    assert_int_equal(pm_tokenizer_decode(tokenizer, tokens.ids, tokens.n, 0, &back, &n_back, &err), PM_OK);
    assert_int_equal(n_back, size);
    assert_memory_equal(back, text, size);
    assert_int_equal(back[n_back], '\0');
    pm_text_free(back);
    pm_tokens_free(&tokens);
}

static void test_merges(void **state)
{
    (void)state;
    pm_tokenizer *t = open_fixture();
    CHECK_IDS(t, "hello", 0, 259);
    CHECK_IDS(t, "hell", 0, 258);
    CHECK_IDS(t, "hello world", 0, 259, 262, 'l', 'd');
    CHECK_IDS(t, "elllo", 0, 'e', 257, 'l', 'o'); /* the leftmost pair first */
    pm_tokens none = encode(t, "", 0, 0);
    assert_int_equal(none.n, 0);
    pm_tokens_free(&none);
    none = encode(t, NULL, 0, PM_ENCODE_PARSE_SPECIAL);
    assert_int_equal(none.n, 0);
    pm_tokens_free(&none);
    pm_tokenizer_close(t);
}

static void test_special_tokens_in_text(void **state)
{
    (void)state;
    pm_tokenizer *t = open_fixture();
    CHECK_IDS(t, "<|im_end|>", PM_ENCODE_PARSE_SPECIAL, FIXTURE_IM_END);
    CHECK_IDS(t, "he<|im_end|>he<|im_start|>", PM_ENCODE_PARSE_SPECIAL, 256, FIXTURE_IM_END, 256,
              FIXTURE_IM_START);
    CHECK_IDS(t, "<|im_end", PM_ENCODE_PARSE_SPECIAL, '<', '|', 'i', 'm', '_', 'e', 'n', 'd');
    CHECK_IDS(t, "<<|im_end|>>", PM_ENCODE_PARSE_SPECIAL, '<', FIXTURE_IM_END, '>');
    CHECK_IDS(t, "<|im_end|>", 0, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>'); /* a user's text */
    CHECK_IDS(t, "he<tool>", 0, 256, FIXTURE_TOOL); /* user-defined tokens always count */
    pm_tokenizer_close(t);
}

/* Special tokens count within the spans that the caller names, and only where they lie wholly in one. */
static void test_special_spans(void **state)
{
    (void)state;
    pm_tokenizer *t = open_fixture();
    const char text[] = "<|im_end|><|im_end|><|im_end|>";
    const pm_text_span spans[] = {{0, 10}, {12, 15}, {20, 30}};
    pm_tokens tokens = {0};
    pm_error err;
    pm_encode_request request = {
        .text = text, .size = 30, .special_spans = spans, .n_special_spans = 3, .with_spans = 1};
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_OK);
    assert_int_equal(tokens.n, 12);
    assert_int_equal(tokens.ids[0], FIXTURE_IM_END);
    assert_int_equal(tokens.ids[1], '<');
    assert_int_equal(tokens.ids[11], FIXTURE_IM_END);
    assert_int_equal(tokens.spans[11].begin, 20);
    assert_int_equal(tokens.spans[11].end, 30);
    pm_tokens_free(&tokens);
    const pm_text_span out_of_place[][2] = {{{5, 4}, {6, 7}}, {{0, 10}, {9, 12}}, {{0, 1}, {2, 31}}};
    for (size_t i = 0; i < 3; i++) {
        request.special_spans = out_of_place[i];
        request.n_special_spans = 2;
        assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_ERR_ARGUMENT);
        assert_non_null(strstr(err.message, "special span"));
    }
    pm_tokenizer_close(t);
}

static void test_added_bos(void **state)
{
    (void)state;
    tokenizer_fixture f;
    pm_tokenizer *t = NULL;
    pm_error err;
    fixture_init(&f);
    f.add_bos = 1;
    gguf_builder *b = fixture_builder(&f);
    gguf_builder_add_bool(b, "tokenizer.ggml.add_eos_token", 1);
    assert_int_equal(fixture_open_builder(b, NULL, &t, &err), PM_OK);
    assert_true(pm_tokenizer_adds_bos(t) && pm_tokenizer_adds_eos(t));
    CHECK_IDS(t, "he", PM_ENCODE_ADD_SPECIAL, FIXTURE_IM_START, 256, FIXTURE_IM_END);
    CHECK_IDS(t, "", PM_ENCODE_ADD_SPECIAL, FIXTURE_IM_START, FIXTURE_IM_END);
    CHECK_IDS(t, "he", 0, 256);
    char *text = NULL;
    size_t size;
    const int32_t ids[] = {FIXTURE_IM_START, 256, FIXTURE_IM_END};
    assert_int_equal(pm_tokenizer_decode(t, ids, 3, 0, &text, &size, &err), PM_OK);
    assert_string_equal(text, "<|im_start|>he<|im_end|>");
    pm_text_free(text);
    assert_int_equal(pm_tokenizer_decode(t, ids, 3, PM_DECODE_SKIP_SPECIAL, &text, &size, &err), PM_OK);
    assert_string_equal(text, "he");
    pm_text_free(text);
    pm_tokenizer_close(t);
}

/* Spans follow each other and cover the whole text. */
static void test_spans(void **state)
{
    (void)state;
    pm_tokenizer *t = open_fixture();
    const char text[] = "hello wor\xFFld <tool>\xE4\xB8\x96\n\n x";
    pm_tokens tokens = {0};
    pm_error err;
    pm_encode_request request = {.text = text, .size = sizeof text - 1, .with_spans = 1};
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_OK);
    size_t before = 0;
    for (size_t i = 0; i < tokens.n; i++) {
        size_t size;
        const char *bytes = pm_tokenizer_token_bytes(t, tokens.ids[i], &size);
        assert_int_equal(tokens.spans[i].begin, before);
        assert_int_equal(tokens.spans[i].end, before + size);
        assert_memory_equal(text + before, bytes, size);
        before += size;
    }
    assert_int_equal(before, sizeof text - 1);
    pm_tokens_free(&tokens);
    pm_tokenizer_close(t);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Half of the bytes from a short list, the others any. */
static void fill_random(uint32_t *seed, const char *often, char *text, size_t n)
{
    size_t n_often = strlen(often);
    for (size_t i = 0; i < n; i++) {
        uint32_t any = next_random(seed);
        text[i] = next_random(seed) % 2 ? often[any % n_often] : (char)any;
    }
}

/* qwen2 cuts as stablelm2 does, but makes its text NFC first. */
static void test_any_bytes(void **state)
{
    (void)state;
    static const char *const pres[] = {"gpt-2",        "smollm",         "llama-bpe", "stablelm2",
                                       "deepseek-llm", "deepseek-coder", "default"};
    uint32_t seed = 1;
    for (size_t p = 0; p < sizeof pres / sizeof pres[0]; p++) {
        tokenizer_fixture f;
        pm_tokenizer *t = NULL;
        pm_error err;
        fixture_init(&f);
        f.pre = pres[p];
        if (fixture_open(&f, &t, &err) != PM_OK)
            fail_msg("%s", err.message);
        for (int round = 0; round < 2000; round++) {
            char text[64];
            size_t n = next_random(&seed) % sizeof text;
            fill_random(&seed, "hello wor'\r\n\t3\xE3\xC3\xF0\x80\xBF", text, n);
            check_round_trip(t, text, n);
        }
        check_round_trip(t, "\0\0he\0", 5);
        pm_tokenizer_close(t);
    }
}

/* Bytes that the vocabulary lacks are counted and left out, and what is around them meets. */
static void test_missing_bytes(void **state)
{
    (void)state;
    tokenizer_fixture f;
    pm_tokenizer *t = NULL;
    pm_error err;
    fixture_init(&f);
    f.tokens['x'] = "no longer x";
    assert_int_equal(fixture_open(&f, &t, &err), PM_OK);
    pm_tokens tokens = encode(t, "xhxexx", 6, 0);
    assert_int_equal(tokens.n, 1);
    assert_int_equal(tokens.ids[0], 256);
    assert_int_equal(tokens.n_unknown_bytes, 4);
    pm_tokens_free(&tokens);
    pm_tokenizer_close(t);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* A megabyte of one piece: n log n takes well under a second even with sanitizers, n squared would take an hour.
 */
static void test_megabyte_without_spaces(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    static const char *const patterns[] = {"hello", "l", "lo", "\xC3\xA9", "\xFF", " ", "\n", " \n"};
    char *text = malloc(SIZE);
    assert_non_null(text);
    pm_tokenizer *t = open_fixture();
    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
        size_t n = strlen(patterns[p]);
        for (size_t i = 0; i < SIZE; i++)
            text[i] = patterns[p][i % n];
        double start = seconds();
        check_round_trip(t, text, SIZE);
        double took = seconds() - start;
        if (took > 30)
            fail_msg("pattern %zu took %.1f s", p, took);
    }
    pm_tokens tokens = encode(t, text, 0, 0);
    pm_tokens_free(&tokens);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = "hello"[i % 5];
    tokens = encode(t, text, SIZE / 5 * 5, 0);
    assert_int_equal(tokens.n, SIZE / 5);
    assert_int_equal(tokens.ids[SIZE / 5 - 1], 259);
    pm_tokens_free(&tokens);
    pm_tokenizer_close(t);
    free(text);
}

/* The long way of merging and the short one agree: the same word alone and within a long piece of the same. */
static void test_long_and_short_pieces_agree(void **state)
{
    (void)state;
    pm_tokenizer *t = open_fixture();
    uint32_t seed = 7;
    for (int round = 0; round < 300; round++) {
        /* Pieces of letters only, cut by a space each: "he" "ll" "or" merge, and no merge crosses "x". */
        char text[400];
        size_t n = 33 + next_random(&seed) % 360;
        for (size_t i = 0; i < n; i++)
            text[i] = "helowrx"[next_random(&seed) % 7];
        pm_tokens whole = encode(t, text, n, 0);
        size_t at = 0;
        for (size_t begin = 0; begin < n;) {
            size_t end = begin;
            while (end < n && text[end] != 'x')
                end++;
            end += end < n;
            pm_tokens part = encode(t, text + begin, end - begin, 0);
            assert_true(at + part.n <= whole.n);
            assert_memory_equal(whole.ids + at, part.ids, part.n * sizeof *part.ids);
            at += part.n;
            begin = end;
            pm_tokens_free(&part);
        }
        assert_int_equal(at, whole.n);
        pm_tokens_free(&whole);
    }
    pm_tokenizer_close(t);
}

/* ---- SentencePiece ---- */

static pm_tokenizer *open_sentencepiece(int with_bytes)
{
    enum { BYTES = 256 };
    static const char *const pieces[] = {"\xE2\x96\x81",
                                         "a",
                                         "b",
                                         "ab",
                                         "\xE2\x96\x81"
                                         "a",
                                         "\xE2\x96\x81"
                                         "ab",
                                         "cd"};
    static const float piece_scores[] = {-10, -11, -12, -3, -2, -1, -4};
    const char *tokens[3 + BYTES + 7];
    int32_t types[3 + BYTES + 7];
    float scores[3 + BYTES + 7] = {0};
    char names[BYTES][8];
    size_t n = 0;
    tokens[n] = "<unk>", types[n++] = PM_TOKEN_UNKNOWN;
    tokens[n] = "<s>", types[n++] = PM_TOKEN_CONTROL;
    tokens[n] = "</s>", types[n++] = PM_TOKEN_CONTROL;
    for (size_t i = 0; i < 7; i++) {
        tokens[n] = pieces[i];
        scores[n] = piece_scores[i];
        types[n++] = PM_TOKEN_NORMAL;
    }
    for (unsigned i = 0; with_bytes && i < BYTES; i++) {
        snprintf(names[i], sizeof names[i], "<0x%02X>", i);
        tokens[n] = names[i], types[n++] = PM_TOKEN_BYTE;
    }
    gguf_builder *b = gguf_builder_create(3);
    gguf_builder_add_str(b, "tokenizer.ggml.model", "llama");
    gguf_builder_add_str_array(b, "tokenizer.ggml.tokens", tokens, n);
    gguf_builder_add_array(b, "tokenizer.ggml.token_type", PM_GGUF_INT32, types, n);
    gguf_builder_add_array(b, "tokenizer.ggml.scores", PM_GGUF_FLOAT32, scores, n);
    pm_tokenizer *tokenizer = NULL;
    pm_error err;
    if (fixture_open_builder(b, NULL, &tokenizer, &err) != PM_OK)
        fail_msg("%s", err.message);
    return tokenizer;
}

static void test_sentencepiece(void **state)
{
    (void)state;
    pm_tokenizer *t = open_sentencepiece(1);
    assert_int_equal(pm_tokenizer_bos(t), 1);
    assert_int_equal(pm_tokenizer_unk(t), 0);
    assert_true(pm_tokenizer_adds_bos(t));
    assert_true(pm_tokenizer_is_end_of_generation(t, 2));
    CHECK_IDS(t, "ab", 0, 8); /* with the space before it */
    CHECK_IDS(t, "aab", 0, 7, 6);
    CHECK_IDS(t, "ab", PM_ENCODE_CONTINUATION, 6);
    CHECK_IDS(t, " ab", 0, 3, 8);
    CHECK_IDS(t, "cd", 0, 3, 9);       /* "cd" is a token though "c" and "d" are not */
    CHECK_IDS(t, "c", 0, 3, 10 + 'c'); /* alone it is its byte */
    CHECK_IDS(t, "ab</s>ab", PM_ENCODE_PARSE_SPECIAL, 8, 2, 8);
    CHECK_IDS(t, "\xC3\xA9\xFF", 0, 3, 10 + 0xC3, 10 + 0xA9, 10 + 0xFF);
    CHECK_IDS(t, "a", PM_ENCODE_ADD_SPECIAL, 1, 7);
    uint32_t seed = 3;
    for (int round = 0; round < 3000; round++) {
        char text[48];
        size_t n = next_random(&seed) % sizeof text;
        fill_random(&seed, "abcd  ", text, n);
        if (!memmem(text, n, "\xE2\x96\x81", 3)) /* that is a space to these vocabularies */
            check_round_trip(t, text, n);
    }
    pm_tokenizer_close(t);
    t = open_sentencepiece(0);
    pm_tokens tokens = encode(t, "a\xC3\xA9zb", 5, 0); /* no byte tokens: one unk for a run */
    assert_int_equal(tokens.n, 3);
    assert_int_equal(tokens.ids[1], 0);
    assert_int_equal(tokens.n_unknown_bytes, 3);
    pm_tokens_free(&tokens);
    pm_tokenizer_close(t);
}

/* ---- Streams ---- */

static void push(pm_decode_stream *stream, int32_t id, const char *expected)
{
    const char *text;
    size_t size;
    pm_error err;
    assert_int_equal(pm_decode_stream_push(stream, id, &text, &size, &err), PM_OK);
    assert_string_equal(text, expected);
    assert_int_equal(size, strlen(expected));
}

static void flush(pm_decode_stream *stream, const char *expected)
{
    const char *text;
    size_t size;
    pm_error err;
    assert_int_equal(pm_decode_stream_flush(stream, &text, &size, &err), PM_OK);
    assert_string_equal(text, expected);
    assert_int_equal(size, strlen(expected));
}

static void test_decode_stream(void **state)
{
    (void)state;
    pm_tokenizer *t = open_fixture();
    pm_decode_stream *stream = NULL;
    pm_error err;
    const char *text;
    size_t size;
    assert_int_equal(pm_decode_stream_create(t, PM_DECODE_SKIP_SPECIAL, &stream, &err), PM_OK);
    push(stream, 259, "hello");
    push(stream, 0xF0, ""); /* U+1F30B, byte by byte */
    push(stream, 0x9F, "");
    push(stream, FIXTURE_IM_END, "");
    push(stream, 0x8C, "");
    push(stream, 0x8B, "\xF0\x9F\x8C\x8B");
    push(stream, 0xC3, "");
    push(stream, 'x', "\xEF\xBF\xBDx");
    push(stream, 0x80, "\xEF\xBF\xBD");
    push(stream, 0xE0, "");
    push(stream, 0x80, "\xEF\xBF\xBD\xEF\xBF\xBD"); /* overlong: neither byte begins anything */
    push(stream, 0xED, "");
    push(stream, 0xA0, "\xEF\xBF\xBD\xEF\xBF\xBD"); /* a surrogate */
    push(stream, 0xF4, "");
    push(stream, 0x90, "\xEF\xBF\xBD\xEF\xBF\xBD"); /* beyond U+10FFFF */
    push(stream, 0xFF, "\xEF\xBF\xBD");
    push(stream, 0xE4, "");
    push(stream, 0xB8, "");
    flush(stream, "\xEF\xBF\xBD");
    push(stream, 'y', "y");
    flush(stream, "");
    assert_int_equal(pm_decode_stream_push(stream, FIXTURE_TOKENS, &text, &size, &err), PM_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "outside the vocabulary"));
    pm_tokenizer_close(t); /* the stream keeps it */
    push(stream, 'z', "z");
    pm_decode_stream_destroy(stream);
}

static void test_decode_stream_spaces(void **state)
{
    (void)state;
    pm_tokenizer *t = open_sentencepiece(1);
    pm_decode_stream *stream = NULL;
    pm_error err;
    assert_int_equal(pm_decode_stream_create(t, PM_DECODE_SKIP_SPECIAL, &stream, &err), PM_OK);
    push(stream, 1, "");
    push(stream, 8, "ab"); /* the space of the prefix goes away once, at the start */
    push(stream, 8, " ab");
    flush(stream, "");
    push(stream, 3, "");
    push(stream, 8, " ab");
    pm_decode_stream_destroy(stream);
    assert_int_equal(pm_decode_stream_create(t, PM_DECODE_CONTINUATION, &stream, &err), PM_OK);
    push(stream, 8, " ab");
    pm_decode_stream_destroy(stream);
    pm_tokenizer_close(t);
}

static void check_filter(const char *const *stops, size_t n_stops, const char *const *pieces, const char *expected,
                         int expected_stop)
{
    pm_stop_filter *filter = NULL;
    pm_error err;
    char shown[256] = "";
    const char *out;
    size_t size;
    int stopped = 0;
    assert_int_equal(pm_stop_filter_create(stops, n_stops, &filter, &err), PM_OK);
    for (; *pieces; pieces++) {
        assert_int_equal(pm_stop_filter_push(filter, *pieces, strlen(*pieces), &out, &size, &stopped, &err),
                         PM_OK);
        assert_int_equal(size, strlen(out));
        strcat(shown, out);
        strcat(shown, "/");
    }
    assert_int_equal(stopped, expected_stop);
    assert_int_equal(pm_stop_filter_flush(filter, &out, &size, &err), PM_OK);
    strcat(shown, out);
    assert_string_equal(shown, expected);
    pm_stop_filter_destroy(filter);
}

static void test_stop_filter(void **state)
{
    (void)state;
    static const char *const stops[] = {"STOP", "\n\n", "SToP it"};
    pm_stop_filter *filter = NULL;
    pm_error err;
    check_filter(stops, 3, (const char *const[]){"ab", "cS", "T", "x", "S", NULL}, "ab/c//STx//S", 0);
    check_filter(stops, 3, (const char *const[]){"abST", "OPde", "fg", NULL}, "ab///", 1);
    check_filter(stops, 3, (const char *const[]){"a\n", "\nb", NULL}, "a//", 1);
    check_filter(stops, 3, (const char *const[]){"a\n", "b\n", NULL}, "a/\nb/\n", 0);
    check_filter(stops, 3, (const char *const[]){"SSTOP", NULL}, "S/", 1);
    check_filter(stops, 3, (const char *const[]){"x\n\nSTOP", NULL}, "x/", 1);
    check_filter(stops, 3, (const char *const[]){"", "SToP", " it", NULL}, "///", 1);
    check_filter(NULL, 0, (const char *const[]){"any", "thing", NULL}, "any/thing/", 0);
    assert_int_equal(pm_stop_filter_create((const char *const[]){"a", ""}, 2, &filter, &err), PM_ERR_ARGUMENT);
}

/* ---- The plugin interface itself ---- */

typedef struct direct {
    void *library;
    const pm_tokenizer_api *api;
    void *instance;
} direct;

static const char *const words[] = {"a", "b", "ab"};

/* An instance of a plugin without the host in between. */
static direct open_direct(const char *file, const pm_tokenizer_spec *spec)
{
    direct d = {dlopen(file, RTLD_NOW | RTLD_LOCAL), NULL, NULL};
    if (!d.library)
        fail_msg("%s", dlerror());
    void *symbol = dlsym(d.library, PM_PLUGIN_SYMBOL);
    pm_plugin_entry entry;
    memcpy(&entry, &symbol, sizeof entry);
    d.api = entry()->api;
    char text[200] = "";
    pm_plugin_message message = {text, sizeof text};
    if (d.api->create(spec, &d.instance, &message) != PM_PLUGIN_OK)
        fail_msg("%s", text);
    return d;
}

static pm_tokenizer_spec small_spec(pm_vocab_entry *entries, pm_vocab_merge *merge)
{
    for (size_t i = 0; i < 3; i++)
        entries[i] =
            (pm_vocab_entry){.bytes = words[i], .n_bytes = (uint32_t)strlen(words[i]), .kind = PM_TOKEN_NORMAL};
    *merge = (pm_vocab_merge){0, 1, 2};
    pm_tokenizer_spec spec = {
        .size = sizeof spec, .entries = entries, .n_entries = 3, .merges = merge, .n_merges = 1};
    spec.alphabet = PM_ALPHABET_BYTES;
    spec.bos = spec.eos = spec.unk = spec.pad = spec.sep = spec.cls = spec.mask = PM_NO_TOKEN;
    return spec;
}

static void test_buffers_too_small(void **state)
{
    (void)state;
    static const char *const plugins[] = {PUMICE_BUILD_DIR "/plugins/bpe.so",
                                          PUMICE_BUILD_DIR "/plugins/whitespace.so"};
    static const char *const texts[] = {"ababab", "ab ab ab"};
    for (size_t p = 0; p < 2; p++) {
        pm_vocab_entry entries[3];
        pm_vocab_merge merge;
        pm_tokenizer_spec spec = small_spec(entries, &merge);
        direct d = open_direct(plugins[p], &spec);
        for (size_t capacity = 0; capacity <= 4; capacity++) {
            int32_t ids[5] = {-7, -7, -7, -7, -7};
            pm_text_span spans[5] = {{0}};
            pm_encode_call call = {.size = sizeof call,
                                   .text = texts[p],
                                   .n_text = strlen(texts[p]),
                                   .ids = ids,
                                   .spans = spans,
                                   .capacity = capacity};
            pm_plugin_code expected = capacity < 3 ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK;
            assert_int_equal(d.api->encode(d.instance, &call, NULL), expected);
            assert_int_equal(call.n_ids, 3);
            for (size_t i = 0; i < 5; i++)
                assert_int_equal(ids[i], i < capacity && i < 3 ? 2 : -7);
        }
        for (size_t capacity = 0; capacity <= 9; capacity++) {
            const int32_t ids[] = {2, 2, 2};
            size_t n = strlen(texts[p]);
            char text[10] = "#########";
            pm_decode_call call = {
                .size = sizeof call, .ids = ids, .n_ids = 3, .text = text, .capacity = capacity};
            assert_int_equal(d.api->decode(d.instance, &call, NULL),
                             capacity < n ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK);
            assert_int_equal(call.n_text, n);
            size_t n_written = capacity < n ? capacity : n;
            assert_memory_equal(text, texts[p], n_written);
            if (n_written < 9)
                assert_int_equal(text[n_written], '#');
        }
        d.api->destroy(d.instance);
        d.api->destroy(NULL);
        dlclose(d.library);
    }
}

static void test_calls_that_break_the_rules(void **state)
{
    (void)state;
    pm_vocab_entry entries[3];
    pm_vocab_merge merge;
    pm_tokenizer_spec spec = small_spec(entries, &merge);
    direct d = open_direct(PUMICE_BUILD_DIR "/plugins/bpe.so", &spec);
    char text[16]; /* a message that does not fit is cut */
    pm_plugin_message message = {text, sizeof text};
    void *instance = NULL;
    const int32_t bad_id = 3;
    pm_token_info token = {.size = sizeof token};
    pm_encode_call no_text = {.size = sizeof no_text, .n_text = 1};
    pm_encode_call no_size = {.text = "a", .n_text = 1};
    pm_decode_call decode = {.size = sizeof decode, .ids = &bad_id, .n_ids = 1};
    assert_int_equal(d.api->encode(d.instance, &no_text, &message), PM_PLUGIN_ARGUMENT);
    assert_int_equal(strlen(text), 15);
    assert_int_equal(d.api->encode(d.instance, &no_size, NULL), PM_PLUGIN_ARGUMENT);
    assert_int_equal(d.api->decode(d.instance, &decode, &message), PM_PLUGIN_ARGUMENT);
    assert_int_equal(d.api->token_info(d.instance, 3, &token), PM_PLUGIN_ARGUMENT);
    assert_int_equal(d.api->token_info(d.instance, -1, &token), PM_PLUGIN_ARGUMENT);
    spec.size = 8;
    assert_int_equal(d.api->create(&spec, &instance, &message), PM_PLUGIN_ARGUMENT);
    spec.size = sizeof spec;
    merge.result = 3;
    assert_int_equal(d.api->create(&spec, &instance, &message), PM_PLUGIN_FORMAT);
    merge.result = -1;
    assert_int_equal(d.api->create(&spec, &instance, &message), PM_PLUGIN_FORMAT);
    merge.result = 2;
    entries[2].kind = PM_TOKEN_CONTROL; /* fine, but text does not become a control token by merging */
    assert_int_equal(d.api->create(&spec, &instance, &message), PM_PLUGIN_OK);
    d.api->destroy(instance);
    instance = NULL;
    entries[2].kind = 0;
    assert_int_equal(d.api->create(&spec, &instance, &message), PM_PLUGIN_FORMAT);
    entries[2].kind = PM_TOKEN_NORMAL;
    spec.bos = 3;
    assert_int_equal(d.api->create(&spec, &instance, &message), PM_PLUGIN_FORMAT);
    spec.bos = PM_NO_TOKEN;
    spec.pipeline = "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(unclosed\"},"
                    "\"behavior\":\"Isolated\"}}";
    spec.n_pipeline = strlen(spec.pipeline);
    assert_int_equal(d.api->create(&spec, &instance, &message), PM_PLUGIN_FORMAT);
    assert_null(instance);
    d.api->destroy(d.instance);
    dlclose(d.library);
}

/* The flags of added tokens. */
static void test_added_token_flags(void **state)
{
    (void)state;
    pm_vocab_entry entries[3];
    pm_vocab_merge merge;
    pm_tokenizer_spec spec = small_spec(entries, &merge);
    spec.n_merges = 0;
    entries[2].kind = PM_TOKEN_USER_DEFINED;
    entries[2].flags = PM_TOKEN_LSTRIP | PM_TOKEN_RSTRIP;
    pm_tokenizer *t = NULL;
    pm_error err;
    const pm_tokenizer_options options = {.plugin = "bpe"};
    pm_tokens tokens = {0};
    const char text[] = "a \xE3\x80\x80 ab \n b"; /* U+3000 is white space too */
    pm_encode_request request = {.text = text, .size = sizeof text - 1, .with_spans = 1};
    assert_int_equal(pm_tokenizer_open_spec(&spec, &options, &t, &err), PM_OK);
    assert_int_equal(pm_tokenizer_encode_request(t, &request, &tokens, &err), PM_OK);
    assert_int_equal(tokens.n, 3);
    assert_int_equal(tokens.ids[1], 2);
    assert_int_equal(tokens.spans[1].begin, 1);
    assert_int_equal(tokens.spans[1].end, sizeof text - 2);
    pm_tokens_free(&tokens);
    pm_tokenizer_close(t);
    entries[2].flags = PM_TOKEN_SINGLE_WORD;
    assert_int_equal(pm_tokenizer_open_spec(&spec, &options, &t, &err), PM_OK);
    CHECK_IDS(t, "ab", 0, 2);
    CHECK_IDS(t, "aba", 0, 0, 1, 0);
    CHECK_IDS(t, "bab", 0, 1, 0, 1);
    CHECK_IDS(t, ",ab.", 0, 2); /* the punctuation has no token */
    pm_tokenizer_close(t);
}

/* ---- Whitespace ---- */

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_word_list(void **state)
{
    (void)state;
    const char *path = PUMICE_BUILD_DIR "/test_word_list.tmp";
    const pm_plugin_setting setting = {"word_list", path, strlen(path)};
    const pm_tokenizer_options options = {.plugin = "whitespace", .settings = &setting, .n_settings = 1};
    pm_tokenizer *t = NULL;
    pm_error err;
    write_text(path, "hello\r\nworld\n,\nna\xC3\xAFve");
    assert_int_equal(pm_tokenizer_open_plugin(&options, &t, &err), PM_OK);
    assert_int_equal(pm_tokenizer_n_tokens(t), 5);
    assert_int_equal(pm_tokenizer_unk(t), 4);
    CHECK_IDS(t, "hello,  world\tna\xC3\xAFve nobody!", 0, 0, 2, 1, 3, 4, 4);
    char *text = NULL;
    size_t size;
    const int32_t ids[] = {0, 2, 1, 4};
    assert_int_equal(pm_tokenizer_decode(t, ids, 4, PM_DECODE_SKIP_SPECIAL, &text, &size, &err), PM_OK);
    assert_string_equal(text, "hello , world");
    pm_text_free(text);
    pm_tokenizer_close(t);
    write_text(path, "twice\ntwice\n");
    assert_int_equal(pm_tokenizer_open_plugin(&options, &t, &err), PM_ERR_FORMAT);
    assert_non_null(strstr(err.message, "words 0 and 1 are the same"));
    remove(path);
    assert_int_equal(pm_tokenizer_open_plugin(&options, &t, &err), PM_ERR_IO);
    assert_non_null(strstr(err.message, path));
}

static void test_words_of_a_text(void **state)
{
    (void)state;
    const char *path = PUMICE_BUILD_DIR "/test_words_of_a_text.tmp";
    const pm_plugin_setting settings[] = {{"text", path, strlen(path)}, {"words", "3", 1}};
    pm_tokenizer_options options = {.plugin = "whitespace", .settings = settings, .n_settings = 1};
    pm_tokenizer *t = NULL;
    pm_error err;
    write_text(path, "to be, or not to be,\n\tto\xC3\xA9 be");
    assert_int_equal(pm_tokenizer_open_plugin(&options, &t, &err), PM_OK);
    assert_int_equal(pm_tokenizer_n_tokens(t), 7); /* be , to not or to\xE9 <unk>: by number, then by bytes */
    CHECK_IDS(t, "not be to, or to\xC3\xA9 bee", 0, 3, 0, 2, 1, 4, 5, 6);
    pm_tokenizer_close(t);
    options.n_settings = 2;
    assert_int_equal(pm_tokenizer_open_plugin(&options, &t, &err), PM_OK);
    CHECK_IDS(t, "not to be,", 0, 3, 2, 0, 1);
    pm_tokenizer_close(t);
    remove(path);
    assert_int_equal(pm_tokenizer_open_plugin(&options, &t, &err), PM_ERR_IO);
}

static void test_words_of_a_model(void **state)
{
    (void)state;
    tokenizer_fixture f;
    pm_tokenizer *t = NULL;
    pm_error err;
    const pm_tokenizer_options options = {.plugin = "whitespace"};
    fixture_init(&f);
    assert_int_equal(fixture_open_builder(fixture_builder(&f), &options, &t, &err), PM_OK);
    CHECK_IDS(t, "hello wor hello or", 0, 259, 262, 259, 261);
    CHECK_IDS(t, "<|im_start|>he", PM_ENCODE_PARSE_SPECIAL, FIXTURE_IM_START, 256);
    pm_tokens tokens = encode(t, "hello nobody", 12, 0);
    assert_int_equal(tokens.n, 1);
    assert_int_equal(tokens.n_unknown_bytes, 6);
    pm_tokens_free(&tokens);
    pm_tokenizer_close(t);
}

/* ---- Threads ---- */

typedef struct shared_use {
    const pm_tokenizer *tokenizer;
    int failures[8];
} shared_use;

static void use_from_thread(void *user, int thread, int n_threads)
{
    shared_use *use = user;
    const char text[] = "hello world, 'tis <tool>\xE4\xB8\x96 123 hello";
    (void)n_threads;
    for (int round = 0; round < 200; round++) {
        pm_tokens tokens = {0};
        char *back = NULL;
        size_t size = 0;
        int good = pm_tokenizer_encode(use->tokenizer, text, sizeof text - 1, 0, &tokens, NULL) == PM_OK &&
                   pm_tokenizer_decode(use->tokenizer, tokens.ids, tokens.n, 0, &back, &size, NULL) == PM_OK &&
                   size == sizeof text - 1 && memcmp(back, text, size) == 0;
        use->failures[thread] += !good;
        pm_text_free(back);
        pm_tokens_free(&tokens);
    }
}

static void test_eight_threads(void **state)
{
    (void)state;
    static const char *const pres[] = {"gpt-2", "default"}; /* hand-written scanners; ICU's regular expressions */
    pm_threads *threads = NULL;
    assert_int_equal(pm_threads_create(8, &threads, NULL), PM_OK);
    for (size_t p = 0; p < 2; p++) {
        tokenizer_fixture f;
        pm_tokenizer *t = NULL;
        pm_error err;
        fixture_init(&f);
        f.pre = pres[p];
        assert_int_equal(fixture_open(&f, &t, &err), PM_OK);
        shared_use use = {t, {0}};
        pm_threads_run(threads, use_from_thread, &use);
        for (int i = 0; i < 8; i++)
            assert_int_equal(use.failures[i], 0);
        pm_tokenizer_close(t);
    }
    pm_threads_destroy(threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_special_tokens_in_text),
        cmocka_unit_test(test_special_spans),
        cmocka_unit_test(test_added_bos),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_missing_bytes),
        cmocka_unit_test(test_megabyte_without_spaces),
        cmocka_unit_test(test_long_and_short_pieces_agree),
        cmocka_unit_test(test_sentencepiece),
        cmocka_unit_test(test_decode_stream),
        cmocka_unit_test(test_decode_stream_spaces),
        cmocka_unit_test(test_stop_filter),
        cmocka_unit_test(test_buffers_too_small),
        cmocka_unit_test(test_calls_that_break_the_rules),
        cmocka_unit_test(test_added_token_flags),
        cmocka_unit_test(test_word_list),
        cmocka_unit_test(test_words_of_a_text),
        cmocka_unit_test(test_words_of_a_model),
        cmocka_unit_test(test_eight_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
