/* Operations on strings that filters and methods share: case (by ICU), stripping, replacing, and the two ways of
 * Python to fill in a format. */
#include <stdlib.h>
#include <string.h>

#include <unicode/uchar.h>
#include <unicode/ustring.h>

#include "base/utf8.h"
#include "runtime/jinja.h"

/* One character; U+FFFD for a byte that is none. Returns its size. */
static size_t read_character(const pmj_string *s, size_t at, UChar32 *c)
{
    size_t n = pm_utf8_sequence(s->bytes + at, s->n - at);
    static const unsigned char masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    if (!n) {
        *c = 0xFFFD;
        return 1;
    }
    *c = (unsigned char)s->bytes[at] & masks[n];
    for (size_t i = 1; i < n; i++)
        *c = *c << 6 | ((unsigned char)s->bytes[at + i] & 0x3F);
    return n;
}

static void add_utf16(pmj *j, pmj_text *text, const UChar *units, int32_t n, int mark)
{
    char bytes[64];
    int32_t size = 0;
    UErrorCode status = U_ZERO_ERROR;
    u_strToUTF8(bytes, sizeof bytes, &size, units, n, &status);
    if (U_FAILURE(status))
        pmj_fail(j, PM_ERR_INTERNAL, "a character's case cannot be changed");
    pmj_text_add_marked(j, text, bytes, (size_t)size, mark);
}

static int is_cased(UChar32 c)
{
    return u_hasBinaryProperty(c, UCHAR_CASED) != 0;
}

/* Is the sigma at `at` the last letter of a word? (Then its small form is another one.) */
static int is_final_sigma(const pmj_string *s, size_t at, size_t size, UChar32 before)
{
    UChar32 c = 0;
    if (!before || !is_cased(before))
        return 0;
    for (size_t i = at + size; i < s->n;) {
        i += read_character(s, i, &c);
        if (!u_hasBinaryProperty(c, UCHAR_CASE_IGNORABLE))
            return !is_cased(c);
    }
    return 1;
}

/* Character by character, so that each keeps its origin; special casings (ß to SS) are those of ICU's root locale.
 */
pmj_value pmj_change_case(pmj *j, const pmj_string *string, char what)
{
    pmj_text text = {0};
    UChar32 c, before = 0;
    int in_word = 0;
    for (size_t i = 0, n; i < string->n; i += n) {
        UChar from[2], to[16];
        int32_t n_from = 0, n_to;
        UErrorCode status = U_ZERO_ERROR;
        n = read_character(string, i, &c);
        char how = what == 't'   ? (in_word ? 'l' : 'T')
                   : what == 'c' ? (i ? 'l' : 'T')
                   : what == 's' ? (u_isupper(c)   ? 'l'
                                    : u_islower(c) ? 'u'
                                                   : 'n')
                                 : what;
        int mark = string->marks && string->marks[i];
        in_word = is_cased(c);
        if (how == 'n' || (c == 0xFFFD && n == 1)) {
            pmj_text_add(j, &text, string->bytes + i, n, string->marks ? string->marks + i : NULL);
            continue;
        }
        U16_APPEND_UNSAFE(from, n_from, c);
        if (how == 'u')
            n_to = u_strToUpper(to, 16, from, n_from, "", &status);
        else if (how == 'T')
            n_to = u_strToTitle(to, 16, from, n_from, NULL, "", &status);
        else if (c == 0x3A3 && is_final_sigma(string, i, n, before))
            n_to = (to[0] = 0x3C2, 1);
        else
            n_to = u_strToLower(to, 16, from, n_from, "", &status);
        add_utf16(j, &text, to, U_FAILURE(status) ? 0 : n_to, mark);
        before = u_hasBinaryProperty(c, UCHAR_CASE_IGNORABLE) ? before : c;
    }
    return pmj_text_value(j, &text);
}

/* What Python's str.isspace() is true for. */
static int is_space(UChar32 c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || (c >= 0x80 && u_isUWhiteSpace(c));
}

static int in_set(const pmj_string *set, UChar32 c)
{
    UChar32 other;
    if (!set)
        return is_space(c);
    for (size_t i = 0; i < set->n;) {
        i += read_character(set, i, &other);
        if (other == c)
            return 1;
    }
    return 0;
}

