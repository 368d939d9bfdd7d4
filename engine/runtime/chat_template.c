/* Chat templates: the interpreter of jinja.h between a conversation and a prompt. See pumice/chat.h.
 *
 * What people wrote is marked as content here, when the variables are made; the roles in common use are not,
 * because templates make special tokens of them ("<|" + role + "|>"). */
#include "pumice/chat.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/jinja.h"

struct pm_chat_template {
    pm_arena arena;
    char *source; /* with \n for all line ends */
    size_t n_source;
    pmj_node *root;
};

static const struct named_template {
    const char *name, *text;
} named_templates[] = {
    {"chatml",
     "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
     "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    {"llama2", "{% if messages and messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
               "{% set rest = messages[1:] %}{% else %}{% set system = none %}{% set rest = messages %}{% endif %}"
               "{% for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
               "{{ raise_exception('user and assistant must take turns') }}{% endif %}"
               "{% set content = message['content'] %}{% if loop.first and system is not none %}"
               "{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + content %}{% endif %}"
               "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content | trim + ' [/INST]' }}"
               "{% else %}{{ ' ' + content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"},
    {"llama3",
     "{% for message in messages %}{{ (bos_token if loop.first else '') + '<|start_header_id|>' + "
     "message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"},
};

const char *pm_chat_template_text(const char *name)
{
    for (size_t i = 0; name && i < sizeof named_templates / sizeof *named_templates; i++)
        if (!strcmp(named_templates[i].name, name))
            return named_templates[i].text;
    return NULL;
}

pm_status pmj_guard(pmj *j, void (*work)(pmj *j, void *context), void *context)
{
    int failed = setjmp(j->out_of_here);
    if (!failed)
        work(j, context);
    json_decref(j->json);
    j->json = NULL;
    return failed ? (pm_status)failed : PM_OK;
}

/* ---- Reading a template ---- */

static void read_template(pmj *j, void *context)
{
    pm_chat_template *chat = context;
    size_t n = strlen(j->source), n_out = 0;
    if (n > PMJ_MOST_TEMPLATE) {
        j->n_source = 0;
        pmj_fail(j, PM_ERR_LIMIT, "the template is larger than %d MiB", PMJ_MOST_TEMPLATE >> 20);
    }
    chat->source = pmj_alloc(j, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (j->source[i] == '\r' && j->source[i + 1] == '\n')
            i++;
        chat->source[n_out++] = j->source[i] == '\r' ? '\n' : j->source[i];
    }
    j->source = chat->source;
    j->n_source = chat->n_source = n_out;
    chat->root = pmj_parse(j);
}

pm_status pm_chat_template_create(const char *text, pm_chat_template **out, pm_error *err)
{
    *out = NULL;
    if (!text || !*text)
        return pm_fail(err, PM_ERR_NOT_FOUND, "there is no chat template");
    pm_chat_template *chat = calloc(1, sizeof *chat);
    if (!chat)
        return pm_fail_memory(err, sizeof *chat, "a chat template");
    pmj j = {.arena = &chat->arena, .err = err, .source = text};
    pm_status status = pmj_guard(&j, read_template, chat);
    if (status != PM_OK)
        pm_chat_template_destroy(chat);
    else
        *out = chat;
    return status;
}

void pm_chat_template_destroy(pm_chat_template *chat)
{
    if (chat)
        pm_arena_free(&chat->arena);
    free(chat);
}

/* ---- Variables ---- */

static pmj_value from_jansson(pmj *j, const json_t *json, int content);

static pmj_value copied_string(pmj *j, const char *bytes, size_t n, int content)
{
    return pmj_string_value(j, pmj_name(j, bytes, n), n, content);
}

static pmj_value from_object(pmj *j, const json_t *json, int content)
{
    pmj_value dict = pmj_dict_value(j, PMJ_DICT);
    const char *key;
    size_t n;
    json_t *item;
    json_object_keylen_foreach((json_t *)json, key, n, item)
        pmj_dict_add(j, dict, copied_string(j, key, n, content), from_jansson(j, item, content));
    return dict;
}

static pmj_value from_jansson(pmj *j, const json_t *json, int content)
{
    pmj_value value = pmj_none();
    pmj_enter(j);
    pmj_step(j, 1);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        value = from_object(j, json, content);
        break;
    case JSON_ARRAY:
        value = pmj_list_value(j, PMJ_LIST);
        for (size_t i = 0; i < json_array_size(json); i++)
            pmj_list_add(j, value, from_jansson(j, json_array_get(json, i), content));
        break;
    case JSON_STRING:
        value = copied_string(j, json_string_value(json), json_string_length(json), content);
        break;
    case JSON_INTEGER:
        value = pmj_int(json_integer_value(json));
        break;
    case JSON_REAL:
        value = pmj_real(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        value = pmj_bool(json_is_true(json));
        break;
    case JSON_NULL:
        break;
    }
    value.content = content;
    pmj_leave(j);
    return value;
}

pmj_value pmj_from_json(pmj *j, const char *bytes, size_t n, int content, const char *what)
{
    json_error_t where;
    json_decref(j->json);
    j->json = json_loadb(bytes, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    if (!j->json)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s is no JSON: %.120s (at byte %d)", what, where.text, where.position);
    pmj_value value = from_jansson(j, j->json, content);
    json_decref(j->json);
    j->json = NULL;
    return value;
}

/* A role that everybody uses is not something that a person wrote. */
static pmj_value trusted_role(pmj *j, pmj_value role)
{
    static const char *const roles[] = {"system",        "user",         "assistant", "tool",
                                        "developer",     "function",     "ipython",   "model",
                                        "tool_response", "tool_results", "documents"};
    for (size_t i = 0; role.type == PMJ_STRING && i < sizeof roles / sizeof *roles; i++)
        if (pmj_string_is(role.as.string, roles[i]))
            return pmj_literal(j, roles[i]);
    return role;
}

/* A message as transformers hands it on: reasoning goes by all the names that templates know. */
static pmj_value finish_message(pmj *j, pmj_value message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    pmj_value *role = (pmj_value *)pmj_dict_find(j, message, "role");
    const pmj_value *reasoning = NULL;
    if (role)
        *role = trusted_role(j, *role);
    for (size_t i = 0; i < 3 && !reasoning; i++) {
        reasoning = pmj_dict_find(j, message, names[i]);
        if (reasoning && reasoning->type == PMJ_NONE)
            reasoning = NULL;
    }
    if (!reasoning)
        return message;
    pmj_value dict = pmj_dict_value(j, PMJ_DICT);
    pmj_dict_set(j, dict, pmj_literal(j, "thinking"), *reasoning);
    for (size_t i = 0; i < message.as.dict->n; i++)
        pmj_dict_set(j, dict, message.as.dict->pairs[i].key, message.as.dict->pairs[i].value);
    pmj_dict_set(j, dict, pmj_literal(j, "reasoning_content"), *reasoning);
    return dict;
}

static void set_messages(pmj *j, pmj_scope *scope, pmj_value messages)
{
    pmj_value list = pmj_list_value(j, PMJ_LIST);
    if (messages.type != PMJ_LIST)
        pmj_fail(j, PM_ERR_ARGUMENT, "the conversation is no list of messages");
    for (size_t i = 0; i < messages.as.list->n; i++) {
        if (messages.as.list->items[i].type != PMJ_DICT)
            pmj_fail(j, PM_ERR_ARGUMENT, "message %zu of the conversation is %s and should be an object", i,
                     pmj_type_name(messages.as.list->items[i]));
        pmj_list_add(j, list, finish_message(j, messages.as.list->items[i]));
    }
    pmj_set_variable(j, scope, "messages", list);
}

static void set_all(pmj *j, pmj_scope *scope, pmj_value dict, const char *what)
{
    if (dict.type != PMJ_DICT)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s are no JSON object", what);
    for (size_t i = 0; i < dict.as.dict->n; i++) {
        const pmj_string *name = dict.as.dict->pairs[i].key.as.string;
        pmj_set_variable(j, scope, pmj_name(j, name->bytes, name->n), dict.as.dict->pairs[i].value);
    }
}

typedef struct rendering {
    const pm_chat_template *chat;
    const pm_chat_message *messages; /* or */
    size_t n;
    const char *conversation;
    size_t size;
    const pm_chat_options *options;
    pmj_text text;
} rendering;

static pmj_value plain_messages(pmj *j, const rendering *r)
{
    pmj_value list = pmj_list_value(j, PMJ_LIST);
    for (size_t i = 0; i < r->n; i++) {
        const pm_chat_message *m = &r->messages[i];
        pmj_value message = pmj_dict_value(j, PMJ_DICT);
        if (!m->role || (!m->content && m->n_content))
            pmj_fail(j, PM_ERR_ARGUMENT, "message %zu of the conversation has no role or no text", i);
        pmj_dict_add(j, message, pmj_literal(j, "role"), copied_string(j, m->role, strlen(m->role), 1));
        pmj_dict_add(j, message, pmj_literal(j, "content"),
                     pmj_string_value(j, m->n_content ? m->content : "", m->n_content, 1));
        pmj_list_add(j, list, message);
    }
    return list;
}

static void set_options(pmj *j, pmj_scope *scope, const pm_chat_options *options)
{
    pmj_set_variable(j, scope, "add_generation_prompt", pmj_bool(options->add_generation_prompt));
    pmj_set_variable(j, scope, "tools", pmj_none());
    pmj_set_variable(j, scope, "documents", pmj_none());
    if (options->bos)
        pmj_set_variable(j, scope, "bos_token", pmj_string_value(j, options->bos, options->n_bos, 0));
    if (options->eos)
        pmj_set_variable(j, scope, "eos_token", pmj_string_value(j, options->eos, options->n_eos, 0));
    if (options->tools)
        pmj_set_variable(j, scope, "tools",
                         pmj_from_json(j, options->tools, strlen(options->tools), 1, "the tools"));
    if (options->variables)
        set_all(j, scope, pmj_from_json(j, options->variables, strlen(options->variables), 1, "the variables"),
                "the variables");
}

static void render(pmj *j, void *context)
{
    static const pm_chat_options no_options;
    rendering *r = context;
    const pm_chat_options *options = r->options ? r->options : &no_options;
    pmj_scope *globals = pmj_alloc(j, sizeof *globals), *scope = pmj_alloc(j, sizeof *scope);
    scope->parent = globals;
    j->now = options->now ? options->now : -1;
    pmj_add_globals(j, globals);
    set_options(j, scope, options);
    if (!r->conversation) {
        set_messages(j, scope, plain_messages(j, r));
    } else {
        pmj_value given = pmj_from_json(j, r->conversation, r->size, 1, "the conversation");
        if (given.type == PMJ_DICT) {
            set_all(j, scope, given, "the conversation's variables");
            const pmj_value *messages = pmj_dict_find(j, given, "messages");
            given = messages ? *messages : pmj_none();
        }
        set_messages(j, scope, given);
    }
    j->output = &r->text;
    pmj_run(j, r->chat->root, scope);
}

/* ---- The prompt ---- */

/* Runs of bytes with mark 0; counts them where spans is NULL. */
static size_t find_spans(const pmj_text *text, pm_text_span *spans)
{
    size_t n = 0;
    for (size_t at = 0, end; at < text->n; at = end) {
        int mark = text->marks && text->marks[at];
        for (end = at + 1; end < text->n && (text->marks && text->marks[end]) == mark;)
            end++;
        if (!mark && spans)
            spans[n] = (pm_text_span){at, end};
        n += !mark;
    }
    return n;
}

static pm_status make_prompt(const pmj_text *text, pm_chat_prompt *out, pm_error *err)
{
    size_t n = find_spans(text, NULL);
    out->text = malloc(text->n + 1);
    out->template_spans = malloc((n + 1) * sizeof *out->template_spans);
    if (!out->text || !out->template_spans) {
        pm_chat_prompt_free(out);
        return pm_fail_memory(err, text->n + n * sizeof *out->template_spans, "a prompt");
    }
    if (text->n)
        memcpy(out->text, text->bytes, text->n);
    out->text[text->n] = '\0';
    out->size = text->n;
    out->n_template_spans = find_spans(text, out->template_spans);
    return PM_OK;
}

static pm_status run(rendering *r, pm_chat_prompt *out, pm_error *err)
{
    pm_arena arena = {0};
    *out = (pm_chat_prompt){0};
    pmj j = {.arena = &arena, .err = err, .source = r->chat->source, .n_source = r->chat->n_source};
    pm_status status = pmj_guard(&j, render, r);
    if (status == PM_OK)
        status = make_prompt(&r->text, out, err);
    pm_arena_free(&arena);
    return status;
}

pm_status pm_chat_render(const pm_chat_template *chat, const pm_chat_message *messages, size_t n,
                         const pm_chat_options *options, pm_chat_prompt *out, pm_error *err)
{
    rendering r = {.chat = chat, .messages = messages, .n = n, .options = options};
    return run(&r, out, err);
}

pm_status pm_chat_render_json(const pm_chat_template *chat, const char *conversation, size_t size,
                              const pm_chat_options *options, pm_chat_prompt *out, pm_error *err)
{
    rendering r = {.chat = chat, .conversation = conversation, .size = size, .options = options};
    return run(&r, out, err);
}

void pm_chat_prompt_free(pm_chat_prompt *prompt)
{
    if (!prompt)
        return;
    free(prompt->text);
    free(prompt->template_spans);
    *prompt = (pm_chat_prompt){0};
}
