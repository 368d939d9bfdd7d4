/* Filters: those of Jinja that text is made with, tojson as transformers has it, and from_json, which some
 * templates expect of their engine. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/jinja.h"

#define FILTER(name) static pmj_value name(pmj *j, pmj_value self, const pmj_args *args)

/* A named argument's value, or what stands in its place. */
static int flag_of(pmj *j, pmj_value value, int otherwise)
{
    return value.type == PMJ_MISSING ? otherwise : pmj_is_true(j, value);
}

static pmj_value copy_of(pmj *j, const pmj_list *items, pmj_type type)
{
    pmj_value list = pmj_list_value(j, type);
    for (size_t i = 0; i < items->n; i++)
        pmj_list_add(j, list, items->items[i]);
    return list;
}

/* "a.b.0" or a number: what is found on that way. */
pmj_value pmj_path(pmj *j, pmj_value value, pmj_value path)
{
    if (path.type != PMJ_STRING)
        return pmj_item(j, value, path);
    const char *at = pmj_name(j, path.as.string->bytes, path.as.string->n);
    for (;; at++) {
        size_t n = strcspn(at, ".");
        int number = n > 0 && n < 10 && strspn(at, "0123456789") == n;
        pmj_value key = number ? pmj_int(atoi(at)) : pmj_string_value(j, at, n, 0);
        value = pmj_item(j, value, key);
        at += n;
        if (!*at)
            return value;
    }
}

/* ---- Strings ---- */

FILTER(do_trim)
{
    pmj_value set;
    pmj_bind(j, args, "trim", "chars", &set);
    return pmj_strip(
        j, pmj_to_string(j, self),
        set.type == PMJ_MISSING || set.type == PMJ_NONE ? NULL : pmj_expect_string(j, set, "what to trim"), 1, 1);
}

static pmj_value cased(pmj *j, pmj_value self, const pmj_args *args, char what)
{
    pmj_bind(j, args, "a filter of case", "", NULL);
    return pmj_change_case(j, pmj_to_string(j, self), what);
}

FILTER(do_upper)
{
    return cased(j, self, args, 'u');
}

FILTER(do_lower)
{
    return cased(j, self, args, 'l');
}

FILTER(do_capitalize)
{
    return cased(j, self, args, 'c');
}

/* Words begin after white space and opening brackets here, unlike with the method of this name. */
FILTER(do_title)
{
    const pmj_string *s = pmj_to_string(j, self);
    pmj_text text = {0};
    pmj_bind(j, args, "title", "", NULL);
    for (size_t at = 0, end; at < s->n; at = end) {
        end = at;
        while (end < s->n && !memchr("- \t\n\r\f\v({[<", s->bytes[end], 11))
            end++;
        size_t first = at + pmj_character_offset(pmj_substring(j, s, at, end).as.string, 1);
        pmj_value head = pmj_substring(j, s, at, first), tail = pmj_substring(j, s, first, end);
        pmj_text_add_string(j, &text, pmj_change_case(j, head.as.string, 'u').as.string);
        pmj_text_add_string(j, &text, pmj_change_case(j, tail.as.string, 'l').as.string);
        if (end < s->n) {
            pmj_text_add(j, &text, s->bytes + end, 1, s->marks ? s->marks + end : NULL);
            end++;
        }
    }
    return pmj_text_value(j, &text);
}

FILTER(do_replace)
{
    pmj_value bound[3];
    pmj_bind(j, args, "replace", "old,new,count", bound);
    int64_t most = bound[2].type == PMJ_MISSING || bound[2].type == PMJ_NONE
                       ? -1
                       : pmj_expect_int(j, bound[2], "replace's count");
    if (bound[1].type == PMJ_MISSING)
        pmj_fail(j, PM_ERR_ARGUMENT, "replace wants what to replace, and what with");
    return pmj_replace(j, pmj_to_string(j, self), pmj_to_string(j, bound[0]), pmj_to_string(j, bound[1]), most);
}

