/* The pull reader for JSON: see json_reader.h.
 *
 * Strings are most of the bytes of a vocabulary, so their plain parts are looked at sixteen bytes at a time; all
 * else is a state machine of a few states, one event a call.
 */
#include "parts/json_reader.h"

#include <string.h>

#include "parts/json_number.h"
#include "parts/utf8_read.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef enum json_state {
    WANT_VALUE = 0,
    WANT_VALUE_OR_END, /* after [ */
    WANT_KEY,          /* after , in an object */
    WANT_KEY_OR_END,   /* after { */
    WANT_COMMA_OR_END, /* after a value inside something */
    WANT_NOTHING,      /* after the outermost value */
    FAILED
} json_state;

void pm_json_reader_start(pm_json_reader *reader, const char *text, size_t n)
{
    memset(reader, 0, sizeof *reader);
    reader->text = text;
    reader->n = n;
    reader->state = WANT_VALUE;
}

static pm_json_event fail(pm_json_reader *reader, const char *error)
{
    reader->error = error;
    reader->state = FAILED;
    return PM_JSON_EVENT_ERROR;
}

/* ---- White space and plain bytes of strings ---- */

static inline int is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static size_t skip_long_space(const char *text, size_t at, size_t n)
{
#if defined(__SSE2__)
    for (; n - at >= 16; at += 16) { /* line ends and indentation */
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
        __m128i blank =
            _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(block, _mm_set1_epi8('\n')));
        unsigned other = ~(unsigned)_mm_movemask_epi8(blank) & 0xFFFFu;
        if (other != 0) {
            at += (size_t)__builtin_ctz(other);
            break;
        }
    }
#endif
    while (at < n && is_space(text[at]))
        at++;
    return at;
}

static inline size_t skip_space(const char *text, size_t at, size_t n)
{
    if (at < n && !is_space(text[at]))
        return at;
    return skip_long_space(text, at, n);
}

/* The first byte at or after `at` that is a quote, a backslash or a control character; or n. *beyond_ascii is set
 * where bytes before it are not ASCII; it may also be set for some after it. */
static inline size_t skip_plain(const char *text, size_t at, size_t n, int *beyond_ascii)
{
    unsigned high = 0;
#if defined(__SSE2__)
    for (; n - at >= 16; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1F)), block);
        __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
        __m128i slash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
        unsigned found = (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, slash)));
        high |= (unsigned)_mm_movemask_epi8(block);
        if (found != 0) {
            *beyond_ascii |= high != 0;
            return at + (size_t)__builtin_ctz(found);
        }
    }
#endif
    for (; at < n; at++) {
        unsigned char c = (unsigned char)text[at];
        if (c < 0x20 || c == '"' || c == '\\')
            break;
        high |= c & 0x80;
    }
    *beyond_ascii |= high != 0;
    return at;
}

static inline int is_tail(char c)
{
    return (c & 0xC0) == 0x80;
}

/* Index of the first byte of text[at, end) that is no UTF-8; end where all are. Most of what is not ASCII has two
 * bytes, or three without the special cases of the leads E0 and ED. */
static size_t check_utf8(const char *text, size_t at, size_t end)
{
    while (at < end) {
        unsigned char lead = (unsigned char)text[at];
        if (lead < 0x80) {
            at++;
        } else if (lead >= 0xC2 && lead <= 0xDF && end - at >= 2 && is_tail(text[at + 1])) {
            at += 2;
        } else if ((lead & 0xF0) == 0xE0 && lead != 0xE0 && lead != 0xED && end - at >= 3 &&
                   is_tail(text[at + 1]) && is_tail(text[at + 2])) {
            at += 3;
        } else {
            pm_character character = pm_read_multibyte((const unsigned char *)text + at, end - at);
            if (character.malformed)
                return at;
            at += character.length;
        }
    }
    return end;
}

/* ---- Strings ---- */

