/* Text in and out. UTF-8 is told apart from other bytes with ICU's macros. */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/utf8.h>

#include "options.h"
#include "terminal.h"

static const size_t max_file_bytes = (size_t)1 << 30;

pm_status cli_fail(pm_error *err, pm_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

static pm_status read_stream(FILE *stream, const char *name, cli_text *out, pm_error *err)
{
    size_t capacity = 1 << 16, size = 0;
    char *data = malloc(capacity);
    while (data) {
        size += fread(data + size, 1, capacity - size - 1, stream);
        if (ferror(stream)) {
            free(data);
            return cli_fail(err, PM_ERR_IO, "%s cannot be read: %s", name, strerror(errno));
        }
        if (size < capacity - 1)
            break;
        if (capacity > max_file_bytes) {
            free(data);
            return cli_fail(err, PM_ERR_LIMIT, "%s has more than 1 GiB; split it", name);
        }
        capacity *= 2;
        char *larger = realloc(data, capacity);
        if (!larger)
            free(data);
        data = larger;
    }
    if (!data)
        return cli_fail(err, PM_ERR_MEMORY, "no memory for the %zu bytes of %s", capacity, name);
    data[size] = '\0';
    *out = (cli_text){data, size};
    return PM_OK;
}

pm_status cli_read_file(const char *path, cli_text *out, pm_error *err)
{
    if (strcmp(path, "-") == 0)
        return read_stream(stdin, "standard input", out, err);
    FILE *file = fopen(path, "rb");
    if (!file)
        return cli_fail(err, PM_ERR_IO, "%s cannot be opened: %s", path, strerror(errno));
    pm_status status = read_stream(file, path, out, err);
    fclose(file);
    return status;
}

pm_status cli_copy_text(const char *data, size_t size, cli_text *out, pm_error *err)
{
    char *copy = malloc(size + 1);
    if (!copy)
        return cli_fail(err, PM_ERR_MEMORY, "no memory for %zu bytes of text", size);
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    *out = (cli_text){copy, size};
    return PM_OK;
}

void cli_text_free(cli_text *text)
{
    free(text->data);
    *text = (cli_text){0};
}

/* The length of the well-formed sequence at the start of size >= 1 bytes; 0 where there is none. */
static size_t utf8_length(const char *data, size_t size)
{
    int32_t at = 0, end = size < 4 ? (int32_t)size : 4;
    UChar32 code;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion" /* inside ICU's macro */
    U8_NEXT(data, at, end, code);
#pragma GCC diagnostic pop
    return code < 0 ? 0 : (size_t)at;
}

int cli_is_utf8(const char *data, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(data + i, size - i);
        if (length == 0)
            return 0;
        i += length;
    }
    return 1;
}

json_t *cli_json_text(const char *data, size_t size)
{
    if (cli_is_utf8(data, size))
        return json_stringn(data, size);
    char *mended = malloc(size * 3); /* U+FFFD takes 3 bytes; size is at least 1 here */
    size_t n = 0;
    if (!mended)
        return NULL;
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(data + i, size - i);
        if (length)
            memcpy(mended + n, data + i, length);
        else
            memcpy(mended + n, "\xEF\xBF\xBD", 3);
        n += length ? length : 3;
        i += length ? length : 1;
    }
    json_t *text = json_stringn(mended, n);
    free(mended);
    return text;
}

void cli_print_escaped(FILE *out, const char *data, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned char byte = (unsigned char)data[i];
        size_t length = utf8_length(data + i, size - i);
        if (byte == '\n')
            fputs("\\n", out);
        else if (byte == '\t')
            fputs("\\t", out);
        else if (byte == '\\')
            fputs("\\\\", out);
        else if (length == 0 || byte < 32 || byte == 127)
            fprintf(out, "\\x%02X", byte);
        else
            fwrite(data + i, 1, length, out);
        i += length ? length : 1;
    }
}

int cli_print_json(const char *command, json_t *document)
{
    if (!document)
        return cli_error(command, "no memory for the JSON document");
    int failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(document);
    putchar('\n');
    return failed ? CLI_FAILURE : CLI_OK; /* what went wrong with standard output is said by main */
}

const char *cli_format_bytes(double bytes, char *dst, size_t capacity)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < CLI_COUNT(units)) {
        bytes /= 1024;
        unit++;
    }
    snprintf(dst, capacity, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return dst;
}
