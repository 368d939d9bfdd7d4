/* A conversation: its messages, and the session's timeline kept in step with them.
 *
 * The messages are the truth. Each turn renders all of them with the model's chat template, keeps the part of the
 * timeline that agrees with the result, and evaluates only the rest; so no template needs to be cut into pieces.
 */
#ifndef PUMICE_TOOLS_CONVERSATION_H
#define PUMICE_TOOLS_CONVERSATION_H

#include "answer.h"
#include "pumice/chat.h"

typedef struct cli_message {
    const char *role; /* "system", "user", "assistant" */
    cli_text text;
} cli_message;

typedef struct cli_conversation {
    pm_chat_template *chat;
    cli_message *messages;
    size_t n, capacity;
} cli_conversation; /* zeroed to begin with */

/* Chooses the template: one of the library's by its name, a file, or (NULL or "auto") the model's own; where the
 * model has none, ChatML if its vocabulary has the tokens for it. */
pm_status cli_conversation_open(cli_conversation *conversation, const pm_tokenizer *tokenizer, const char *choice,
                                pm_error *err);
void cli_conversation_close(cli_conversation *conversation);

pm_status cli_conversation_add(cli_conversation *conversation, const char *role, const char *text, size_t size,
                               pm_error *err);

/* Takes messages off the end until n are left. */
void cli_conversation_cut(cli_conversation *conversation, size_t n);

/* Adds the user's message, writes the model's answer to standard output and adds it too. Returns an exit status,
 * after saying what went wrong; the conversation is then as it was before. */
int cli_conversation_ask(cli_conversation *conversation, cli_engine *engine, const cli_answer_options *options,
                         const char *text, size_t size, cli_answer *answer);

/* The interactive chat: reads messages until the input ends or the user says /exit. */
int cli_chat_loop(cli_conversation *conversation, cli_engine *engine, cli_answer_options *options);

#endif