/* The value of a hexadecimal digit, 0x1x where the character is one; else 0. */
static const uint8_t hex_digits[256] = {
    ['0'] = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15,         0x16, 0x17, 0x18, 0x19, ['A'] = 0x1A,
    0x1B,         0x1C, 0x1D, 0x1E, 0x1F, ['a'] = 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F,
};

/* The code of the four digits at p, or -1. */
static inline int32_t hex_code(const char *p)
{
    int32_t a = hex_digits[(unsigned char)p[0]], b = hex_digits[(unsigned char)p[1]];
    int32_t c = hex_digits[(unsigned char)p[2]], d = hex_digits[(unsigned char)p[3]];
    if ((a & b & c & d & 0x10) == 0)
        return -1;
    return (a & 15) << 12 | (b & 15) << 8 | (c & 15) << 4 | (d & 15);
}

/* The length of the escape at p, of which `size` bytes are there; 0 where it is wrong. A surrogate must be half of
 * a pair: alone it is no character. */
static size_t escape_length(const char *p, size_t size)
{
    if (size < 2)
        return 0;
    if (p[1] != 'u')
        return memchr("\"\\/bfnrt", p[1], 8) ? 2 : 0;
    int32_t code = size >= 6 ? hex_code(p + 2) : -1;
    if (code < 0 || (code >= 0xDC00 && code <= 0xDFFF))
        return 0;
    if (code < 0xD800 || code > 0xDFFF)
        return 6;
    if (size < 12 || p[6] != '\\' || p[7] != 'u')
        return 0;
    int32_t low = hex_code(p + 8);
    return low >= 0xDC00 && low <= 0xDFFF ? 12 : 0;
}

/* Reads the string whose opening quote is at reader->at; 0 after a failure. */
static int read_string(pm_json_reader *reader)
{
    const char *text = reader->text;
    size_t n = reader->n, begin = reader->at + 1, at = begin;
    int beyond_ascii = 0;
    reader->has_escapes = 0;
    for (;;) {
        at = skip_plain(text, at, n, &beyond_ascii);
        if (at < n && text[at] == '"')
            break;
        size_t length = at < n && text[at] == '\\' ? escape_length(text + at, n - at) : 0;
        if (length == 0) {
            reader->at = at;
            fail(reader, at == n            ? "a string does not end"
                         : text[at] == '\\' ? "an escape in a string is wrong"
                                            : "a control character in a string is not escaped");
            return 0;
        }
        reader->has_escapes = 1;
        at += length;
    }
    if (beyond_ascii && (reader->at = check_utf8(text, begin, at)) != at) {
        fail(reader, "a string is not UTF-8");
        return 0;
    }
    reader->string = text + begin;
    reader->n_string = at - begin;
    reader->at = at + 1;
    return 1;
}

static size_t put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

