/* Chat templates: a conversation to the text that a model was trained to see. Templates are Jinja programs, and
 * are run as transformers' apply_chat_template runs them; what is not supported is an error that quotes the line.
 *
 * The result keeps apart what the template wrote and what comes from the conversation, so that only the template's
 * special tokens are honoured when it is encoded; a "<|im_end|>" that a user types stays text:
 *
 *     pm_encode_request request = {.text = prompt.text, .size = prompt.size,
 *                                  .special_spans = prompt.template_spans,
 *                                  .n_special_spans = prompt.n_template_spans};
 *     pm_tokenizer_encode_request(tokenizer, &request, &tokens, err);
 *
 * All strings and numbers of the conversation, of tools and of variables are content, byte by byte, whatever the
 * template does with them; bos, eos and the roles in common use ("user", "assistant", ...) are the template's.
 * The bos token is part of the text where the template has one: do not add it again (no PM_ENCODE_ADD_SPECIAL).
 */
#ifndef PUMICE_CHAT_H
#define PUMICE_CHAT_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/plugin.h"
#include "pumice/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A message with a plain text. Others (parts, tool calls, reasoning) come as JSON: pm_chat_render_json. */
typedef struct pm_chat_message {
    const char *role; /* "system", "user", "assistant", "tool", or what the template knows besides */
    const char *content;
    size_t n_content;
} pm_chat_message;

typedef struct pm_chat_template pm_chat_template; /* immutable; may be used by several threads */

/* Reads a template (the text of tokenizer.chat_template, or a chat_template.jinja). Errors: PM_ERR_NOT_FOUND (NULL
 * or empty), PM_ERR_FORMAT, PM_ERR_UNSUPPORTED, PM_ERR_LIMIT (with the line that they are in), PM_ERR_MEMORY. */
pm_status pm_chat_template_create(const char *template_text, pm_chat_template **out, pm_error *err);

/* The text of a template that comes with the library: "chatml", "llama2", "llama3". NULL: there is none of this
 * name. Static storage. */
const char *pm_chat_template_text(const char *name);
void pm_chat_template_destroy(pm_chat_template *chat); /* NULL is fine */

typedef struct pm_chat_options {
    int add_generation_prompt; /* end with what comes before the assistant's answer */
    const char *bos;           /* how the tokenizer's bos and eos tokens are written; NULL: there is none */
    size_t n_bos;
    const char *eos;
    size_t n_eos;
    const char *tools;     /* JSON: a list of function descriptions; NULL: none */
    const char *variables; /* JSON: an object of more that the template may ask for ("enable_thinking"); or NULL */
    int64_t now;           /* for templates that write the date: seconds since 1970; 0: the clock's */
} pm_chat_options;

/* The rendered text, NUL-terminated, and which parts of it are the template's: ascending, not overlapping. */
typedef struct pm_chat_prompt {
    char *text;
    size_t size;
    pm_text_span *template_spans;
    size_t n_template_spans;
} pm_chat_prompt;

/* Errors: PM_ERR_ARGUMENT (malformed JSON; or the template refuses the conversation, or fails on it),
 * PM_ERR_UNSUPPORTED (the template uses what is not known), PM_ERR_LIMIT (too many steps, too deep, too much
 * memory), PM_ERR_MEMORY. Free the prompt with pm_chat_prompt_free. */
pm_status pm_chat_render(const pm_chat_template *chat, const pm_chat_message *messages, size_t n,
                         const pm_chat_options *options, pm_chat_prompt *out, pm_error *err);

/* The same for a conversation in JSON: a list of messages, or an object of "messages" and, where wanted, "tools"
 * and any other variables. A message's "reasoning_content" may also be called "thinking" or "reasoning". */
pm_status pm_chat_render_json(const pm_chat_template *chat, const char *conversation, size_t size,
                              const pm_chat_options *options, pm_chat_prompt *out, pm_error *err);
void pm_chat_prompt_free(pm_chat_prompt *prompt); /* also makes it empty; NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