FILTER(do_string)
{
    pmj_text text = {0};
    pmj_bind(j, args, "string", "", NULL);
    pmj_text_add_string(j, &text, pmj_to_string(j, self));
    return pmj_text_value(j, &text);
}

/* Marks a string as HTML that needs no escapes; without automatic escapes that is the string. */
FILTER(do_safe)
{
    return do_string(j, self, args);
}

FILTER(do_escape)
{
    const pmj_string *s = pmj_to_string(j, self);
    pmj_text text = {0};
    pmj_bind(j, args, "escape", "", NULL);
    for (size_t i = 0; i < s->n; i++) {
        char c = s->bytes[i];
        const char *escape = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '"'  ? "&#34;"
                             : c == '\'' ? "&#39;"
                                         : NULL;
        int mark = s->marks && s->marks[i];
        pmj_text_add_marked(j, &text, escape ? escape : &s->bytes[i], escape ? strlen(escape) : 1, mark);
    }
    return pmj_text_value(j, &text);
}

FILTER(do_indent)
{
    pmj_value bound[3];
    pmj_text text = {0}, by = {0};
    pmj_bind(j, args, "indent", "width,first,blank", bound);
    const pmj_string *s = pmj_to_string(j, self);
    if (bound[0].type == PMJ_STRING)
        pmj_text_add_string(j, &by, bound[0].as.string);
    else
        for (int64_t n = bound[0].type == PMJ_MISSING ? 4 : pmj_expect_int(j, bound[0], "indent's width"); n > 0;
             n--)
            pmj_text_add_literal(j, &by, " ");
    int first = flag_of(j, bound[1], 0), blank = flag_of(j, bound[2], 0);
    const pmj_string *white = pmj_text_value(j, &by).as.string;
    /* Jinja adds a line end that makes the last line count, and takes it off again with splitlines(). */
    for (size_t at = 0, line = 0; at <= s->n; line++) {
        const char *found = s->n > at ? memchr(s->bytes + at, '\n', s->n - at) : NULL;
        size_t end = found ? (size_t)(found - s->bytes) : s->n;
        if (line ? end > at || blank : first)
            pmj_text_add_string(j, &text, white);
        pmj_text_add_string(j, &text, pmj_substring(j, s, at, found ? end + 1 : end).as.string);
        at = end + 1;
    }
    return pmj_text_value(j, &text);
}

FILTER(do_format)
{
    pmj_value values = pmj_list_value(j, PMJ_TUPLE), named = pmj_dict_value(j, PMJ_DICT);
    for (size_t i = 0; i < args->n; i++)
        pmj_list_add(j, values, args->values[i]);
    for (size_t i = 0; i < args->n_named; i++)
        pmj_dict_set(j, named, pmj_literal(j, args->names[i]), args->named[i]);
    return pmj_format_percent(j, pmj_to_string(j, self), args->n_named ? named : values);
}

FILTER(do_tojson)
{
    pmj_value bound[5];
    pmj_text text = {0};
    pmj_json_style style = {0};
    pmj_bind(j, args, "tojson", "ensure_ascii,indent,separators,sort_keys", bound);
    style.ensure_ascii = flag_of(j, bound[0], 0);
    style.sort_keys = flag_of(j, bound[3], 0);
    if (bound[1].type == PMJ_STRING) {
        style.indent = bound[1].as.string;
    } else if (bound[1].type != PMJ_MISSING && bound[1].type != PMJ_NONE) {
        pmj_text spaces = {0};
        for (int64_t n = pmj_expect_int(j, bound[1], "tojson's indent"); n > 0; n--)
            pmj_text_add_literal(j, &spaces, " ");
        style.indent = pmj_text_value(j, &spaces).as.string;
    }
    style.item_separator = pmj_literal(j, style.indent ? "," : ", ").as.string;
    style.key_separator = pmj_literal(j, ": ").as.string;
    if (bound[2].type != PMJ_MISSING && bound[2].type != PMJ_NONE) {
        const pmj_list *two = pmj_iterate(j, bound[2]);
        if (two->n != 2)
            pmj_fail(j, PM_ERR_ARGUMENT, "tojson takes two separators");
        style.item_separator = pmj_expect_string(j, two->items[0], "a separator");
        style.key_separator = pmj_expect_string(j, two->items[1], "a separator");
    }
    pmj_text_add_json(j, &text, self, &style);
    return pmj_text_value(j, &text);
}

