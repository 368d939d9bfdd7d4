/* See lines.h. */
#include "lines.h"

#include <stdlib.h>
#include <string.h>

static void take_lines(cli_lines *lines)
{
    const char *at = lines->text.data, *end = at + lines->text.size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        size_t size = (size_t)(stop - at);
        if (size && newline && at[size - 1] == '\r')
            size--;
        lines->items[lines->n++] = (struct cli_line){at, size};
        at = stop + (newline != NULL);
    }
}

pm_status cli_read_lines(int n_arguments, char **arguments, const char *file, cli_lines *out, pm_error *err)
{
    size_t most = (size_t)n_arguments;
    *out = (cli_lines){0};
    if (n_arguments == 0) {
        pm_status status = cli_read_file(file ? file : "-", &out->text, err);
        if (status != PM_OK)
            return status;
        most = 1;
        for (size_t i = 0; i < out->text.size; i++)
            most += out->text.data[i] == '\n';
    }
    out->items = calloc(most, sizeof *out->items);
    if (!out->items)
        return cli_fail(err, PM_ERR_MEMORY, "no memory for %zu lines", most);
    for (int i = 0; i < n_arguments; i++)
        out->items[out->n++] = (struct cli_line){arguments[i], strlen(arguments[i])};
    if (n_arguments == 0)
        take_lines(out);
    return PM_OK;
}

void cli_lines_free(cli_lines *lines)
{
    free(lines->items);
    cli_text_free(&lines->text);
    *lines = (cli_lines){0};
}