pmj_value pmj_strip(pmj *j, const pmj_string *string, const pmj_string *set, int left, int right)
{
    size_t begin = 0, end = string->n;
    UChar32 c;
    while (left && begin < end) {
        size_t n = read_character(string, begin, &c);
        pmj_step(j, 1);
        if (!in_set(set, c))
            break;
        begin += n;
    }
    while (right && end > begin) {
        size_t at = end - 1;
        while (at > begin && ((unsigned char)string->bytes[at] & 0xC0) == 0x80)
            at--;
        read_character(string, at, &c);
        pmj_step(j, 1);
        if (!in_set(set, c))
            break;
        end = at;
    }
    pmj_value result = pmj_substring(j, string, begin, end);
    if (!set || !set->marks)
        return result;
    return pmj_string_value(j, result.as.string->bytes, result.as.string->n, 1);
}

pmj_value pmj_replace(pmj *j, const pmj_string *s, const pmj_string *from, const pmj_string *to, int64_t most)
{
    pmj_text text = {0};
    size_t at = 0;
    while (most != 0 && at <= s->n) {
        const char *found = from->n == 0 ? s->bytes + at
                            : s->n > at  ? memmem(s->bytes + at, s->n - at, from->bytes, from->n)
                                         : NULL;
        if (!found)
            break;
        pmj_step(j, 1);
        size_t where = (size_t)(found - s->bytes);
        size_t skip = from->n;
        pmj_text_add(j, &text, s->bytes + at, where - at, s->marks ? s->marks + at : NULL);
        pmj_text_add_string(j, &text, to);
        if (!skip) { /* between all characters */
            UChar32 c;
            skip = where < s->n ? read_character(s, where, &c) : 1;
            if (where < s->n)
                pmj_text_add(j, &text, s->bytes + where, skip, s->marks ? s->marks + where : NULL);
        }
        at = where + skip;
        most -= most > 0;
    }
    if (at < s->n)
        pmj_text_add(j, &text, s->bytes + at, s->n - at, s->marks ? s->marks + at : NULL);
    if (from->marks)
        pmj_text_mark_all(j, &text);
    return pmj_text_value(j, &text);
}

/* ---- Formats ---- */

typedef struct field {
    char flags[6];        /* of "-+ 0#" */
    int width, precision; /* -1: none */
    char kind;
    char align; /* '<', '>', '^', or 0 */
} field;

static void pad(pmj *j, pmj_text *text, const pmj_string *s, const field *f, char align)
{
    size_t n = pmj_n_characters(s), width = f->width > 0 ? (size_t)f->width : 0;
    size_t missing = width > n ? width - n : 0;
    size_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
    for (size_t i = 0; i < left; i++)
        pmj_text_add(j, text, " ", 1, NULL);
    pmj_text_add_string(j, text, s);
    for (size_t i = left; i < missing; i++)
        pmj_text_add(j, text, " ", 1, NULL);
}

static void add_formatted_number(pmj *j, pmj_text *text, pmj_value value, const field *f)
{
    char format[32], buffer[512];
    int n;
    if (!pmj_is_number(value))
        pmj_fail(j, PM_ERR_ARGUMENT, "%%%c wants a number, not %s", f->kind, pmj_type_name(value));
    if (strchr("dixXo", f->kind)) {
        long long integer = value.type == PMJ_FLOAT ? 0 : (long long)value.as.integer;
        if (value.type == PMJ_FLOAT) {
            if (!(value.as.real > -9e18 && value.as.real < 9e18))
                pmj_fail(j, PM_ERR_UNSUPPORTED, "a number is beyond 64 bits");
            integer = (long long)value.as.real;
        }
        if (f->precision >= 0 || (strchr("xXo", f->kind) && integer < 0))
            pmj_fail(j, PM_ERR_UNSUPPORTED, "this format of a number is not supported");
        snprintf(format, sizeof format, "%%%s*ll%c", f->flags, f->kind);
        n = snprintf(buffer, sizeof buffer, format, f->width > 0 ? f->width : 0, integer);
    } else {
        snprintf(format, sizeof format, "%%%s*.*%c", f->flags, f->kind);
        n = snprintf(buffer, sizeof buffer, format, f->width > 0 ? f->width : 0,
                     f->precision < 0 ? 6 : f->precision, pmj_as_real(value));
    }
    if (n < 0 || (size_t)n >= sizeof buffer)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "a formatted number is too long");
    pmj_text_add_marked(j, text, buffer, (size_t)n, value.content);
}

