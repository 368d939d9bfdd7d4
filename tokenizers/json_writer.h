/* Writing JSON: the description of a pipeline that readers put together (pm_tokenizer_spec.pipeline). */
#ifndef PUMICE_JSON_WRITER_H
#define PUMICE_JSON_WRITER_H

#include <stddef.h>

typedef struct pm_json_writer {
    char *bytes; /* free it; not NUL-terminated */
    size_t n, capacity;
    int failed; /* memory has run out: nothing is added any more */
} pm_json_writer;

void pm_json_write(pm_json_writer *text, const char *json); /* as it is */
void pm_json_write_bytes(pm_json_writer *text, const char *json, size_t n);

/* A string: quoted and escaped. It should be UTF-8. */
void pm_json_write_string(pm_json_writer *text, const char *string, size_t n);
void pm_json_write_integer(pm_json_writer *text, long long value);

/* Bytes as a string in base64 (RFC 4648, with padding). */
void pm_json_write_base64(pm_json_writer *text, const unsigned char *bytes, size_t n);

#endif
