/* Chat templates of the ChatML, LLaMA 2 and LLaMA 3 families: see pumice/chat.h.
 *
 * A model's template is a Jinja program. Of it only what varies within a family is read, by looking for literals:
 * the default system message, the fixed lines before it, whether the text begins with bos. What the template
 * writes and what people wrote goes through two different functions below, add_template and add_content.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pumice/chat.h"

struct pm_chat_template {
    pm_chat_format format;
    int starts_with_bos;
    char *default_system; /* or NULL */
    char *system_header;  /* LLaMA 3.1 and later: lines before the system message; or NULL */
};

/* ---- Reading a template ---- */

pm_chat_format pm_chat_format_detect(const char *text)
{
    if (!text)
        return PM_CHAT_NONE;
    if (strstr(text, "<|im_start|>") && strstr(text, "<|im_end|>"))
        return PM_CHAT_CHATML;
    if (strstr(text, "<|start_header_id|>") && strstr(text, "<|eot_id|>"))
        return PM_CHAT_LLAMA3;
    if (strstr(text, "[INST]") && strstr(text, "<<SYS>>"))
        return PM_CHAT_LLAMA2;
    return PM_CHAT_NONE;
}

const char *pm_chat_format_name(pm_chat_format format)
{
    switch (format) {
    case PM_CHAT_CHATML:
        return "chatml";
    case PM_CHAT_LLAMA2:
        return "llama2";
    case PM_CHAT_LLAMA3:
        return "llama3";
    case PM_CHAT_NONE:
        break;
    }
    return "none";
}

/* Copies a Jinja string literal's text up to `end`, where its escapes are undone. Returns NULL with *ended 1 where
 * the literal's quote comes first: then the text is not one literal. */
