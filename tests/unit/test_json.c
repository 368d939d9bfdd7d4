/* The JSON reader and tree of the tokenizer parts: what RFC 8259 allows comes out right, all else is refused where
 * it goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts/json_number.h"
#include "parts/json_reader.h"
#include "parts/json_tree.h"

/* In memory of its exact size, so that a sanitizer sees the first byte read past the end. */
static char *exact_copy(const char *text, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    return copy;
}

/* Writes a letter an event, and what keys, strings and integers are. */
static int trace(const char *text, size_t n, char *out, size_t capacity)
{
    static const char letters[] = "!{[)ksnTFN.";
    char *copy = exact_copy(text, n);
    pm_json_reader reader;
    pm_json_event event;
    size_t written = 0;
    pm_json_reader_start(&reader, copy, n);
    do {
        event = pm_json_next(&reader);
        assert_true(written + 1 < capacity);
        out[written++] = letters[event];
        out[written] = '\0';
        if (event == PM_JSON_EVENT_KEY || event == PM_JSON_EVENT_STRING)
            written +=
                (size_t)snprintf(out + written, capacity - written, "'%.*s'", (int)reader.n_string, reader.string);
        if (event == PM_JSON_EVENT_NUMBER && reader.is_integer)
            written += (size_t)snprintf(out + written, capacity - written, "%lld", (long long)reader.integer);
        assert_true(reader.at <= n);
    } while (event != PM_JSON_EVENT_DONE && event != PM_JSON_EVENT_ERROR);
    assert_true(event == PM_JSON_EVENT_DONE || reader.error != NULL);
    assert_int_equal(pm_json_next(&reader), event); /* the end and a failure stay */
    free(copy);
    return event == PM_JSON_EVENT_DONE;
}

static void events(void **state)
{
    (void)state;
    static const struct {
        const char *text, *trace;
    } cases[] = {
        {"{}", "{)."},
        {" [ ] ", "[)."},
        {"7", "n7."},
        {"\"a\"", "s'a'."},
        {"\t\r\n {\"a\" : [1, -2 ,true,false , null, \"\"] , \"b\":{\"c\":{}}}\n",
         "{k'a'[n1n-2TFNs'')k'b'{k'c'{)))."},
        {"[[],[[]],{\"\":0}]", "[[)[[)){k''n0))."},
        {"[1.5, 1e3, 9223372036854775807, -9223372036854775808, 9223372036854775808]",
         "[nnn9223372036854775807n-9223372036854775808n)."},
        {"{\"a\\\"b\":\"\\u00e9\\\\\"}", "{k'a\\\"b's'\\u00e9\\\\')."},
        {"\"0123456789abcdef0123456789abcde\xc3\xa9 and on\"",
         "s'0123456789abcdef0123456789abcde\xc3\xa9 and on'."},
        {"[                                            1                     ,\n2]", "[n1n2)."},
    };
    char out[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(trace(cases[i].text, strlen(cases[i].text), out, sizeof out));
        assert_string_equal(out, cases[i].trace);
    }
}

static void malformed(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{1:2}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{'a':1}",
        "nul",
        "nulll",
        "truE",
        "falsE",
        "True",
        "NaN",
        "Infinity",
        "-",
        "-a",
        "+1",
        ".5",
        "1.",
        "1.e3",
        "01",
        "-01",
        "1e",
        "1e+",
        "1e999",
        "-1e999",
        "0x10",
        "1_0",
        "\"",
        "\"abc",
        "\"\\\"",
        "\"\\",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\\udc00\"",
        "\"\\udc00\\ud800\"",
        "\"\\ud83d\\ude0\"",
        "\"\n\"",
        "\"\x01\"",
        "\"tab\there\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
        "\"\xc0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
        "1 1",
        "{} {}",
        "[] x",
        "1,",
        "\"a\" \"b\"",
        "\xef\xbb\xbf{}",
        "/* */ 1",
        "[1]\x0b",
        "\"0123456789abcdef0123456789abcd\nf\"",
        "\"0123456789abcdef0123456789abcdef\xff\"",
    };
    char out[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (trace(cases[i], strlen(cases[i]), out, sizeof out))
            fail_msg("%s is taken: %s", cases[i], out);
    assert_false(trace("\"a\0b\"", 5, out, sizeof out));
    assert_false(trace("1\0", 2, out, sizeof out));
    assert_false(trace("\"\\\0\"", 4, out, sizeof out));
}

/* Every beginning of a good document is refused, and says so within its bytes. */
static void truncated(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": [1.5e3, \"\\ud83d\\ude00\xc3\xa9\", {\"b\": [true, null]}], \"c\": \"\"}";
    char out[512];
    assert_true(trace(text, sizeof text - 1, out, sizeof out));
    for (size_t n = 0; n < sizeof text - 1; n++)
        assert_false(trace(text, n, out, sizeof out));
}