FILTER(do_from_json)
{
    pmj_bind(j, args, "from_json", "", NULL);
    const pmj_string *s = pmj_expect_string(j, self, "from_json's text");
    return pmj_from_json(j, s->bytes, s->n, pmj_has_content(self), "from_json");
}

/* ---- Numbers ---- */

/* The number that a string begins with and ends with; *real tells which kind. Returns 0 where it is none. */
static int parse_number(pmj *j, pmj_value value, int64_t *integer, double *number)
{
    const pmj_string *s = pmj_strip(j, value.as.string, NULL, 1, 1).as.string;
    char *text = pmj_name(j, s->bytes, s->n), *end;
    if (!s->n || strlen(text) != s->n || strpbrk(text, "xXpP"))
        return 0;
    *number = strtod(text, &end);
    if (*end)
        return 0;
    long long whole = strtoll(text, &end, 10);
    int is_integer = !*end;
    *integer = is_integer ? whole : 0;
    return is_integer ? 2 : 1;
}

FILTER(do_int)
{
    pmj_value bound[2];
    int64_t integer = 0;
    double number = 0;
    pmj_bind(j, args, "int", "default,base", bound);
    pmj_value result = bound[0].type == PMJ_MISSING ? pmj_int(0) : bound[0];
    if (bound[1].type != PMJ_MISSING && pmj_expect_int(j, bound[1], "int's base") != 10)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "int is supported for base 10 only");
    if (self.type == PMJ_INT || self.type == PMJ_BOOL)
        result = pmj_int(self.as.integer);
    else if (self.type == PMJ_STRING) {
        int kind = parse_number(j, self, &integer, &number);
        if (kind == 2)
            result = pmj_int(integer);
        else if (kind)
            self = (pmj_value){.type = PMJ_FLOAT, .content = pmj_has_content(self), .as.real = number};
    }
    if (self.type == PMJ_FLOAT && self.as.real > -9e18 && self.as.real < 9e18)
        result = pmj_int((int64_t)self.as.real);
    result.content |= pmj_has_content(self);
    return result;
}

FILTER(do_float)
{
    pmj_value otherwise;
    int64_t integer;
    double number;
    pmj_bind(j, args, "float", "default", &otherwise);
    pmj_value result = otherwise.type == PMJ_MISSING ? pmj_real(0) : otherwise;
    if (pmj_is_number(self))
        result = pmj_real(pmj_as_real(self));
    else if (self.type == PMJ_STRING && parse_number(j, self, &integer, &number))
        result = pmj_real(number);
    result.content |= pmj_has_content(self);
    return result;
}

FILTER(do_abs)
{
    pmj_bind(j, args, "abs", "", NULL);
    if (!pmj_is_number(self))
        pmj_fail(j, PM_ERR_ARGUMENT, "%s has no absolute value", pmj_type_name(self));
    if (self.type == PMJ_FLOAT)
        self.as.real = fabs(self.as.real);
    else
        self = self.as.integer < 0 ? pmj_binary(j, PMJ_OP_SUB, pmj_int(0), self) : self;
    return self;
}

FILTER(do_round)
{
    pmj_value bound[2];
    char buffer[400];
    pmj_bind(j, args, "round", "precision,method", bound);
    int64_t precision = bound[0].type == PMJ_MISSING ? 0 : pmj_expect_int(j, bound[0], "round's precision");
    if (!pmj_is_number(self) || precision < 0 || precision > 15)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "this cannot be rounded");
    if (self.type != PMJ_FLOAT && bound[1].type == PMJ_MISSING)
        return self;
    double value = pmj_as_real(self), scale = pow(10, (double)precision);
    if (bound[1].type == PMJ_STRING && pmj_string_is(bound[1].as.string, "ceil"))
        value = ceil(value * scale) / scale;
    else if (bound[1].type == PMJ_STRING && pmj_string_is(bound[1].as.string, "floor"))
        value = floor(value * scale) / scale;
    else {
        snprintf(buffer, sizeof buffer, "%.*f", (int)precision, value); /* exactly, halves to even, as Python */
        value = strtod(buffer, NULL);
    }
    return (pmj_value){.type = PMJ_FLOAT, .content = self.content, .as.real = value};
}