static char *copy_literal(const char *text, const char *end, char quote, int *ended)
{
    char *copy = malloc((size_t)(end - text) + 1);
    size_t n = 0;
    *ended = 0;
    for (const char *at = text; copy && at < end; at++) {
        if (*at == quote) {
            *ended = 1;
            free(copy);
            return NULL;
        }
        char c = *at;
        if (c == '\\' && at + 1 < end) {
            c = *++at;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        copy[n++] = c;
    }
    if (copy)
        copy[n] = '\0';
    return copy;
}

/* ChatML: the first literal "<|im_start|>system\nTEXT<|im_end|>". */
static pm_status read_default_system(pm_chat_template *chat, const char *text, pm_error *err)
{
    static const char start[] = "<|im_start|>system";
    for (const char *at = strstr(text, start); at; at = strstr(at + 1, start)) {
        const char *from = at + sizeof start - 1;
        int escaped = from[0] == '\\' && from[1] == 'n';
        const char *end = strstr(from, "<|im_end|>");
        if (at == text || (at[-1] != '\'' && at[-1] != '"') || (!escaped && from[0] != '\n') || !end)
            continue;
        int ended;
        chat->default_system = copy_literal(from + (escaped ? 2 : 1), end, at[-1], &ended);
        if (chat->default_system)
            return PM_OK;
        if (!ended)
            return pm_fail_memory(err, (size_t)(end - from), "a chat template");
    }
    return PM_OK;
}

/* LLaMA 3.1 and later: dates before the system message. Templates that would ask for today's date get the one that
 * they fall back on, so that the same conversation always gives the same text. */
static pm_status read_system_header(pm_chat_template *chat, const char *text, pm_error *err)
{
    static const char cutting[] = "Cutting Knowledge Date: December 2023\n";
    static const char today[] = "Today Date: ";
    const char *date = strstr(text, "date_string = \"");
    if (!strstr(text, "Cutting Knowledge Date: December 2023") || !date)
        return PM_OK;
    date += strlen("date_string = \"");
    size_t n_date = strcspn(date, "\"");
    chat->system_header = calloc(sizeof cutting + sizeof today + n_date + 2, 1);
    if (!chat->system_header)
        return pm_fail_memory(err, sizeof cutting + n_date, "a chat template");
    strcat(strcat(chat->system_header, cutting), today);
    strncat(chat->system_header, date, n_date);
    strcat(chat->system_header, "\n\n");
    return PM_OK;
}

pm_status pm_chat_template_create(const char *text, pm_chat_template **out, pm_error *err)
{
    if (!text || !text[0])
        return pm_fail(err, PM_ERR_NOT_FOUND, "the model has no chat template");
    pm_chat_format format = pm_chat_format_detect(text);
    if (format == PM_CHAT_NONE)
        return pm_fail(
            err, PM_ERR_UNSUPPORTED,
            "the model's chat template is of a family that is not supported (ChatML, LLaMA 2 and 3 are)");
    pm_chat_template *chat = NULL;
    PM_TRY(pm_chat_template_create_plain(format, &chat, err));
    chat->starts_with_bos = strstr(text, "bos_token") || strstr(text, "<|begin_of_text|>");
    pm_status status = PM_OK;
    if (format == PM_CHAT_CHATML)
        status = read_default_system(chat, text, err);
    else if (format == PM_CHAT_LLAMA3)
        status = read_system_header(chat, text, err);
    if (status == PM_OK)
        *out = chat;
    else
        pm_chat_template_destroy(chat);
    return status;
}

pm_status pm_chat_template_create_plain(pm_chat_format format, pm_chat_template **out, pm_error *err)
{
    if (format != PM_CHAT_CHATML && format != PM_CHAT_LLAMA2 && format != PM_CHAT_LLAMA3)
        return pm_fail(err, PM_ERR_ARGUMENT, "there is no chat template of family %d", (int)format);
    pm_chat_template *chat = calloc(1, sizeof *chat);
    if (!chat)
        return pm_fail_memory(err, sizeof *chat, "a chat template");
    chat->format = format;
    chat->starts_with_bos = format != PM_CHAT_CHATML;
    *out = chat;
    return PM_OK;
}

void pm_chat_template_destroy(pm_chat_template *chat)
{
    if (!chat)
        return;
    free(chat->default_system);
    free(chat->system_header);
    free(chat);
}

pm_chat_format pm_chat_template_format(const pm_chat_template *chat)
{
    return chat->format;
}

const char *pm_chat_template_default_system(const pm_chat_template *chat)
{
    return chat->default_system;
}

/* ---- Writing a prompt ---- */

typedef struct prompt_writer {
    const pm_chat_template *chat;
    const pm_chat_options *options;
    pm_chat_prompt prompt;
    size_t text_capacity, spans_capacity;
    pm_error *err;
} prompt_writer;

static pm_status add_bytes(prompt_writer *w, const char *bytes, size_t n)
{
    pm_chat_prompt *p = &w->prompt;
    if (n > SIZE_MAX / 4 || p->size > SIZE_MAX / 4)
        return pm_fail_memory(w->err, n, "a chat prompt");
    if (p->size + n + 1 > w->text_capacity) {
        size_t capacity = (p->size + n + 1) * 2;
        char *grown = realloc(p->text, capacity);
        if (!grown)
            return pm_fail_memory(w->err, capacity, "a chat prompt");
        p->text = grown;
        w->text_capacity = capacity;
    }
    if (n > 0)
        memcpy(p->text + p->size, bytes, n);
    p->size += n;
    p->text[p->size] = '\0';
    return PM_OK;
}

/* What the template writes: its special tokens count. */
static pm_status add_template_bytes(prompt_writer *w, const char *bytes, size_t n)
{
    pm_chat_prompt *p = &w->prompt;
    size_t begin = p->size;
    PM_TRY(add_bytes(w, bytes, n));
    if (n == 0)
        return PM_OK;
    if (p->n_template_spans > 0 && p->template_spans[p->n_template_spans - 1].end == begin) {
        p->template_spans[p->n_template_spans - 1].end = p->size;
        return PM_OK;
    }
    if (p->n_template_spans == w->spans_capacity) {
        size_t capacity = w->spans_capacity * 2 + 16;
        pm_text_span *grown = realloc(p->template_spans, capacity * sizeof *grown);
        if (!grown)
            return pm_fail_memory(w->err, capacity * sizeof *grown, "a chat prompt");
        p->template_spans = grown;
        w->spans_capacity = capacity;
    }
    p->template_spans[p->n_template_spans++] = (pm_text_span){begin, p->size};
    return PM_OK;
}

static pm_status add_template(prompt_writer *w, const char *text)
{
    return add_template_bytes(w, text, strlen(text));
}

/* What people wrote: nothing in it counts. */
static pm_status add_content(prompt_writer *w, const pm_chat_message *message)
{
    return add_bytes(w, message->content, message->n_content);
}

static int is_white(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The same without white space at its end. */
static pm_status add_trimmed_right(prompt_writer *w, const char *text, size_t n)
{
    while (n > 0 && is_white(text[n - 1]))
        n--;
    return add_bytes(w, text, n);
}

/* The same without white space at both ends, as the templates of the LLaMA families have it. */
static pm_status add_trimmed(prompt_writer *w, const pm_chat_message *message)
{
    size_t skip = 0;
    while (skip < message->n_content && is_white(message->content[skip]))
        skip++;
    return add_trimmed_right(w, message->content + skip, message->n_content - skip);
}

static int is_role(const pm_chat_message *message, const char *role)
{
    return strcmp(message->role, role) == 0;
}

static pm_status check_roles(const pm_chat_message *messages, size_t n, pm_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!messages[i].role || (!is_role(&messages[i], "system") && !is_role(&messages[i], "user") &&
                                  !is_role(&messages[i], "assistant")))
            return pm_fail(err, PM_ERR_ARGUMENT,
                           "message %zu has the role '%.40s'; there are system, user and assistant", i + 1,
                           messages[i].role ? messages[i].role : "(none)");
    return PM_OK;
}

/* ---- The families ---- */

static pm_status write_chatml(prompt_writer *w, const pm_chat_message *messages, size_t n)
{
    if (w->chat->default_system && n > 0 && !is_role(&messages[0], "system")) {
        PM_TRY(add_template(w, "<|im_start|>system\n"));
        PM_TRY(add_template(w, w->chat->default_system));
        PM_TRY(add_template(w, "<|im_end|>\n"));
    }
    for (size_t i = 0; i < n; i++) {
        PM_TRY(add_template(w, "<|im_start|>"));
        PM_TRY(add_template(w, messages[i].role));
        PM_TRY(add_template(w, "\n"));
        PM_TRY(add_content(w, &messages[i]));
        PM_TRY(add_template(w, "<|im_end|>\n"));
    }
    return w->options->add_generation_prompt ? add_template(w, "<|im_start|>assistant\n") : PM_OK;
}

static pm_status add_llama3_header(prompt_writer *w, const char *role)
{
    PM_TRY(add_template(w, "<|start_header_id|>"));
    PM_TRY(add_template(w, role));
    return add_template(w, "<|end_header_id|>\n\n");
}

static pm_status write_llama3(prompt_writer *w, const pm_chat_message *messages, size_t n)
{
    size_t first = 0;
    if (w->chat->system_header) { /* there is always a system message then, perhaps an empty one */
        PM_TRY(add_llama3_header(w, "system"));
        PM_TRY(add_template(w, w->chat->system_header));
        if (n > 0 && is_role(&messages[0], "system"))
            PM_TRY(add_trimmed(w, &messages[first++]));
        PM_TRY(add_template(w, "<|eot_id|>"));
    }
    for (size_t i = first; i < n; i++) {
        PM_TRY(add_llama3_header(w, messages[i].role));
        PM_TRY(add_trimmed(w, &messages[i]));
        PM_TRY(add_template(w, "<|eot_id|>"));
    }
    return w->options->add_generation_prompt ? add_llama3_header(w, "assistant") : PM_OK;
}

/* The system message goes into the first user message; each user message starts a text of its own, with bos. */
static pm_status write_llama2(prompt_writer *w, const pm_chat_message *messages, size_t n)
{
    size_t first = n > 0 && is_role(&messages[0], "system");
    for (size_t i = first; i < n; i++) {
        int is_user = (i - first) % 2 == 0;
        if (!is_role(&messages[i], is_user ? "user" : "assistant"))
            return pm_fail(w->err, PM_ERR_ARGUMENT,
                           "message %zu: this model's chats alternate between user and assistant, from a user on",
                           i + 1);
        if (is_user) {
            if (i > first)
                PM_TRY(add_template_bytes(w, w->options->bos, w->options->n_bos));
            PM_TRY(add_template(w, "[INST] "));
            if (first == 1 && i == 1) {
                PM_TRY(add_template(w, "<<SYS>>\n"));
                PM_TRY(add_content(w, &messages[0]));
                PM_TRY(add_template(w, "\n<</SYS>>\n\n"));
                PM_TRY(add_trimmed_right(w, messages[1].content, messages[1].n_content));
            } else {
                PM_TRY(add_trimmed(w, &messages[i]));
            }
            PM_TRY(add_template(w, " [/INST]"));
        } else {
            PM_TRY(add_template(w, " "));
            PM_TRY(add_trimmed(w, &messages[i]));
            PM_TRY(add_template(w, " "));
            PM_TRY(add_template_bytes(w, w->options->eos, w->options->n_eos));
        }
    }
    return PM_OK;
}

pm_status pm_chat_render(const pm_chat_template *chat, const pm_chat_message *messages, size_t n,
                         const pm_chat_options *options, pm_chat_prompt *out, pm_error *err)
{
    static const pm_chat_options none;
    prompt_writer w = {.chat = chat, .options = options ? options : &none, .err = err};
    PM_TRY(check_roles(messages, n, err));
    pm_status status = add_bytes(&w, "", 0);
    if (status == PM_OK && chat->starts_with_bos)
        status = add_template_bytes(&w, w.options->bos, w.options->n_bos);
    if (status == PM_OK)
        status = chat->format == PM_CHAT_CHATML   ? write_chatml(&w, messages, n)
                 : chat->format == PM_CHAT_LLAMA3 ? write_llama3(&w, messages, n)
                                                  : write_llama2(&w, messages, n);
    if (status == PM_OK)
        *out = w.prompt;
    else
        pm_chat_prompt_free(&w.prompt);
    return status;
}

void pm_chat_prompt_free(pm_chat_prompt *prompt)
{
    if (!prompt)
        return;
    free(prompt->text);
    free(prompt->template_spans);
    memset(prompt, 0, sizeof *prompt);
}
