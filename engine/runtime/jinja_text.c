/* Text being put together, with the origin of its bytes; and how values are written: as str(), repr() and
 * json.dumps() of Python write them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "runtime/jinja.h"

void pmj_text_reserve(pmj *j, pmj_text *text, size_t more)
{
    if (more <= text->capacity - text->n)
        return;
    if (more > PMJ_MOST_MEMORY)
        pmj_fail(j, PM_ERR_LIMIT, "the text becomes too long");
    size_t capacity = (text->n + more) * 2;
    char *bytes = pmj_alloc(j, capacity);
    if (text->n)
        memcpy(bytes, text->bytes, text->n);
    if (text->marks) {
        unsigned char *marks = pmj_alloc(j, capacity);
        memcpy(marks, text->marks, text->n);
        text->marks = marks;
    }
    text->bytes = bytes;
    text->capacity = capacity;
}

static void need_marks(pmj *j, pmj_text *text)
{
    if (!text->marks)
        text->marks = pmj_alloc(j, text->capacity);
}

void pmj_text_add(pmj *j, pmj_text *text, const char *bytes, size_t n, const unsigned char *marks)
{
    if (!n)
        return;
    pmj_text_reserve(j, text, n);
    memcpy(text->bytes + text->n, bytes, n);
    if (marks)
        need_marks(j, text);
    if (marks)
        memcpy(text->marks + text->n, marks, n);
    else if (text->marks)
        memset(text->marks + text->n, 0, n);
    text->n += n;
}

void pmj_text_add_marked(pmj *j, pmj_text *text, const char *bytes, size_t n, int mark)
{
    pmj_text_add(j, text, bytes, n, NULL);
    if (mark && n) {
        need_marks(j, text);
        memset(text->marks + text->n - n, 1, n);
    }
}

void pmj_text_mark_all(pmj *j, pmj_text *text)
{
    if (text->n) {
        need_marks(j, text);
        memset(text->marks, 1, text->n);
    }
}

void pmj_text_add_string(pmj *j, pmj_text *text, const pmj_string *string)
{
    pmj_text_add(j, text, string->bytes, string->n, string->marks);
}

void pmj_text_add_literal(pmj *j, pmj_text *text, const char *literal)
{
    pmj_text_add(j, text, literal, strlen(literal), NULL);
}

pmj_value pmj_text_value(pmj *j, const pmj_text *text)
{
    pmj_value value = pmj_string_value(j, text->n ? text->bytes : "", text->n, 0);
    ((pmj_string *)value.as.string)->marks = text->marks;
    return value;
}

/* The shortest digits that read back as the value; with an exponent where Python writes one. */
void pmj_format_real(double value, char buffer[40])
{
    char digits[40];
    if (isnan(value) || isinf(value)) {
        strcpy(buffer, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    for (int precision = 0; precision < 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        size_t mantissa = strcspn(digits, "e");
        snprintf(buffer, 40, "%.*se%c%02d", (int)mantissa, digits, exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int n_digits = (int)strcspn(digits + (*digits == '-'), "e");
    int decimals = (n_digits > 1 ? n_digits - 2 : 0) - exponent;
    snprintf(buffer, 40, "%.*f", decimals > 1 ? decimals : 1, value);
}

static void add_number(pmj *j, pmj_text *text, pmj_value value)
{
    char buffer[40];
    if (value.type == PMJ_FLOAT)
        pmj_format_real(value.as.real, buffer);
    else
        snprintf(buffer, sizeof buffer, "%lld", (long long)value.as.integer);
    pmj_text_add_marked(j, text, buffer, strlen(buffer), value.content);
}

/* A string between quotes, as Python's repr() writes it. */
static void add_quoted(pmj *j, pmj_text *text, const pmj_string *s)
{
    char quote = memchr(s->bytes, '\'', s->n) && !memchr(s->bytes, '"', s->n) ? '"' : '\'';
    pmj_text_add(j, text, &quote, 1, NULL);
    for (size_t i = 0; i < s->n; i++) {
        static const char from[] = "\n\r\t\\", to[] = "nrt\\";
        unsigned char c = (unsigned char)s->bytes[i];
        const char *simple = c ? strchr(from, c) : NULL;
        char escape[8];
        int mark = s->marks && s->marks[i];
        if (simple)
            snprintf(escape, sizeof escape, "\\%c", to[simple - from]);
        else if (c == (unsigned char)quote)
            snprintf(escape, sizeof escape, "\\%c", quote);
        else if (c < 0x20 || c == 0x7F)
            snprintf(escape, sizeof escape, "\\x%02x", c);
        else
            snprintf(escape, sizeof escape, "%c", c);
        pmj_text_add_marked(j, text, escape, strlen(escape), mark);
    }
    pmj_text_add(j, text, &quote, 1, NULL);
}

static void add_items(pmj *j, pmj_text *text, pmj_value value)
{
    const pmj_list *list = value.as.list;
    int tuple = value.type == PMJ_TUPLE;
    pmj_text_add_literal(j, text, tuple ? "(" : "[");
    for (size_t i = 0; i < list->n; i++) {
        pmj_text_add_literal(j, text, i ? ", " : "");
        pmj_text_add_repr(j, text, list->items[i]);
    }
    pmj_text_add_literal(j, text, !tuple ? "]" : list->n == 1 ? ",)" : ")");
}

static void add_pairs(pmj *j, pmj_text *text, const pmj_dict *dict)
{
    pmj_text_add_literal(j, text, "{");
    for (size_t i = 0; i < dict->n; i++) {
        pmj_text_add_literal(j, text, i ? ", " : "");
        pmj_text_add_repr(j, text, dict->pairs[i].key);
        pmj_text_add_literal(j, text, ": ");
        pmj_text_add_repr(j, text, dict->pairs[i].value);
    }
    pmj_text_add_literal(j, text, "}");
}

void pmj_text_add_repr(pmj *j, pmj_text *text, pmj_value value)
{
    pmj_enter(j);
    switch (value.type) {
    case PMJ_UNDEFINED:
        pmj_text_add_literal(j, text, "Undefined");
        break;
    case PMJ_NONE:
        pmj_text_add_literal(j, text, "None");
        break;
    case PMJ_BOOL:
        pmj_text_add_marked(j, text, value.as.integer ? "True" : "False", value.as.integer ? 4 : 5, value.content);
        break;
    case PMJ_INT:
    case PMJ_FLOAT:
        add_number(j, text, value);
        break;
    case PMJ_STRING:
        add_quoted(j, text, value.as.string);
        break;
    case PMJ_LIST:
    case PMJ_TUPLE:
        add_items(j, text, value);
        break;
    case PMJ_DICT:
        add_pairs(j, text, value.as.dict);
        break;
    default:
        pmj_fail(j, PM_ERR_UNSUPPORTED, "%s cannot be written as text", pmj_type_name(value));
    }
    pmj_leave(j);
}

void pmj_text_add_value(pmj *j, pmj_text *text, pmj_value value)
{
    if (value.type == PMJ_STRING)
        pmj_text_add_string(j, text, value.as.string);
    else if (value.type != PMJ_UNDEFINED)
        pmj_text_add_repr(j, text, value);
}

/* ---- JSON ---- */

static uint32_t character_at(const char *bytes, size_t n)
{
    static const unsigned char masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t c = (unsigned char)bytes[0] & masks[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)bytes[i] & 0x3F);
    return c;
}

static void add_json_string(pmj *j, pmj_text *text, const pmj_string *s, int ensure_ascii)
{
    pmj_text_add_literal(j, text, "\"");
    for (size_t i = 0, n; i < s->n; i += n) {
        static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
        unsigned char c = (unsigned char)s->bytes[i];
        const char *simple = c ? strchr(from, c) : NULL;
        char escape[16];
        int mark = s->marks && s->marks[i];
        n = pm_utf8_sequence(s->bytes + i, s->n - i);
        n = n ? n : 1;
        if (simple) {
            snprintf(escape, sizeof escape, "\\%c", to[simple - from]);
        } else if (c < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
        } else if (ensure_ascii && n > 1) {
            uint32_t code = character_at(s->bytes + i, n);
            if (code < 0x10000)
                snprintf(escape, sizeof escape, "\\u%04x", code);
            else
                snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                         0xDC00 + (code & 0x3FF));
        } else {
            pmj_text_add(j, text, s->bytes + i, n, s->marks ? s->marks + i : NULL);
            continue;
        }
        pmj_text_add_marked(j, text, escape, strlen(escape), mark);
    }
    pmj_text_add_literal(j, text, "\"");
}

static void add_line(pmj *j, pmj_text *text, const pmj_json_style *style, int level)
{
    if (!style->indent)
        return;
    pmj_text_add_literal(j, text, "\n");
    while (level--)
        pmj_text_add_string(j, text, style->indent);
}

static void add_json(pmj *j, pmj_text *text, pmj_value value, const pmj_json_style *style, int level);

static void add_json_list(pmj *j, pmj_text *text, const pmj_list *list, const pmj_json_style *style, int level)
{
    pmj_text_add_literal(j, text, "[");
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            pmj_text_add_string(j, text, style->item_separator);
        add_line(j, text, style, level + 1);
        add_json(j, text, list->items[i], style, level + 1);
    }
    if (list->n)
        add_line(j, text, style, level);
    pmj_text_add_literal(j, text, "]");
}

/* Keys become strings, as json.dumps does it. */
static void add_json_key(pmj *j, pmj_text *text, pmj_value key, const pmj_json_style *style)
{
    if (key.type == PMJ_STRING) {
        add_json_string(j, text, key.as.string, style->ensure_ascii);
        return;
    }
    pmj_text_add_literal(j, text, "\"");
    add_json(j, text, key, style, 0);
    pmj_text_add_literal(j, text, "\"");
}

static void add_json_dict(pmj *j, pmj_text *text, const pmj_dict *dict, const pmj_json_style *style, int level)
{
    pmj_value keys = pmj_list_value(j, PMJ_LIST);
    for (size_t i = 0; i < dict->n; i++)
        pmj_list_add(j, keys, pmj_pair_value(j, dict->pairs[i].key, dict->pairs[i].value));
    if (style->sort_keys)
        keys = pmj_sort(j, keys.as.list, pmj_int(0), 0, 1, 1);
    pmj_text_add_literal(j, text, "{");
    for (size_t i = 0; i < dict->n; i++) {
        const pmj_value *pair = keys.as.list->items[i].as.list->items;
        if (i)
            pmj_text_add_string(j, text, style->item_separator);
        add_line(j, text, style, level + 1);
        add_json_key(j, text, pair[0], style);
        pmj_text_add_string(j, text, style->key_separator);
        add_json(j, text, pair[1], style, level + 1);
    }
    if (dict->n)
        add_line(j, text, style, level);
    pmj_text_add_literal(j, text, "}");
}

static void add_json(pmj *j, pmj_text *text, pmj_value value, const pmj_json_style *style, int level)
{
    pmj_enter(j);
    pmj_step(j, 1);
    switch (value.type) {
    case PMJ_NONE:
        pmj_text_add_literal(j, text, "null");
        break;
    case PMJ_BOOL:
        pmj_text_add_marked(j, text, value.as.integer ? "true" : "false", value.as.integer ? 4 : 5, value.content);
        break;
    case PMJ_FLOAT:
        if (isnan(value.as.real) || isinf(value.as.real)) {
            pmj_text_add_literal(j, text,
                                 isnan(value.as.real) ? "NaN"
                                 : value.as.real < 0  ? "-Infinity"
                                                      : "Infinity");
            break;
        }
        add_number(j, text, value);
        break;
    case PMJ_INT:
        add_number(j, text, value);
        break;
    case PMJ_STRING:
        add_json_string(j, text, value.as.string, style->ensure_ascii);
        break;
    case PMJ_LIST:
    case PMJ_TUPLE:
        add_json_list(j, text, value.as.list, style, level);
        break;
    case PMJ_DICT:
        add_json_dict(j, text, value.as.dict, style, level);
        break;
    default:
        pmj_fail(j, PM_ERR_ARGUMENT, "%s cannot be written as JSON", pmj_type_name(value));
    }
    pmj_leave(j);
}

void pmj_text_add_json(pmj *j, pmj_text *text, pmj_value value, const pmj_json_style *style)
{
    add_json(j, text, value, style, 0);
}
