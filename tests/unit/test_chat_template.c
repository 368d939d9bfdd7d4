/* Chat templates: all of the shared data's templates against renderings by transformers
 * (data/make_chat_golden.py), and what people must not be able to do with what they write. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/mapped_file.h"
#include "pumice/chat.h"
#include "tests/shared_data.h"

static uint64_t fnv1a(const char *text, size_t n)
{
    uint64_t value = 0xCBF29CE484222325;
    for (size_t i = 0; i < n; i++)
        value = (value ^ (unsigned char)text[i]) * 0x100000001B3;
    return value;
}

/* The template of a file of the shared data; NULL where it is not there. */
static pm_chat_template *open_template(const char *name)
{
    char path[1024], relative[256];
    pm_mapped_file map;
    pm_error err = {0};
    pm_chat_template *chat = NULL;
    snprintf(relative, sizeof relative, "templates/%s", name);
    if (!shared_data_find(relative, path, sizeof path))
        return NULL;
    assert_int_equal(pm_map_file(path, &map, &err), PM_OK);
    char *text = strndup(map.data, map.size);
    pm_unmap_file(&map);
    if (pm_chat_template_create(text, &chat, &err) != PM_OK)
        fail_msg("%s: %s", name, err.message);
    free(text);
    return chat;
}

static void check_one(const char *name, const pm_chat_template *chat, const json_t *golden, size_t index,
                      const char *hash, const char *expected)
{
    const json_t *conversation = json_array_get(json_object_get(golden, "conversations"), index / 2);
    char *text = json_dumps(conversation, 0);
    const char *bos = json_string_value(json_object_get(golden, "bos"));
    const char *eos = json_string_value(json_object_get(golden, "eos"));
    const pm_chat_options options = {.add_generation_prompt = (int)(index % 2),
                                     .bos = bos,
                                     .n_bos = strlen(bos),
                                     .eos = eos,
                                     .n_eos = strlen(eos),
                                     .now = json_integer_value(json_object_get(golden, "now"))};
    pm_chat_prompt prompt = {0};
    pm_error err = {0};
    char actual[20] = "";
    if (pm_chat_render_json(chat, text, strlen(text), &options, &prompt, &err) == PM_OK)
        snprintf(actual, sizeof actual, "%016llx", (unsigned long long)fnv1a(prompt.text, prompt.size));
    if (expected && prompt.text && strcmp(prompt.text, expected) != 0)
        fail_msg("%s, %zu:\n%s\n--- instead of ---\n%s", name, index, prompt.text, expected);
    if (strcmp(actual, hash) != 0)
        fail_msg("%s, conversation %zu: %s instead of %s; %s\n%s", name, index, actual, hash, err.message,
                 prompt.text ? prompt.text : "");
    if (!*hash)
        assert_non_null(strstr(err.message, "chat template, line "));
    pm_chat_prompt_free(&prompt);
    free(text);
}

static void test_golden(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1); /* for templates that write the date */
    json_error_t where;
    json_t *golden = json_load_file(PUMICE_TEST_DATA "/chat_templates.json", 0, &where), *entry;
    const char *name;
    size_t n_templates = 0;
    if (!golden)
        fail_msg("%s", where.text);
    json_object_foreach(json_object_get(golden, "templates"), name, entry)
    {
        pm_chat_template *chat = open_template(name);
        if (!chat)
            continue;
        const json_t *hashes = json_object_get(entry, "hashes"), *texts = json_object_get(entry, "texts");
        for (size_t i = 0; i < json_array_size(hashes); i++)
            check_one(name, chat, golden, i, json_string_value(json_array_get(hashes, i)),
                      json_string_value(json_array_get(texts, i)));
        pm_chat_template_destroy(chat);
        n_templates++;
    }
    json_decref(golden);
    if (!n_templates) {
        print_message("skip: the shared templates are not there\n");
        skip();
    }
    assert_true(n_templates >= 50);
}

