/* What a command says besides its results, all on standard error: errors, notes, progress bars. And Ctrl-C. */
#ifndef PUMICE_TOOLS_TERMINAL_H
#define PUMICE_TOOLS_TERMINAL_H

#include <stdint.h>
#include <stdio.h>

#include "pumice/status.h"

/* "pumice COMMAND: sentence" on standard error; returns CLI_FAILURE. */
int cli_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for an error of the library; an interruption by the user reads "interrupted". */
int cli_report(const char *command, const pm_error *err);

/* Colour and bars are for terminals that want them: not where NO_COLOR is set (colour), nor TERM is "dumb". */
int cli_is_terminal(FILE *stream);
const char *cli_dim(FILE *stream); /* the escape sequence, or "" */
const char *cli_bold(FILE *stream);
const char *cli_plain(FILE *stream);

/* From here on SIGINT and SIGTERM are counted instead of ending the program; a second one ends it, as it would
 * have. */
void cli_catch_interrupts(void);
int cli_interrupted(void);
int cli_should_stop(void *unused); /* the same as a callback of the library */
void cli_forget_interrupt(void);   /* the next one is the first again */

/* A bar on standard error; nothing where that is no terminal. Zeroed to begin with. */
typedef struct cli_progress {
    uint64_t last_ns; /* when it was drawn */
    int shown;
    int hidden; /* the user wants none */
} cli_progress;

void cli_progress_show(cli_progress *progress, const char *what, uint64_t done, uint64_t total);
void cli_progress_clear(cli_progress *progress); /* wipes the bar off the screen */

/* The progress callback of the library; user is a cli_progress. Cancels when interrupted. */
int cli_progress_callback(void *user, const char *what, uint64_t done, uint64_t total);

uint64_t cli_now_ns(void); /* monotonic clock */

#endif