static const pmj_string *cut(pmj *j, const pmj_string *s, int precision)
{
    return precision < 0 ? s : pmj_substring(j, s, 0, pmj_character_offset(s, (size_t)precision)).as.string;
}

static int read_size(pmj *j, const pmj_string *s, size_t *at)
{
    int value = 0;
    while (*at < s->n && s->bytes[*at] >= '0' && s->bytes[*at] <= '9') {
        value = value * 10 + (s->bytes[(*at)++] - '0');
        if (value > 400)
            pmj_fail(j, PM_ERR_LIMIT, "a format is wider than 400");
    }
    return value;
}

/* What stands after the %, and before it a name in parentheses. */
static void read_field(pmj *j, const pmj_string *s, size_t *at, field *f)
{
    size_t n = 0;
    *f = (field){.precision = -1, .width = -1};
    for (; *at < s->n && memchr("-+ 0#", s->bytes[*at], 5) && n < 5; (*at)++)
        f->flags[n++] = s->bytes[*at];
    f->width = read_size(j, s, at);
    if (*at < s->n && s->bytes[*at] == '.') {
        ++*at;
        f->precision = read_size(j, s, at);
    }
    if (*at >= s->n || !memchr("sridxXofFeEgGc%", s->bytes[*at], 15))
        pmj_fail(j, PM_ERR_UNSUPPORTED, "the format is malformed, or not supported");
    f->kind = s->bytes[(*at)++];
}

static void add_field(pmj *j, pmj_text *text, pmj_value value, const field *f)
{
    pmj_text written = {0};
    if (f->kind == 's' || f->kind == 'r') {
        if (f->kind == 's')
            pmj_text_add_value(j, &written, value);
        else
            pmj_text_add_repr(j, &written, value);
        pad(j, text, cut(j, pmj_text_value(j, &written).as.string, f->precision), f,
            f->align                ? f->align
            : strchr(f->flags, '-') ? '<'
                                    : '>');
    } else if (f->kind == 'c') {
        pmj_text_add_string(j, text, pmj_expect_string(j, value, "what %c takes"));
    } else {
        add_formatted_number(j, text, value, f);
    }
}

pmj_value pmj_format_percent(pmj *j, const pmj_string *format, pmj_value values)
{
    pmj_text text = {0};
    size_t used = 0, n_values = values.type == PMJ_TUPLE ? values.as.list->n : 1;
    field f;
    for (size_t at = 0; at < format->n;) {
        if (format->bytes[at] != '%') {
            pmj_text_add(j, &text, format->bytes + at, 1, format->marks ? format->marks + at : NULL);
            at++;
            continue;
        }
        pmj_value value;
        const char *end = NULL;
        if (++at < format->n && format->bytes[at] == '(') {
            end = memchr(format->bytes + at, ')', format->n - at);
            if (!end || values.type != PMJ_DICT)
                pmj_fail(j, PM_ERR_ARGUMENT, "the format wants a dict");
            size_t n = (size_t)(end - format->bytes) - at - 1;
            const pmj_value *found = pmj_dict_get(j, values, pmj_string_value(j, format->bytes + at + 1, n, 0));
            if (!found)
                pmj_fail(j, PM_ERR_ARGUMENT, "the format names a key that is not there");
            value = *found;
            at += n + 2;
            used = n_values;
        }
        read_field(j, format, &at, &f);
        if (f.kind == '%') {
            pmj_text_add(j, &text, "%", 1, NULL);
            continue;
        }
        if (!end && used == n_values)
            pmj_fail(j, PM_ERR_ARGUMENT, "the format wants more values than there are");
        if (!end)
            value = values.type == PMJ_TUPLE ? values.as.list->items[used] : values;
        used += !end;
        add_field(j, &text, value, &f);
    }
    if (used < n_values && values.type != PMJ_DICT)
        pmj_fail(j, PM_ERR_ARGUMENT, "the format does not take all the values");
    if (format->marks)
        pmj_text_mark_all(j, &text);
    return pmj_text_value(j, &text);
}