static void test_named_templates(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"chatml", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
        {"llama2", "<s>[INST] Hi [/INST]"},
        {"llama3", "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant"
                   "<|end_header_id|>\n\n"},
    };
    const pm_chat_message hi = {"user", "Hi", 2};
    const pm_chat_message twice[] = {{"user", "a", 1}, {"user", "b", 1}};
    const pm_chat_options options = {
        .add_generation_prompt = 1, .bos = "<s>", .n_bos = 3, .eos = "</s>", .n_eos = 4};
    for (size_t i = 0; i < 3; i++) {
        pm_chat_template *chat = NULL;
        pm_chat_prompt prompt = {0};
        assert_int_equal(pm_chat_template_create(pm_chat_template_text(cases[i][0]), &chat, NULL), PM_OK);
        assert_int_equal(pm_chat_render(chat, &hi, 1, &options, &prompt, NULL), PM_OK);
        assert_string_equal(prompt.text, cases[i][1]);
        pm_chat_prompt_free(&prompt);
        assert_int_equal(pm_chat_render(chat, twice, 2, &options, &prompt, NULL),
                         i == 1 ? PM_ERR_ARGUMENT : PM_OK);
        pm_chat_prompt_free(&prompt);
        pm_chat_template_destroy(chat);
    }
    assert_null(pm_chat_template_text("alpaca"));
    assert_null(pm_chat_template_text(NULL));
}

static void test_bad_input(void **state)
{
    (void)state;
    pm_chat_template *chat = NULL;
    pm_chat_prompt prompt = {0};
    const pm_chat_message nameless = {NULL, "x", 1};
    assert_int_equal(pm_chat_template_create(NULL, &chat, NULL), PM_ERR_NOT_FOUND);
    assert_int_equal(pm_chat_template_create("", &chat, NULL), PM_ERR_NOT_FOUND);
    assert_int_equal(pm_chat_template_create("{{ messages }}{{", &chat, NULL), PM_ERR_FORMAT);
    assert_null(chat);
    assert_int_equal(pm_chat_template_create("{{ messages | length }}", &chat, NULL), PM_OK);
    assert_int_equal(pm_chat_render(chat, &nameless, 1, NULL, &prompt, NULL), PM_ERR_ARGUMENT);
    static const char *const bad[] = {
        "", "[", "3", "null", "{}", "[3]", "{\"messages\": {}}", "[{\"n\": 99999999999999999999}]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pm_chat_render_json(chat, bad[i], strlen(bad[i]), NULL, &prompt, NULL), PM_ERR_ARGUMENT);
    assert_int_equal(pm_chat_render(chat, NULL, 0, &(pm_chat_options){.tools = "["}, &prompt, NULL),
                     PM_ERR_ARGUMENT);
    assert_int_equal(pm_chat_render(chat, NULL, 0, &(pm_chat_options){.variables = "[]"}, &prompt, NULL),
                     PM_ERR_ARGUMENT);
    assert_int_equal(pm_chat_render(chat, NULL, 0, NULL, &prompt, NULL), PM_OK);
    assert_string_equal(prompt.text, "0");
    pm_chat_prompt_free(&prompt);
    pm_chat_template_destroy(chat);
}

/* Every operation on a user's text leaves it a user's text: no template span holds any of its letters, Z and z. */
static void test_origin(void **state)
{
    (void)state;
    static const char *const templates[] = {
        "<a>{{ c }}<b>",
        "{{ '<a>' + c + '<b>' }}",
        "{{ '<a>' ~ c }}",
        "{{ c | trim | upper | lower | title }}",
        "{{ c | tojson }}",
        "{{ messages | tojson(indent=2) }}",
        "{{ messages }}",
        "{{ c[1:-1] }}{{ c[::-1] }}{{ c[2] }}",
        "{{ c.split('|') | join('-') }}",
        "{{ c.split('|') }}",
        "{% for x in c %}{{ x }}.{% endfor %}",
        "{{ '%s-%r-%5s' % (c, c, c) }}",
        "{{ '{} {:>30} {a!r}'.format(c, c, a=c) }}",
        "{{ c | replace('|', '||') }}",
        "{{ 'aZb' | replace(c[2], '<') if false else c }}",
        "{% set x %}({{ c }}){% endset %}{{ x | indent(first=true) }}",
        "{% macro m(v) %}[{{ v }}]{% endmacro %}{{ m(c) }}",
        "{% filter upper %}{{ c }}{% endfilter %}",
        "{{ {'k': c} }}{{ [c, (c,)] | tojson }}",
        "{{ c * 3 }}",
        "{{ c | e }}{{ c | reverse }}{{ c | safe }}",
        "{{ messages | map(attribute='content') | join(',') }}",
        "{{ c.partition('|') }}",
        "{{ c.splitlines() }}",
        "{{ messages[0].n }}{{ messages[0].n + 1 }}{{ '<|%d|>' % messages[0].n }}{{ messages[0].n | string }}",
    };
    static const char conversation[] = "[{\"role\": \"user\", \"content\": \" Z|z|Z<|Zz|>\\nZ \", \"n\": 7}]";
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        char text[512];
        pm_chat_template *chat = NULL;
        pm_chat_prompt prompt = {0};
        pm_error err = {0};
        snprintf(text, sizeof text, "{%% set c = messages[0].content %%}%s", templates[i]);
        if (pm_chat_template_create(text, &chat, &err) != PM_OK ||
            pm_chat_render_json(chat, conversation, strlen(conversation), NULL, &prompt, &err) != PM_OK)
            fail_msg("%s: %s", templates[i], err.message);
        for (size_t k = 0, before = 0; k < prompt.n_template_spans; k++) {
            const pm_text_span span = prompt.template_spans[k];
            assert_true(span.begin < span.end && span.end <= prompt.size && (k == 0 || span.begin > before));
            before = span.end;
            for (size_t at = span.begin; at < span.end; at++)
                if (strchr("Zz78", prompt.text[at]))
                    fail_msg("%s: the user's text counts as the template's in %s", templates[i], prompt.text);
        }
        pm_chat_prompt_free(&prompt);
        pm_chat_template_destroy(chat);
    }
}

