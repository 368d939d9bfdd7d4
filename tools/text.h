/* Text coming in (files, standard input) and going out (JSON, text shown on one line). */
#ifndef PUMICE_TOOLS_TEXT_H
#define PUMICE_TOOLS_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "pumice/gguf.h"
#include "pumice/status.h"

typedef struct cli_text {
    char *data; /* `size` bytes and a NUL after them; freed with cli_text_free */
    size_t size;
} cli_text;

/* Fills in err as the library does; returns status. */
pm_status cli_fail(pm_error *err, pm_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Reads a whole file; "-" is standard input. Errors: PM_ERR_IO, PM_ERR_LIMIT (over 1 GiB), PM_ERR_MEMORY. */
pm_status cli_read_file(const char *path, cli_text *out, pm_error *err);
pm_status cli_copy_text(const char *data, size_t size, cli_text *out, pm_error *err);
void cli_text_free(cli_text *text);

/* Bytes as a JSON string; what is not UTF-8 becomes U+FFFD. */
json_t *cli_json_text(const char *data, size_t size);
int cli_is_utf8(const char *data, size_t size);

/* Prints bytes so that they stay on one line: control characters and bytes that are not UTF-8 become \n, \t, \xNN.
 */
void cli_print_escaped(FILE *out, const char *data, size_t size);

/* One JSON document and a newline on standard output; takes the reference. Returns an exit status. */
int cli_print_json(const char *command, json_t *document);

/* Bytes with a unit: "93.8 MiB". Returns dst. */
const char *cli_format_bytes(double bytes, char *dst, size_t capacity);

#endif