/* ---- Sequences ---- */

FILTER(do_length)
{
    pmj_bind(j, args, "length", "", NULL);
    return pmj_int((int64_t)pmj_length(j, self));
}

FILTER(do_default)
{
    pmj_value bound[2];
    pmj_bind(j, args, "default", "default_value,boolean", bound);
    if (self.type == PMJ_UNDEFINED || (flag_of(j, bound[1], 0) && !pmj_is_true(j, self)))
        return bound[0].type == PMJ_MISSING ? pmj_literal(j, "") : bound[0];
    return self;
}

FILTER(do_first)
{
    pmj_bind(j, args, "first", "", NULL);
    const pmj_list *items = pmj_iterate(j, self);
    return items->n ? items->items[0] : pmj_undefined("the first of nothing");
}

FILTER(do_last)
{
    pmj_bind(j, args, "last", "", NULL);
    if (self.type == PMJ_GENERATOR)
        pmj_fail(j, PM_ERR_ARGUMENT, "a generator has no end to begin at");
    const pmj_list *items = pmj_iterate(j, self);
    return items->n ? items->items[items->n - 1] : pmj_undefined("the last of nothing");
}

FILTER(do_list)
{
    pmj_bind(j, args, "list", "", NULL);
    return copy_of(j, pmj_iterate(j, self), PMJ_LIST);
}

FILTER(do_items)
{
    pmj_bind(j, args, "items", "", NULL);
    pmj_value pairs = pmj_list_value(j, PMJ_GENERATOR);
    if (self.type == PMJ_UNDEFINED)
        return pairs;
    if (self.type != PMJ_DICT)
        pmj_fail(j, PM_ERR_ARGUMENT, "items is for dicts, not for %s", pmj_type_name(self));
    for (size_t i = 0; i < self.as.dict->n; i++)
        pmj_list_add(j, pairs, pmj_pair_value(j, self.as.dict->pairs[i].key, self.as.dict->pairs[i].value));
    return pairs;
}

FILTER(do_reverse)
{
    pmj_text text = {0};
    pmj_bind(j, args, "reverse", "", NULL);
    const pmj_list *items = pmj_iterate(j, self);
    pmj_value list = pmj_list_value(j, PMJ_GENERATOR);
    for (size_t i = items->n; i-- > 0;)
        pmj_list_add(j, list, items->items[i]);
    if (self.type != PMJ_STRING)
        return list;
    for (size_t i = 0; i < items->n; i++)
        pmj_text_add_string(j, &text, list.as.list->items[i].as.string);
    return pmj_text_value(j, &text);
}

FILTER(do_join)
{
    pmj_value bound[2];
    pmj_text text = {0};
    pmj_bind(j, args, "join", "d,attribute", bound);
    const pmj_list *items = pmj_iterate(j, self);
    for (size_t i = 0; i < items->n; i++) {
        if (i && bound[0].type != PMJ_MISSING)
            pmj_text_add_value(j, &text, bound[0]);
        pmj_text_add_value(j, &text,
                           bound[1].type == PMJ_MISSING || bound[1].type == PMJ_NONE
                               ? items->items[i]
                               : pmj_path(j, items->items[i], bound[1]));
    }
    return pmj_text_value(j, &text);
}

FILTER(do_sum)
{
    pmj_value bound[2];
    pmj_bind(j, args, "sum", "attribute,start", bound);
    pmj_value sum = bound[1].type == PMJ_MISSING ? pmj_int(0) : bound[1];
    const pmj_list *items = pmj_iterate(j, self);
    for (size_t i = 0; i < items->n; i++)
        sum = pmj_binary(j, PMJ_OP_ADD, sum,
                         bound[0].type == PMJ_MISSING || bound[0].type == PMJ_NONE
                             ? items->items[i]
                             : pmj_path(j, items->items[i], bound[0]));
    return sum;
}

