/* A pull reader for JSON (RFC 8259) that allocates nothing: for documents that are mostly one huge vocabulary.
 *
 * Every byte is checked: nesting is at most PM_JSON_DEPTH, strings are valid UTF-8 with valid escapes, nothing
 * follows the document.
 */
#ifndef PUMICE_PARTS_JSON_READER_H
#define PUMICE_PARTS_JSON_READER_H

#include <stddef.h>
#include <stdint.h>

enum { PM_JSON_DEPTH = 64 };

typedef enum pm_json_event {
    PM_JSON_EVENT_ERROR = 0, /* reader->error says what, reader->at where; every later call gives it again */
    PM_JSON_EVENT_OBJECT,    /* { : keys and values follow until END */
    PM_JSON_EVENT_ARRAY,     /* [ : values follow until END */
    PM_JSON_EVENT_END,       /* } or ] */
    PM_JSON_EVENT_KEY,       /* reader->string */
    PM_JSON_EVENT_STRING,    /* reader->string */
    PM_JSON_EVENT_NUMBER,    /* reader->number, and reader->integer where is_integer */
    PM_JSON_EVENT_TRUE,
    PM_JSON_EVENT_FALSE,
    PM_JSON_EVENT_NULL,
    PM_JSON_EVENT_DONE /* the document is over */
} pm_json_event;

typedef struct pm_json_reader {
    const char *text;
    size_t n, at;
    const char *error;  /* static text */
    const char *string; /* between the quotes, escapes not undone; borrowed from the text */
    size_t n_string;
    int has_escapes;
    double number;
    int64_t integer;
    int is_integer;
    size_t value_at; /* where the last event's token starts */
    unsigned depth;
    uint64_t is_object; /* a bit a level */
    uint8_t state;
} pm_json_reader;

void pm_json_reader_start(pm_json_reader *reader, const char *text, size_t n);
pm_json_event pm_json_next(pm_json_reader *reader);

/* The value that comes next, whole, as text[*begin, *end) of the document; ERROR, or any other event when done. */
pm_json_event pm_json_skip_value(pm_json_reader *reader, size_t *begin, size_t *end);

/* The same for what vocabularies are made of, much faster: elements of the array or members of the object that the
 * reader is in, of a form that is known, whose strings have no escapes. 0: what comes next is something else, or
 * malformed; nothing has been read, and pm_json_next goes on from here. */
typedef struct pm_json_string {
    const char *text; /* valid UTF-8, borrowed from the document */
    size_t n;
} pm_json_string;

int pm_json_take_string(pm_json_reader *reader, pm_json_string *string);        /* "ab" */
int pm_json_take_pair(pm_json_reader *reader, pm_json_string pair[2]);          /* ["a", "b"] */
int pm_json_take_id(pm_json_reader *reader, pm_json_string *key, uint32_t *id); /* "ab": 5 */

/* Undoes the escapes of a string that the reader has checked; out has room for n bytes (the result is never
 * longer). Returns its length. */
size_t pm_json_unescape(const char *string, size_t n, char *out);

#endif
