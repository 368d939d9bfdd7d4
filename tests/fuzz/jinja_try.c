/* See jinja_try.h. */
#include "jinja_try.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/chat.h"

static const char conversation[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"H\\u00e9 "
    "<|x|>\"},"
    "{\"role\": \"assistant\", \"content\": \"\", \"reasoning_content\": \"r\", \"tool_calls\": [{\"id\": "
    "\"call00001\","
    "\"type\": \"function\", \"function\": {\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": [true, null, "
    "1.5]}}}]},"
    "{\"role\": \"tool\", \"content\": \"t\", \"tool_call_id\": \"call00001\"},"
    "{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"part\"}]}],"
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"d\", \"parameters\":"
    "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}}}}}]}";

static void require(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "broken promise: %s\n", what);
        abort();
    }
}

int jinja_try(const char *bytes, size_t size)
{
    char *text = strndup(bytes, size);
    const pm_chat_options options = {
        .add_generation_prompt = 1, .bos = "<s>", .n_bos = 3, .eos = "</s>", .n_eos = 4};
    pm_chat_template *chat = NULL;
    pm_chat_prompt prompt = {0};
    pm_error err = {0};
    if (!text)
        return 0;
    pm_status status = pm_chat_template_create(text, &chat, &err);
    require((status == PM_OK) == (chat != NULL), "a template or an error");
    if (status == PM_OK)
        status = pm_chat_render_json(chat, conversation, sizeof conversation - 1, &options, &prompt, &err);
    require(status == PM_OK || *err.message, "an error has a message");
    require(status != PM_ERR_INTERNAL, "no internal error");
    require((status == PM_OK) == (prompt.text != NULL), "a prompt or an error");
    for (size_t i = 0, before = 0; i < prompt.n_template_spans; i++) {
        const pm_text_span span = prompt.template_spans[i];
        require(before <= span.begin && span.begin < span.end && span.end <= prompt.size, "spans ascend");
        before = span.end;
    }
    pm_chat_prompt_free(&prompt);
    pm_chat_template_destroy(chat);
    free(text);
    return status == PM_OK;
}
