/* Texts that a command works on one by one: its arguments, or the lines of a file. */
#ifndef PUMICE_TOOLS_LINES_H
#define PUMICE_TOOLS_LINES_H

#include "text.h"

typedef struct cli_lines {
    cli_text text; /* what the lines lie in; empty where they are arguments */
    struct cli_line {
        const char *data; /* not NUL-terminated */
        size_t size;
    } * items;
    size_t n;
} cli_lines;

/* The n arguments; or, where there are none, the lines of `file`, NULL or "-" being standard input. Lines lose
 * their ends
 * (\n or \r\n) and nothing else; an empty line is an empty text. Freed with cli_lines_free also after an error. */
pm_status cli_read_lines(int n_arguments, char **arguments, const char *file, cli_lines *out, pm_error *err);
void cli_lines_free(cli_lines *lines);

#endif