static void nesting(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    char *bomb = malloc(N), out[512];
    assert_non_null(bomb);
    for (int is_object = 0; is_object < 2; is_object++) {
        for (size_t i = 0; i < N; i++)
            bomb[i] = is_object ? "{\"a\":"[i % 5] : '[';
        assert_false(trace(bomb, N, out, sizeof out));
        pm_json_tree *tree = NULL;
        char text[200];
        pm_plugin_message message = {text, sizeof text};
        assert_int_equal(pm_json_tree_parse(bomb, N, &tree, &message), PM_PLUGIN_FORMAT);
        assert_non_null(strstr(text, "nested"));
        assert_null(tree);
    }
    memset(bomb, '[', PM_JSON_DEPTH);
    memset(bomb + PM_JSON_DEPTH, ']', PM_JSON_DEPTH);
    assert_true(trace(bomb, 2 * PM_JSON_DEPTH, out, sizeof out));
    memset(bomb, '[', PM_JSON_DEPTH + 1);
    memset(bomb + PM_JSON_DEPTH + 1, ']', PM_JSON_DEPTH + 1);
    assert_false(trace(bomb, 2 * PM_JSON_DEPTH + 2, out, sizeof out));
    free(bomb);
}

static void unescaping(void **state)
{
    (void)state;
    static const struct {
        const char *escaped, *plain;
        size_t n;
    } cases[] = {
        {"", "", 0},
        {"plain", "plain", 5},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8},
        {"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10},
        {"a\\u0000b", "a\0b", 3},
        {"\\u007f\\u0080\\u07ff\\u0800\\uffff", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 11},
        {"\\ud800\\udc00\\udbff\\udfff", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = strlen(cases[i].escaped);
        char *out = malloc(n > 0 ? n : 1);
        assert_non_null(out);
        assert_int_equal(pm_json_unescape(cases[i].escaped, n, out), cases[i].n);
        assert_memory_equal(out, cases[i].plain, cases[i].n);
        free(out);
    }
}

static void skipping(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": {\"b\": [1, 2]}, \"c\" : 7 , \"d\": [], \"e\": [ \"x\", {} ]}";
    static const char *const values[] = {"{\"b\": [1, 2]}", "7", "[]", "[ \"x\", {} ]"};
    pm_json_reader reader;
    size_t begin, end;
    pm_json_reader_start(&reader, text, sizeof text - 1);
    assert_int_equal(pm_json_next(&reader), PM_JSON_EVENT_OBJECT);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pm_json_next(&reader), PM_JSON_EVENT_KEY);
        assert_int_not_equal(pm_json_skip_value(&reader, &begin, &end), PM_JSON_EVENT_ERROR);
        assert_int_equal(end - begin, strlen(values[i]));
        assert_memory_equal(text + begin, values[i], end - begin);
    }
    assert_int_equal(pm_json_next(&reader), PM_JSON_EVENT_END);
    assert_int_equal(pm_json_next(&reader), PM_JSON_EVENT_DONE);
    pm_json_reader_start(&reader, "[[1,", 4);
    assert_int_equal(pm_json_skip_value(&reader, &begin, &end), PM_JSON_EVENT_ERROR);
}

static void check_number(const char *text)
{
    pm_json_number_value value;
    size_t n = strlen(text);
    char *copy = exact_copy(text, n);
    assert_int_equal(pm_json_number_read(copy, n, &value), n);
    double expected = strtod(text, NULL);
    if (memcmp(&value.number, &expected, sizeof expected) != 0)
        fail_msg("%s: %.17g and not %.17g", text, value.number, expected);
    free(copy);
}

/* strtod of the C library is the judge; tests run in the C locale. */
static void numbers(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1",
        "-1",
        "0.1",
        "-12.345678901234567",
        "123456789012345678901234567890",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740993.0000000000000000000000000000000000001",
        "1e22",
        "1e23",
        "8.5e22",
        "1e-22",
        "1e-23",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "0e999999999999",
        "0.000000000000000000000000000001e30",
        "1e-999999999999999999",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775807",
        "-9223372036854775809",
        "0.30000000000000004",
        "7.2057594037927933e16",
        "5e-1",
        "1E+2",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203126",
    };
    char text[2000];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_number(cases[i]);
    uint64_t random = 1;
    for (int i = 0; i < 200000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int digits = (int)(random >> 60) + 3;
        double value = -(double)(random >> 20) / (double)(UINT64_C(1) << ((random >> 8) % 60));
        snprintf(text, sizeof text, i % 3 ? "%.*g" : "%.*e", digits, value);
        check_number(text);
    }
    /* Half way between two doubles, and a last digit a thousand places on that decides. */
    int n = snprintf(text, sizeof text, "%s", cases[34]);
    memset(text + n, '0', 1000);
    text[n + 1000] = '\0';
    check_number(text);
    text[n + 999] = '1';
    check_number(text);
}

