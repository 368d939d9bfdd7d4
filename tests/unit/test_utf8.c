/* UTF-8 checks at every edge of RFC 3629, and quoting for messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/utf8.h"

static void sequences(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        size_t length; /* 0: malformed */
    } cases[] = {
        {"", 0, 0},
        {"\0", 1, 1},
        {"\x7f", 1, 1},
        {"\x80", 1, 0}, /* a continuation first */
        {"\xbf", 1, 0},
        {"\xc0\x80", 2, 0}, /* overlong */
        {"\xc1\xbf", 2, 0},
        {"\xc2\x80", 2, 2},
        {"\xdf\xbf", 2, 2},
        {"\xdf", 1, 0}, /* cut */
        {"\xdf\xc0", 2, 0},
        {"\xe0\x9f\xbf", 3, 0}, /* overlong */
        {"\xe0\xa0\x80", 3, 3},
        {"\xed\x9f\xbf", 3, 3},
        {"\xed\xa0\x80", 3, 0}, /* surrogate */
        {"\xee\x80\x80", 3, 3},
        {"\xef\xbf\xbf", 3, 3},
        {"\xe2\x82", 2, 0},
        {"\xe2\x82\x28", 3, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
        {"\xf0\x90\x80\x80", 4, 4},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xf4\x90\x80\x80", 4, 0}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xff", 1, 0},
        {"\xf0\x9f\x8c", 3, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (pm_utf8_sequence(cases[i].bytes, cases[i].size) != cases[i].length)
            fail_msg("case %zu: not %zu", i, cases[i].length);
}

static void whole_texts(void **state)
{
    (void)state;
    size_t bad = 77;
    assert_true(pm_utf8_check("", 0, &bad));
    assert_true(pm_utf8_check("na\xc3\xafve \xf0\x9f\x8c\x8b", 11, &bad));
    assert_int_equal(bad, 77);
    assert_false(pm_utf8_check("ok\xc3\xaf\xffrest", 9, &bad));
    assert_int_equal(bad, 4);
    assert_false(pm_utf8_check("cut \xe2\x82", 6, &bad));
    assert_int_equal(bad, 4);
}

static void quoting(void **state)
{
    (void)state;
    char text[64], small[8];
    assert_string_equal(pm_quote("plain", 5, text, sizeof text), "\"plain\"");
    assert_string_equal(pm_quote("", 0, text, sizeof text), "\"\"");
    assert_string_equal(pm_quote("\xc3\xa9\n\"\\\x7f\0", 7, text, sizeof text),
                        "\"\xc3\xa9\\x0a\\x22\\x5c\\x7f\\x00\"");
    assert_string_equal(pm_quote("\xc2\x85\xc2\xa0\xff", 5, text, sizeof text), "\"\\xc2\\x85\xc2\xa0\\xff\"");
    assert_string_equal(pm_quote("abcdefgh", 8, small, sizeof small), "\"...\"");
    for (size_t capacity = 8; capacity < sizeof text; capacity++) {
        memset(text, 'X', sizeof text);
        pm_quote("\xf0\x9f\x8c\x8b\xf0\x9f\x8c\x8b\x01\x02 and a long tail that cannot fit in there", 50, text,
                 capacity);
        size_t bad;
        assert_true(strlen(text) < capacity);
        assert_true(pm_utf8_check(text, strlen(text), &bad)); /* never cut inside a character */
        assert_int_equal(text[strlen(text) - 1], '"');
        assert_true(capacity == sizeof text || text[capacity] == 'X');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences),
        cmocka_unit_test(whole_texts),
        cmocka_unit_test(quoting),
    };
    return cmocka_run_group_tests_name("UTF-8", tests, NULL, NULL);
}
