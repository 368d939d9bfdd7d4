/* The language of chat templates, each part of it, against Jinja2 (data/make_jinja_golden.py); what its errors
 * say; and that hostile templates come to an end. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "pumice/chat.h"

static pm_status render(const char *text, const char *variables, char **out, pm_error *err)
{
    pm_chat_template *chat = NULL;
    pm_chat_prompt prompt = {0};
    const pm_chat_options options = {.variables = variables};
    pm_status status = pm_chat_template_create(text, &chat, err);
    if (status == PM_OK)
        status = pm_chat_render(chat, NULL, 0, &options, &prompt, err);
    *out = prompt.text ? strdup(prompt.text) : NULL;
    pm_chat_prompt_free(&prompt);
    pm_chat_template_destroy(chat);
    return status;
}

static void test_language(void **state)
{
    (void)state;
    json_error_t where;
    json_t *golden = json_load_file(PUMICE_TEST_DATA "/jinja_language.json", JSON_ALLOW_NUL, &where);
    if (!golden)
        fail_msg("%s", where.text);
    char *variables = json_dumps(json_object_get(golden, "variables"), 0);
    const json_t *cases = json_object_get(golden, "cases");
    size_t n_wrong = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        const char *text = json_string_value(json_object_get(one, "template"));
        const char *expected = json_string_value(json_object_get(one, "text"));
        char *actual;
        pm_error err = {0};
        pm_status status = render(text, variables, &actual, &err);
        if (expected ? !actual || strcmp(actual, expected) != 0 : status == PM_OK) {
            print_error("%s\n  wanted: %s\n  got:    %s %s\n", text, expected ? expected : "(an error)",
                        actual ? actual : "(an error)", err.message);
            n_wrong++;
        }
        free(actual);
    }
    assert_int_equal(n_wrong, 0);
    assert_true(json_array_size(cases) > 400);
    free(variables);
    json_decref(golden);
}

static void test_errors_quote_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        pm_status status;
        const char *parts[3];
    } cases[] = {
        {"a\n{{ 1 | frobnicate }}", PM_ERR_UNSUPPORTED, {"line 2", "\"frobnicate\"", "`{{ 1 | frobnicate }}`"}},
        {"\n\n  {% import 'x' as y %}", PM_ERR_UNSUPPORTED, {"line 3", "\"import\"", "`{% import"}},
        {"{% if 1 %}\n{{ x.y.z }}\n{% endif %}", PM_ERR_ARGUMENT, {"line 2", "undefined", "`{{ x.y.z }}`"}},
        {"{% if 1 %}\nx", PM_ERR_FORMAT, {"line 1", "not ended", "`{% if 1 %}`"}},
        {"x\n{{ raise_exception('so not') }}", PM_ERR_ARGUMENT, {"line 2", "so not", "refuses"}},
        {"{{ 'abc }}", PM_ERR_FORMAT, {"line 1", "does not end", "abc"}},
        {"{{ 1 is nonsense }}", PM_ERR_UNSUPPORTED, {"line 1", "nonsense", "test"}},
        {"{{ '{0.x}'.format(1) }}", PM_ERR_UNSUPPORTED, {"line 1", "format", "not supported"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pm_error err = {0};
        char *text;
        assert_int_equal(render(cases[i].text, NULL, &text, &err), cases[i].status);
        for (size_t k = 0; k < 3; k++)
            if (!strstr(err.message, cases[i].parts[k]))
                fail_msg("%s is not in: %s", cases[i].parts[k], err.message);
        assert_null(text);
    }
}

static char *repeated(const char *what, size_t n)
{
    size_t size = strlen(what);
    char *text = malloc(size * n + 1);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * size, what, size);
    text[size * n] = '\0';
    return text;
}

static void test_limits(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}{% endfor %}"
        "{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='xxxxxxxx') %}{% for a in range(1000) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{{ 'x' * 9000000000000 }}",
        "{{ [0] * 9000000000000 }}",
        "{{ 'a' | indent(9000000000000) }}",
        "{% set ns = namespace(l=[]) %}{% for a in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
        "{% for x in [[[]]] recursive %}{{ loop([[[x]]]) }}{% endfor %}",
        "{{ range(9000000000000) }}",
        "{{ '%401d' % 1 }}",
    };
    static const char *const nested[][3] = {{"(", "1", ")"},           {"[", "1", "]"},   {"- ", "1", ""},
                                            {"not ", "1", ""},         {"1 + ", "1", ""}, {"{1:", "1", "}"},
                                            {"a if b else ", "1", ""}, {"", "1", "|e"},   {"", "a", ".b"},
                                            {"", "a", "[0]"},          {"", "a", "()"},   {"", "1", " ~ 1"}};
    pm_error err;
    char *text;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        if (render(hostile[i], NULL, &text, &err) != PM_ERR_LIMIT)
            fail_msg("%s: %s", hostile[i], err.message);
    for (size_t i = 0; i < sizeof nested / sizeof *nested; i++) {
        char *before = repeated(nested[i][0], 100000), *after = repeated(nested[i][2], 100000), *whole = NULL;
        assert_true(asprintf(&whole, "{{ %s%s%s }}", before, nested[i][1], after) > 0);
        if (render(whole, NULL, &text, &err) != PM_ERR_LIMIT)
            fail_msg("%s%s: %s", nested[i][0], nested[i][2], err.message);
        free(whole);
        free(before);
        free(after);
    }
    char *blocks = repeated("{% if 1 %}", 100000);
    assert_int_equal(render(blocks, NULL, &text, &err), PM_ERR_LIMIT);
    free(blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language),
        cmocka_unit_test(test_errors_quote_the_line),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
