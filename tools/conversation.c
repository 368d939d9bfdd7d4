/* Turning a conversation into tokens, and keeping what the session has evaluated already. */
#include "conversation.h"

#include <stdlib.h>
#include <string.h>

/* Has the vocabulary the tokens that ChatML is written with? */
static int knows_chatml(const pm_tokenizer *tokenizer)
{
    static const char *const tokens[] = {"<|im_start|>", "<|im_end|>"};
    int known = 1;
    for (size_t i = 0; i < 2 && known; i++) {
        const pm_text_span all = {0, strlen(tokens[i])};
        const pm_encode_request request = {
            .text = tokens[i], .size = all.end, .special_spans = &all, .n_special_spans = 1};
        pm_tokens ids = {0};
        known = pm_tokenizer_encode_request(tokenizer, &request, &ids, NULL) == PM_OK && ids.n == 1;
        pm_tokens_free(&ids);
    }
    return known;
}

pm_status cli_conversation_open(cli_conversation *conversation, const pm_tokenizer *tokenizer, const char *choice,
                                pm_error *err)
{
    const char *text = pm_tokenizer_chat_template(tokenizer);
    cli_text file = {0};
    pm_status status = PM_OK;
    if (choice && strcmp(choice, "auto") != 0) {
        text = pm_chat_template_text(choice);
        if (!text)
            status = cli_read_file(choice, &file, err);
        text = file.data ? file.data : text;
    } else if ((!text || !*text) && knows_chatml(tokenizer)) {
        text = pm_chat_template_text("chatml");
    }
    if (status == PM_OK)
        status = pm_chat_template_create(text, &conversation->chat, err);
    cli_text_free(&file);
    if (status == PM_ERR_NOT_FOUND && !choice)
        return cli_fail(err, status,
                        "this model has no chat template: continue a text with --raw, or choose a template "
                        "with --template");
    if (status != PM_OK && !choice) {
        const pm_error why = *err;
        return cli_fail(err, status, "%s. Continue a text with --raw, or choose a template with --template",
                        why.message);
    }
    return status;
}

pm_status cli_conversation_add(cli_conversation *conversation, const char *role, const char *text, size_t size,
                               pm_error *err)
{
    if (conversation->n == conversation->capacity) {
        size_t capacity = conversation->capacity ? conversation->capacity * 2 : 16;
        cli_message *larger = realloc(conversation->messages, capacity * sizeof *larger);
        if (!larger)
            return cli_fail(err, PM_ERR_MEMORY, "no memory for %zu messages", capacity);
        conversation->messages = larger;
        conversation->capacity = capacity;
    }
    cli_message *message = &conversation->messages[conversation->n];
    message->role = role;
    pm_status status = cli_copy_text(text, size, &message->text, err);
    if (status == PM_OK)
        conversation->n++;
    return status;
}

void cli_conversation_cut(cli_conversation *conversation, size_t n)
{
    while (conversation->n > n)
        cli_text_free(&conversation->messages[--conversation->n].text);
}

void cli_conversation_close(cli_conversation *conversation)
{
    cli_conversation_cut(conversation, 0);
    free(conversation->messages);
    pm_chat_template_destroy(conversation->chat);
    *conversation = (cli_conversation){0};
}

/* Takes off the timeline what does not agree with the tokens; *n_kept of them are on it then. At least one is not,
 * since something must be evaluated. */
static pm_status keep_common(cli_engine *engine, const pm_tokens *tokens, size_t *n_kept, pm_error *err)
{
    const int32_t *past = pm_session_tokens(engine->session);
    size_t n_past = (size_t)pm_session_n_past(engine->session), n = 0;
    while (n < n_past && n + 1 < tokens->n && past[n] == tokens->ids[n])
        n++;
    *n_kept = n;
    return pm_session_truncate(engine->session, (int32_t)n, err);
}

/* The whole conversation as the model is to see it, up to where its answer begins. */
static pm_status render(const cli_conversation *conversation, const pm_tokenizer *tokenizer,
                        pm_chat_prompt *prompt, pm_error *err)
{
    pm_chat_message *messages = malloc(conversation->n * sizeof *messages);
    if (!messages)
        return cli_fail(err, PM_ERR_MEMORY, "no memory for %zu messages", conversation->n);
    for (size_t i = 0; i < conversation->n; i++) {
        const cli_message *m = &conversation->messages[i];
        messages[i] = (pm_chat_message){m->role, m->text.data, m->text.size};
    }
    pm_chat_options options = {.add_generation_prompt = 1};
    options.bos = pm_tokenizer_token_bytes(tokenizer, pm_tokenizer_bos(tokenizer), &options.n_bos);
    options.eos = pm_tokenizer_token_bytes(tokenizer, pm_tokenizer_eos(tokenizer), &options.n_eos);
    pm_status status = pm_chat_render(conversation->chat, messages, conversation->n, &options, prompt, err);
    free(messages);
    return status;
}

static pm_status encode(const cli_conversation *conversation, const pm_tokenizer *tokenizer, pm_tokens *tokens,
                        pm_error *err)
{
    pm_chat_prompt prompt = {0};
    pm_status status = render(conversation, tokenizer, &prompt, err);
    if (status == PM_OK) {
        /* What a person typed stays text, also where it looks like a special token. */
        const pm_encode_request request = {
            .text = prompt.text,
            .size = prompt.size,
            .special_spans = prompt.template_spans,
            .n_special_spans = prompt.n_template_spans,
        };
        status = pm_tokenizer_encode_request(tokenizer, &request, tokens, err);
    }
    pm_chat_prompt_free(&prompt);
    return status;
}

int cli_conversation_ask(cli_conversation *conversation, cli_engine *engine, const cli_answer_options *options,
                         const char *text, size_t size, cli_answer *answer)
{
    pm_error err = {0};
    pm_tokens tokens = {0};
    size_t n_before = conversation->n, n_kept = 0;
    pm_status status = cli_conversation_add(conversation, "user", text, size, &err);
    if (status == PM_OK)
        status = encode(conversation, engine->tokenizer, &tokens, &err);
    if (status == PM_OK)
        status = keep_common(engine, &tokens, &n_kept, &err);
    int result = status == PM_OK ? cli_make_answer(engine, options, tokens.ids + n_kept, tokens.n - n_kept, answer)
                                 : cli_report(engine->command, &err);
    pm_tokens_free(&tokens);
    if (result == CLI_OK &&
        cli_conversation_add(conversation, "assistant", answer->text.data ? answer->text.data : "",
                             answer->text.size, &err) != PM_OK)
        result = cli_report(engine->command, &err);
    if (result != CLI_OK)
        cli_conversation_cut(conversation, n_before);
    return result;
}