/* The value that "{NAME...}" stands for; *at is after the brace, and afterwards at : ! or }. */
static pmj_value find_value(pmj *j, const pmj_string *s, size_t *at, const pmj_args *args, size_t *automatic)
{
    size_t n = 0;
    while (*at + n < s->n && !memchr("}:!{[.", s->bytes[*at + n], 6))
        n++;
    const char *name = pmj_name(j, s->bytes + *at, n);
    *at += n;
    if (*at < s->n && memchr("{[.", s->bytes[*at], 3))
        pmj_fail(j, PM_ERR_UNSUPPORTED, "format() with attributes or nested fields is not supported");
    if (!n || (*name >= '0' && *name <= '9')) {
        size_t index = n ? (size_t)strtoul(name, NULL, 10) : (*automatic)++;
        if (index >= args->n)
            pmj_fail(j, PM_ERR_ARGUMENT, "the format wants more values than there are");
        return args->values[index];
    }
    for (size_t i = 0; i < args->n_named; i++)
        if (!strcmp(args->names[i], name))
            return args->named[i];
    pmj_fail(j, PM_ERR_ARGUMENT, "the format names \"%.64s\", which is not given", name);
}

static void add_braces_field(pmj *j, pmj_text *text, const pmj_string *s, size_t *at, const pmj_args *args,
                             size_t *automatic)
{
    field f = {.precision = -1, .width = -1, .kind = 's'};
    pmj_value value = find_value(j, s, at, args, automatic);
    int number = value.type == PMJ_INT || value.type == PMJ_FLOAT;
    if (*at + 1 < s->n && s->bytes[*at] == '!' && strchr("sr", s->bytes[*at + 1])) {
        f.kind = s->bytes[*at + 1];
        *at += 2;
        number = 0;
    }
    f.align = number ? '>' : '<';
    if (*at < s->n && s->bytes[*at] == ':') {
        ++*at;
        if (*at < s->n && memchr("<>^", s->bytes[*at], 3))
            f.align = s->bytes[(*at)++];
        if (*at < s->n && s->bytes[*at] == '0')
            f.flags[0] = s->bytes[(*at)++];
        f.width = read_size(j, s, at);
        if (*at < s->n && s->bytes[*at] == '.') {
            ++*at;
            f.precision = read_size(j, s, at);
        }
        if (*at < s->n && memchr("sdxXofFeEgG", s->bytes[*at], 11))
            f.kind = s->bytes[(*at)++];
    }
    if (*at >= s->n || s->bytes[*at] != '}' || (number && f.kind == 's' && (f.precision >= 0 || f.flags[0])) ||
        (!number && f.kind != 's' && f.kind != 'r'))
        pmj_fail(j, PM_ERR_UNSUPPORTED, "the format is malformed, or not supported");
    ++*at;
    add_field(j, text, value, &f);
}

pmj_value pmj_format_braces(pmj *j, pmj_value self, const pmj_args *args)
{
    const pmj_string *s = self.as.string;
    pmj_text text = {0};
    size_t automatic = 0;
    for (size_t at = 0; at < s->n;) {
        char c = s->bytes[at];
        int twice = at + 1 < s->n && s->bytes[at + 1] == c;
        if (c == '{' && !twice) {
            at++;
            add_braces_field(j, &text, s, &at, args, &automatic);
            continue;
        }
        if (c == '}' && !twice)
            pmj_fail(j, PM_ERR_ARGUMENT, "the format has a single }");
        pmj_text_add(j, &text, s->bytes + at, 1, s->marks ? s->marks + at : NULL);
        at += c == '{' || c == '}' ? 2 : 1;
    }
    if (s->marks)
        pmj_text_mark_all(j, &text);
    return pmj_text_value(j, &text);
}