/* ---- Order ---- */

static pmj_value sort_key(pmj *j, pmj_value item, pmj_value path, int by_case, int by_index)
{
    if (path.type != PMJ_MISSING && path.type != PMJ_NONE)
        item = by_index ? pmj_item(j, item, path) : pmj_path(j, item, path);
    return item.type == PMJ_STRING && !by_case ? pmj_change_case(j, item.as.string, 'l') : item;
}

/* A merge sort (it keeps the order of equals). The items are pairs of key and value. */
static void merge_sort(pmj *j, pmj_value *items, pmj_value *room, size_t n, int reverse)
{
    if (n < 2)
        return;
    size_t half = n / 2, a = 0, b = half;
    merge_sort(j, items, room, half, reverse);
    merge_sort(j, items + half, room, n - half, reverse);
    for (size_t i = 0; i < n; i++) {
        int take_b = a == half;
        if (a < half && b < n) {
            int order = pmj_compare(j, items[a].as.list->items[0], items[b].as.list->items[0], "sorted");
            take_b = reverse ? order < 0 : order > 0;
        }
        room[i] = items[take_b ? b++ : a++];
    }
    memcpy(items, room, n * sizeof *items);
}

pmj_value pmj_sort(pmj *j, const pmj_list *items, pmj_value path, int reverse, int by_case, int by_index)
{
    pmj_value pairs = pmj_list_value(j, PMJ_LIST), sorted = pmj_list_value(j, PMJ_LIST);
    for (size_t i = 0; i < items->n; i++)
        pmj_list_add(j, pairs,
                     pmj_pair_value(j, sort_key(j, items->items[i], path, by_case, by_index), items->items[i]));
    pmj_value *room = pmj_alloc(j, (items->n + 1) * sizeof *room);
    if (items->n)
        merge_sort(j, pairs.as.list->items, room, items->n, reverse);
    for (size_t i = 0; i < items->n; i++)
        pmj_list_add(j, sorted, pairs.as.list->items[i].as.list->items[1]);
    return sorted;
}

FILTER(do_sort)
{
    pmj_value bound[3];
    pmj_bind(j, args, "sort", "reverse,case_sensitive,attribute", bound);
    if (bound[2].type == PMJ_STRING && memchr(bound[2].as.string->bytes, ',', bound[2].as.string->n))
        pmj_fail(j, PM_ERR_UNSUPPORTED, "sort is supported by one attribute only");
    return pmj_sort(j, pmj_iterate(j, self), bound[2], flag_of(j, bound[0], 0), flag_of(j, bound[1], 0), 0);
}

FILTER(do_dictsort)
{
    pmj_value bound[3];
    pmj_bind(j, args, "dictsort", "case_sensitive,by,reverse", bound);
    if (self.type != PMJ_DICT)
        pmj_fail(j, PM_ERR_ARGUMENT, "dictsort is for dicts, not for %s", pmj_type_name(self));
    int by_value = bound[1].type == PMJ_STRING && pmj_string_is(bound[1].as.string, "value");
    pmj_value pairs = do_items(j, self, &(pmj_args){0});
    return pmj_sort(j, pairs.as.list, pmj_int(by_value), flag_of(j, bound[2], 0), flag_of(j, bound[0], 0), 1);
}

FILTER(do_unique)
{
    pmj_value bound[2], seen = pmj_list_value(j, PMJ_LIST), list = pmj_list_value(j, PMJ_GENERATOR);
    pmj_bind(j, args, "unique", "case_sensitive,attribute", bound);
    const pmj_list *items = pmj_iterate(j, self);
    for (size_t i = 0; i < items->n; i++) {
        pmj_value key = sort_key(j, items->items[i], bound[1], flag_of(j, bound[0], 0), 0);
        if (pmj_contains(j, seen, key))
            continue;
        pmj_list_add(j, seen, key);
        pmj_list_add(j, list, items->items[i]);
    }
    return list;
}

