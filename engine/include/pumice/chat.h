/* Chat templates: a conversation to the text that a model was trained to see.
 *
 * The result keeps apart what the template wrote and what people wrote, so that only the template's special tokens
 * are honoured when it is encoded; a "<|im_end|>" that a user types stays text:
 *
 *     pm_encode_request request = {.text = prompt.text, .size = prompt.size,
 *                                  .special_spans = prompt.template_spans, .n_special_spans =
 * prompt.n_template_spans}; pm_tokenizer_encode_request(tokenizer, &request, &tokens, err);
 *
 * The bos token is part of the text where the template has one: do not add it again (no PM_ENCODE_ADD_SPECIAL).
 */
#ifndef PUMICE_CHAT_H
#define PUMICE_CHAT_H

#include <stddef.h>

#include "pumice/plugin.h"
#include "pumice/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The families of templates that are known. */
typedef enum pm_chat_format {
    PM_CHAT_NONE = 0, /* no template, or one of another family */
    PM_CHAT_CHATML,   /* <|im_start|>ROLE ... <|im_end|> (SmolLM2, Qwen 2 and 3, ...) */
    PM_CHAT_LLAMA2,   /* [INST] ... [/INST] */
    PM_CHAT_LLAMA3    /* <|start_header_id|>ROLE<|end_header_id|> ... <|eot_id|> */
} pm_chat_format;

typedef struct pm_chat_message {
    const char *role; /* "system", "user" or "assistant" */
    const char *content;
    size_t n_content;
} pm_chat_message;

typedef struct pm_chat_template pm_chat_template; /* immutable */

/* Recognises the family of a model's template (the text of tokenizer.chat_template; NULL is none). */
pm_chat_format pm_chat_format_detect(const char *template_text);
const char *pm_chat_format_name(pm_chat_format format); /* "none", "chatml", "llama2", "llama3" */

/* Reads a model's template: its family, and of its own wording the default system message and fixed headers.
 * Errors: PM_ERR_NOT_FOUND (NULL or empty), PM_ERR_UNSUPPORTED (another family), PM_ERR_MEMORY. */
pm_status pm_chat_template_create(const char *template_text, pm_chat_template **out, pm_error *err);

/* The plain template of a family, for models that come without one. */
pm_status pm_chat_template_create_plain(pm_chat_format format, pm_chat_template **out, pm_error *err);
void pm_chat_template_destroy(pm_chat_template *chat); /* NULL is fine */

pm_chat_format pm_chat_template_format(const pm_chat_template *chat);

/* The system message of a conversation that starts without one; NULL where the template has none. */
const char *pm_chat_template_default_system(const pm_chat_template *chat);

typedef struct pm_chat_options {
    int add_generation_prompt; /* end with what comes before the assistant's answer */
    const char *bos;           /* how the tokenizer's bos and eos tokens are written; NULL: there is none */
    size_t n_bos;
    const char *eos;
    size_t n_eos;
} pm_chat_options;

/* The rendered text, NUL-terminated, and which parts of it are the template's: ascending, not overlapping. */
typedef struct pm_chat_prompt {
    char *text;
    size_t size;
    pm_text_span *template_spans;
    size_t n_template_spans;
} pm_chat_prompt;

/* Errors: PM_ERR_ARGUMENT (a role that the template does not know; for LLaMA 2, turns that do not alternate),
 * PM_ERR_MEMORY. Free the prompt with pm_chat_prompt_free. */
pm_status pm_chat_render(const pm_chat_template *chat, const pm_chat_message *messages, size_t n,
                         const pm_chat_options *options, pm_chat_prompt *out, pm_error *err);
void pm_chat_prompt_free(pm_chat_prompt *prompt); /* also makes it empty; NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
