/* Making an answer: token after token through the session, out as text as soon as it is certain. */
#ifndef PUMICE_TOOLS_ANSWER_H
#define PUMICE_TOOLS_ANSWER_H

#include "open_model.h"

typedef enum cli_end {
    CLI_END_MODEL,       /* the model ended its answer */
    CLI_END_STOP,        /* a stop string came */
    CLI_END_LENGTH,      /* as many tokens as were wanted */
    CLI_END_CONTEXT,     /* the context is full */
    CLI_END_INTERRUPTED, /* Ctrl-C */
    CLI_END_OUTPUT       /* standard output takes no more */
} cli_end;

typedef struct cli_answer_options {
    pm_sampling sampling;
    int max_tokens; /* 0: until the model ends or the context is full */
    const cli_list *stops;
    uint32_t decode_flags; /* PM_DECODE_*, of the text that is shown */
} cli_answer_options;

typedef struct cli_answer {
    cli_end end;
    cli_text text; /* what was shown; freed by the caller with cli_text_free */
    size_t n_prompt, n_made;
    uint64_t prompt_ns, made_ns; /* until the first token was chosen; from there to the last one */
} cli_answer;

/* Puts n >= 1 tokens at the end of the timeline and writes what the model says to standard output. Returns an exit
 * status, after saying what went wrong; an answer that was cut short is no failure. */
int cli_make_answer(cli_engine *engine, const cli_answer_options *options, const int32_t *tokens, size_t n,
                    cli_answer *answer);

/* The line of figures on standard error. */
void cli_print_figures(const cli_answer *answer, const cli_answer_options *options);

#endif