static void tree(void **state)
{
    (void)state;
    static const char text[] =
        "{\"type\": \"Sequence\", \"n\": -2.5, \"yes\": true, \"no\": false, \"nothing\": null,"
        "\"list\": [1, [\"a\\u0000b\"], {}], \"type\": \"BPE\", \"gone\": 1, \"gone\": null}";
    pm_json_tree *document = NULL;
    char sentence[200] = "";
    pm_plugin_message message = {sentence, sizeof sentence};
    char *copy = exact_copy(text, sizeof text - 1);
    assert_int_equal(pm_json_tree_parse(copy, sizeof text - 1, &document, &message), PM_PLUGIN_OK);
    free(copy); /* the tree has its own copy */
    const pm_json *root = pm_json_root(document);
    assert_int_equal(root->type, PM_JSON_OBJECT);
    assert_true(pm_json_is(root, "type", "BPE")); /* the last one counts */
    assert_false(pm_json_is(root, "type", "BPEs"));
    assert_string_equal(pm_json_text(root, "type", ""), "BPE");
    assert_string_equal(pm_json_text(root, "n", "other"), "other");
    assert_true(pm_json_number(root, "n", 0) == -2.5);
    assert_true(pm_json_number(root, "type", 7) == 7);
    assert_int_equal(pm_json_flag(root, "yes", 0), 1);
    assert_int_equal(pm_json_flag(root, "no", 1), 0);
    assert_int_equal(pm_json_flag(root, "n", 5), 5);
    assert_null(pm_json_member(root, "nothing"));
    assert_null(pm_json_member(root, "gone"));
    assert_null(pm_json_member(root, "absent"));
    assert_null(pm_json_member(NULL, "type"));
    const pm_json *list = pm_json_member(root, "list");
    assert_int_equal(pm_json_count(list), 3);
    assert_null(pm_json_member(list, "type"));
    const pm_json *inner = list->first->next->first;
    assert_int_equal(inner->type, PM_JSON_STRING);
    assert_int_equal(inner->n_string, 3);
    assert_memory_equal(inner->string, "a\0b", 4);
    assert_null(list->first->next->next->first);
    pm_json_tree_destroy(document);
    pm_json_tree_destroy(NULL);
}

/* More values than fit the first blocks, and strings that fill their memory to the last byte. */
static void large_tree(void **state)
{
    (void)state;
    enum { N = 10000 };
    char *text = malloc(N * 3 + 2);
    assert_non_null(text);
    size_t n = 0;
    text[n++] = '[';
    for (size_t i = 0; i < N; i++) {
        memcpy(text + n, "\"\",", 3);
        n += 3;
    }
    text[n - 1] = ']';
    pm_json_tree *document = NULL;
    assert_int_equal(pm_json_tree_parse(text, n, &document, NULL), PM_PLUGIN_OK);
    assert_int_equal(pm_json_count(pm_json_root(document)), N);
    for (const pm_json *e = pm_json_root(document)->first; e; e = e->next)
        assert_string_equal(e->string, "");
    pm_json_tree_destroy(document);
    free(text);
}

static void tree_messages(void **state)
{
    (void)state;
    pm_json_tree *document = NULL;
    char sentence[200] = "";
    pm_plugin_message message = {sentence, sizeof sentence};
    assert_int_equal(pm_json_tree_parse("[1, oops]", 9, &document, &message), PM_PLUGIN_FORMAT);
    assert_non_null(strstr(sentence, "byte 4"));
    assert_null(document);
}

/* A token may hold any byte, and the ids of templates are named by tokens. */
static void tree_names_with_nul(void **state)
{
    (void)state;
    pm_json_tree *document = NULL;
    const char text[] = "{\"a\\u0000b\": 1, \"a\": 2, \"a\\u0000c\": 3}";
    assert_int_equal(pm_json_tree_parse(text, strlen(text), &document, NULL), PM_PLUGIN_OK);
    const pm_json *root = pm_json_root(document);
    assert_true(pm_json_number(root, "a", 0) == 2);
    assert_true(pm_json_member_n(root, "a\0c", 3)->number == 3);
    assert_null(pm_json_member_n(root, "a\0", 2));
    pm_json_tree_destroy(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),        cmocka_unit_test(malformed),  cmocka_unit_test(truncated),
        cmocka_unit_test(nesting),       cmocka_unit_test(unescaping), cmocka_unit_test(skipping),
        cmocka_unit_test(numbers),       cmocka_unit_test(tree),       cmocka_unit_test(large_tree),
        cmocka_unit_test(tree_messages), cmocka_unit_test(tree_names_with_nul),
    };
    return cmocka_run_group_tests_name("JSON", tests, NULL, NULL);
}