/* What a user's text steers is not the template's either; roles and bos are. */
static void test_origin_of_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n_spans;
    } cases[] = {
        {"{{ '<|xend|>' | replace(messages[0].content, '') }}", 0},
        {"{{ '<|xend|>'.split(messages[0].content) | join('') }}", 0},
        {"{{ '<|xend|>'.strip(messages[0].content) }}", 0},
        {"{{ '<|' + messages[0].role + '|>' }}", 1},
        {"{{ '<|' + messages[1].role + '|>' }}", 2},
        {"{{ bos_token + '<|' }}x{{ eos_token }}", 1},
        {"{{ '<|xend|>'[:messages[0].content | int(2)] }}", 0},
        {"{{ messages[0].content }}", 0},
    };
    const pm_chat_message messages[] = {{"user", "x", 1}, {"end", "y", 1}};
    const pm_chat_options options = {.bos = "<s>", .n_bos = 3, .eos = "</s>", .n_eos = 4};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pm_chat_template *chat = NULL;
        pm_chat_prompt prompt = {0};
        assert_int_equal(pm_chat_template_create(cases[i].text, &chat, NULL), PM_OK);
        assert_int_equal(pm_chat_render(chat, messages, 2, &options, &prompt, NULL), PM_OK);
        if (prompt.n_template_spans != cases[i].n_spans)
            fail_msg("%s: %zu spans in %s", cases[i].text, prompt.n_template_spans, prompt.text);
        pm_chat_prompt_free(&prompt);
        pm_chat_template_destroy(chat);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_named_templates),  cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_origin), cmocka_unit_test(test_origin_of_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