static pmj_value extreme(pmj *j, pmj_value self, const pmj_args *args, int most)
{
    pmj_value bound[2];
    pmj_bind(j, args, "min or max", "case_sensitive,attribute", bound);
    const pmj_list *sorted = pmj_sort(j, pmj_iterate(j, self), bound[1], most, flag_of(j, bound[0], 0), 0).as.list;
    return sorted->n ? sorted->items[0] : pmj_undefined("the least or most of nothing");
}

FILTER(do_min)
{
    return extreme(j, self, args, 0);
}

FILTER(do_max)
{
    return extreme(j, self, args, 1);
}

FILTER(do_groupby)
{
    pmj_value bound[3], groups = pmj_list_value(j, PMJ_LIST);
    pmj_bind(j, args, "groupby", "attribute,default,case_sensitive", bound);
    int by_case = flag_of(j, bound[2], 0);
    if (bound[1].type != PMJ_MISSING && bound[1].type != PMJ_NONE)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "groupby is supported without a default only");
    const pmj_list *sorted = pmj_sort(j, pmj_iterate(j, self), bound[0], 0, by_case, 0).as.list;
    pmj_value before = pmj_none(), list = pmj_none();
    for (size_t i = 0; i < sorted->n; i++) {
        pmj_value key = sort_key(j, sorted->items[i], bound[0], by_case, 0);
        if (!i || !pmj_equal(j, key, before)) {
            list = pmj_list_value(j, PMJ_LIST);
            pmj_list_add(j, groups, pmj_pair_value(j, pmj_path(j, sorted->items[i], bound[0]), list));
        }
        pmj_list_add(j, list, sorted->items[i]);
        before = key;
    }
    return groups;
}

FILTER(do_batch)
{
    pmj_value bound[2], list = pmj_list_value(j, PMJ_GENERATOR), row = pmj_list_value(j, PMJ_LIST);
    pmj_bind(j, args, "batch", "linecount,fill_with", bound);
    int64_t n = pmj_expect_int(j, bound[0], "batch's size");
    const pmj_list *items = pmj_iterate(j, self);
    if (n < 1)
        pmj_fail(j, PM_ERR_ARGUMENT, "batch's size is less than 1");
    for (size_t i = 0; i < items->n; i++) {
        if (i % (size_t)n == 0) {
            row = pmj_list_value(j, PMJ_LIST);
            pmj_list_add(j, list, row);
        }
        pmj_list_add(j, row, items->items[i]);
    }
    while (items->n && bound[1].type > PMJ_NONE && row.as.list->n < (size_t)n)
        pmj_list_add(j, row, bound[1]);
    return list;
}

/* ---- map, select and their like ---- */

static pmj_args rest_of(const pmj_args *args, size_t n)
{
    pmj_args rest = *args;
    n = n < args->n ? n : args->n;
    if (n > 0) /* without arguments there is no array to step into */
        rest.values += n;
    rest.n -= n;
    return rest;
}

FILTER(do_map)
{
    pmj_value list = pmj_list_value(j, PMJ_GENERATOR), bound[2];
    const pmj_list *items = pmj_iterate(j, self);
    pmj_args rest = rest_of(args, 1);
    if (!args->n) {
        pmj_bind(j, args, "map", "attribute,default", bound);
        if (bound[0].type == PMJ_MISSING)
            pmj_fail(j, PM_ERR_ARGUMENT, "map wants a filter or an attribute");
    }
    const char *name = args->n ? pmj_name(j, pmj_expect_string(j, args->values[0], "map's filter")->bytes,
                                          args->values[0].as.string->n)
                               : "";
    pmj_operation filter = pmj_find_filter(name);
    if (args->n && !filter)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "there is no filter \"%.64s\"", name);
    for (size_t i = 0; i < items->n; i++) {
        pmj_value value;
        if (args->n) {
            value = filter(j, items->items[i], &rest);
        } else {
            value = pmj_path(j, items->items[i], bound[0]);
            if (value.type == PMJ_UNDEFINED && bound[1].type != PMJ_MISSING)
                value = bound[1];
        }
        pmj_list_add(j, list, value);
    }
    return list;
}