size_t pm_json_unescape(const char *string, size_t n, char *out)
{
    static const char names[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    size_t written = 0;
    for (size_t at = 0; at < n;) {
        const char *p = string + at;
        if (*p != '\\') {
            out[written++] = *p;
            at++;
            continue;
        }
        if (p[1] != 'u') {
            const char *name = memchr(names, p[1], sizeof names - 1);
            out[written++] = name ? meanings[name - names] : p[1];
            at += 2;
            continue;
        }
        uint32_t code = (uint32_t)hex_code(p + 2);
        at += 6;
        if (code >= 0xD800 && code <= 0xDBFF) {
            code = 0x10000 + ((code - 0xD800) << 10) + ((uint32_t)hex_code(p + 8) - 0xDC00);
            at += 6;
        }
        written += put_utf8(code, out + written);
    }
    return written;
}

/* ---- Values ---- */

static void value_is_over(pm_json_reader *reader)
{
    reader->state = reader->depth > 0 ? WANT_COMMA_OR_END : WANT_NOTHING;
}

static pm_json_event open_level(pm_json_reader *reader, int is_object)
{
    if (reader->depth == PM_JSON_DEPTH)
        return fail(reader, "it is nested too deeply");
    uint64_t bit = UINT64_C(1) << reader->depth++;
    reader->is_object = is_object ? reader->is_object | bit : reader->is_object & ~bit;
    reader->at++;
    reader->state = is_object ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
    return is_object ? PM_JSON_EVENT_OBJECT : PM_JSON_EVENT_ARRAY;
}

static int in_object(const pm_json_reader *reader)
{
    return reader->depth > 0 && (reader->is_object >> (reader->depth - 1) & 1) != 0;
}

static pm_json_event close_level(pm_json_reader *reader)
{
    reader->depth--;
    reader->at++;
    value_is_over(reader);
    return PM_JSON_EVENT_END;
}

static pm_json_event read_word(pm_json_reader *reader, const char *word, pm_json_event event)
{
    size_t n = strlen(word);
    if (reader->n - reader->at < n || memcmp(reader->text + reader->at, word, n) != 0)
        return fail(reader, "a value is expected here");
    reader->at += n;
    value_is_over(reader);
    return event;
}

static pm_json_event read_number(pm_json_reader *reader)
{
    pm_json_number_value value;
    size_t length = pm_json_number_read(reader->text + reader->at, reader->n - reader->at, &value);
    if (length == 0)
        return fail(reader, "a number is malformed or out of range");
    reader->number = value.number;
    reader->integer = value.integer;
    reader->is_integer = value.is_integer;
    reader->at += length;
    value_is_over(reader);
    return PM_JSON_EVENT_NUMBER;
}

static pm_json_event read_value(pm_json_reader *reader)
{
    char c = reader->text[reader->at];
    switch (c) {
    case '"':
        if (!read_string(reader))
            return PM_JSON_EVENT_ERROR;
        value_is_over(reader);
        return PM_JSON_EVENT_STRING;
    case '{':
        return open_level(reader, 1);
    case '[':
        return open_level(reader, 0);
    case 't':
        return read_word(reader, "true", PM_JSON_EVENT_TRUE);
    case 'f':
        return read_word(reader, "false", PM_JSON_EVENT_FALSE);
    case 'n':
        return read_word(reader, "null", PM_JSON_EVENT_NULL);
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return read_number(reader);
        return fail(reader, "a value is expected here");
    }
}

/* The key and the colon after it. */
static pm_json_event read_key(pm_json_reader *reader)
{
    if (reader->text[reader->at] != '"')
        return fail(reader, "the name of a member is expected here");
    if (!read_string(reader))
        return PM_JSON_EVENT_ERROR;
    reader->at = skip_space(reader->text, reader->at, reader->n);
    if (reader->at == reader->n || reader->text[reader->at] != ':')
        return fail(reader, "':' is expected here");
    reader->at++;
    reader->state = WANT_VALUE;
    return PM_JSON_EVENT_KEY;
}

/* The comma, where that is what comes next, and the state behind it. */
static int take_comma(pm_json_reader *reader)
{
    if (reader->text[reader->at] != ',')
        return 1;
    reader->state = in_object(reader) ? WANT_KEY : WANT_VALUE;
    reader->at = skip_space(reader->text, reader->at + 1, reader->n);
    if (reader->at < reader->n)
        return 1;
    fail(reader, "the text ends too early");
    return 0;
}

pm_json_event pm_json_next(pm_json_reader *reader)
{
    if (reader->state == FAILED)
        return PM_JSON_EVENT_ERROR;
    reader->at = skip_space(reader->text, reader->at, reader->n);
    if (reader->at == reader->n) {
        if (reader->state == WANT_NOTHING)
            return PM_JSON_EVENT_DONE;
        return fail(reader, "the text ends too early");
    }
    if (reader->state == WANT_COMMA_OR_END && !take_comma(reader))
        return PM_JSON_EVENT_ERROR;
    char c = reader->text[reader->at];
    reader->value_at = reader->at;
    switch ((json_state)reader->state) {
    case WANT_VALUE_OR_END:
        if (c == ']')
            return close_level(reader);
        return read_value(reader);
    case WANT_VALUE:
        return read_value(reader);
    case WANT_KEY_OR_END:
        if (c == '}')
            return close_level(reader);
        return read_key(reader);
    case WANT_KEY:
        return read_key(reader);
    case WANT_COMMA_OR_END:
        if (c == (in_object(reader) ? '}' : ']'))
            return close_level(reader);
        return fail(reader, "',' or the end of the array or object is expected here");
    case WANT_NOTHING:
        return fail(reader, "something follows the end of the document");
    case FAILED:
        break;
    }
    return PM_JSON_EVENT_ERROR;
}

pm_json_event pm_json_skip_value(pm_json_reader *reader, size_t *begin, size_t *end)
{
    unsigned depth = reader->depth;
    pm_json_event first = pm_json_next(reader), event = first;
    *begin = reader->value_at;
    while (event != PM_JSON_EVENT_ERROR && reader->depth > depth)
        event = pm_json_next(reader);
    *end = reader->at;
    return event == PM_JSON_EVENT_ERROR ? event : first;
}

/* ---- Elements of a known form ---- */

/* Where the next element of the array or object starts, behind the comma; 0 where none does. */
static inline size_t find_element(const pm_json_reader *reader, int of_object)
{
    const char *text = reader->text;
    size_t n = reader->n, at = skip_space(text, reader->at, n);
    if (reader->state == WANT_COMMA_OR_END) {
        if (in_object(reader) != of_object || at == n || text[at] != ',')
            return 0;
        at = skip_space(text, at + 1, n);
    } else if (reader->state != (of_object ? WANT_KEY_OR_END : WANT_VALUE_OR_END)) {
        return 0;
    }
    return at;
}

/* The index behind the string at `at`, 0 where there is none or it has escapes. */
static inline size_t take_plain(const pm_json_reader *reader, size_t at, pm_json_string *string)
{
    const char *text = reader->text;
    int beyond_ascii = 0;
    if (at >= reader->n || text[at] != '"')
        return 0;
    size_t end = skip_plain(text, at + 1, reader->n, &beyond_ascii);
    if (end == reader->n || text[end] != '"' || (beyond_ascii && check_utf8(text, at + 1, end) != end))
        return 0;
    *string = (pm_json_string){text + at + 1, end - at - 1};
    return end + 1;
}

/* The index behind the byte and the white space around it; 0 where it is another. */
static inline size_t take_byte(const pm_json_reader *reader, size_t at, char byte)
{
    at = skip_space(reader->text, at, reader->n);
    return at < reader->n && reader->text[at] == byte ? skip_space(reader->text, at + 1, reader->n) : 0;
}

/* The element [begin, end) has been taken. */
static inline int element_is_over(pm_json_reader *reader, size_t begin, size_t end)
{
    reader->value_at = begin;
    reader->at = end;
    reader->state = WANT_COMMA_OR_END;
    return 1;
}

int pm_json_take_string(pm_json_reader *reader, pm_json_string *string)
{
    size_t begin = find_element(reader, 0);
    size_t at = begin ? take_plain(reader, begin, string) : 0;
    return at ? element_is_over(reader, begin, at) : 0;
}

int pm_json_take_pair(pm_json_reader *reader, pm_json_string pair[2])
{
    size_t begin = find_element(reader, 0), at;
    if (!begin || reader->depth >= PM_JSON_DEPTH || !(at = take_byte(reader, begin, '[')) ||
        !(at = take_plain(reader, at, &pair[0])) || !(at = take_byte(reader, at, ',')) ||
        !(at = take_plain(reader, at, &pair[1])))
        return 0;
    at = skip_space(reader->text, at, reader->n);
    if (at == reader->n || reader->text[at] != ']')
        return 0;
    return element_is_over(reader, begin, at + 1);
}

int pm_json_take_id(pm_json_reader *reader, pm_json_string *key, uint32_t *id)
{
    size_t begin = find_element(reader, 1), at;
    if (!begin || !(at = take_plain(reader, begin, key)) || !(at = take_byte(reader, at, ':')))
        return 0;
    size_t length = pm_json_small_integer(reader->text + at, reader->n - at, id);
    return length > 0 ? element_is_over(reader, begin, at + length) : 0;
}