static pmj_value choose(pmj *j, pmj_value self, const pmj_args *args, int by_attribute, int wanted)
{
    pmj_value list = pmj_list_value(j, PMJ_GENERATOR);
    const pmj_list *items = pmj_iterate(j, self);
    size_t at = by_attribute ? 1 : 0;
    pmj_args rest = rest_of(args, at + 1);
    if (args->n < at)
        pmj_fail(j, PM_ERR_ARGUMENT, "the attribute is missing");
    const char *name = args->n > at ? pmj_name(j, pmj_expect_string(j, args->values[at], "the test")->bytes,
                                               args->values[at].as.string->n)
                                    : NULL;
    pmj_operation test = name ? pmj_find_test(name) : NULL;
    if (name && !test)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "there is no test \"%.64s\"", name);
    for (size_t i = 0; i < items->n; i++) {
        pmj_value value = by_attribute ? pmj_path(j, items->items[i], args->values[0]) : items->items[i];
        if (test)
            value = test(j, value, &rest);
        if (pmj_is_true(j, value) == wanted)
            pmj_list_add(j, list, items->items[i]);
    }
    return list;
}

FILTER(do_select)
{
    return choose(j, self, args, 0, 1);
}

FILTER(do_reject)
{
    return choose(j, self, args, 0, 0);
}

FILTER(do_selectattr)
{
    return choose(j, self, args, 1, 1);
}

FILTER(do_rejectattr)
{
    return choose(j, self, args, 1, 0);
}

FILTER(do_attr)
{
    pmj_value name;
    pmj_bind(j, args, "attr", "name", &name);
    const pmj_string *s = pmj_expect_string(j, name, "attr's name");
    if (self.type == PMJ_DICT) /* attributes only: a dict's elements are none */
        return pmj_undefined(NULL);
    return pmj_attribute(j, self, pmj_name(j, s->bytes, s->n));
}

FILTER(do_wordcount)
{
    pmj_value list;
    pmj_bind(j, args, "wordcount", "", NULL);
    pmj_value text = pmj_string_value(j, "", 0, 0);
    text.as.string = pmj_to_string(j, self);
    list = pmj_call(j, pmj_find_method(j, text, "split"), &(pmj_args){0});
    return pmj_int((int64_t)list.as.list->n);
}

pmj_operation pmj_find_filter(const char *name)
{
    static const struct {
        const char *name;
        pmj_operation operation;
    } filters[] = {
        {"abs", do_abs},
        {"attr", do_attr},
        {"batch", do_batch},
        {"capitalize", do_capitalize},
        {"count", do_length},
        {"d", do_default},
        {"default", do_default},
        {"dictsort", do_dictsort},
        {"e", do_escape},
        {"escape", do_escape},
        {"first", do_first},
        {"float", do_float},
        {"format", do_format},
        {"from_json", do_from_json},
        {"groupby", do_groupby},
        {"indent", do_indent},
        {"int", do_int},
        {"items", do_items},
        {"join", do_join},
        {"last", do_last},
        {"length", do_length},
        {"list", do_list},
        {"lower", do_lower},
        {"map", do_map},
        {"max", do_max},
        {"min", do_min},
        {"reject", do_reject},
        {"rejectattr", do_rejectattr},
        {"replace", do_replace},
        {"reverse", do_reverse},
        {"round", do_round},
        {"safe", do_safe},
        {"select", do_select},
        {"selectattr", do_selectattr},
        {"sort", do_sort},
        {"string", do_string},
        {"sum", do_sum},
        {"title", do_title},
        {"tojson", do_tojson},
        {"trim", do_trim},
        {"unique", do_unique},
        {"upper", do_upper},
        {"wordcount", do_wordcount},
    };
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (!strcmp(filters[i].name, name))
            return filters[i].operation;
    return NULL;
}
