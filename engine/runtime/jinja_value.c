/* Values: making them, comparing them, taking them apart. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "runtime/jinja.h"

pmj_value pmj_undefined(const char *name)
{
    return (pmj_value){.type = PMJ_UNDEFINED, .as.name = name};
}

pmj_value pmj_none(void)
{
    return (pmj_value){.type = PMJ_NONE};
}

pmj_value pmj_bool(int value)
{
    return (pmj_value){.type = PMJ_BOOL, .as.integer = value != 0};
}

pmj_value pmj_int(int64_t value)
{
    return (pmj_value){.type = PMJ_INT, .as.integer = value};
}

pmj_value pmj_real(double value)
{
    return (pmj_value){.type = PMJ_FLOAT, .as.real = value};
}

pmj_value pmj_string_value(pmj *j, const char *bytes, size_t n, int mark)
{
    pmj_string *string = pmj_alloc(j, sizeof *string);
    string->bytes = bytes;
    string->n = n;
    if (mark && n) {
        unsigned char *marks = pmj_alloc(j, n);
        memset(marks, 1, n);
        string->marks = marks;
    }
    return (pmj_value){.type = PMJ_STRING, .as.string = string};
}

pmj_value pmj_literal(pmj *j, const char *literal)
{
    return pmj_string_value(j, literal, strlen(literal), 0);
}

pmj_value pmj_substring(pmj *j, const pmj_string *string, size_t begin, size_t end)
{
    pmj_value value = pmj_string_value(j, string->bytes + begin, end - begin, 0);
    if (string->marks)
        ((pmj_string *)value.as.string)->marks = string->marks + begin;
    return value;
}

pmj_value pmj_list_value(pmj *j, pmj_type type)
{
    return (pmj_value){.type = type, .as.list = pmj_alloc(j, sizeof(pmj_list))};
}

void pmj_list_add(pmj *j, pmj_value value, pmj_value item)
{
    pmj_list *list = value.as.list;
    pmj_step(j, 1);
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        pmj_value *larger = pmj_alloc(j, capacity * sizeof *larger);
        if (list->n)
            memcpy(larger, list->items, list->n * sizeof *larger);
        list->items = larger;
        list->capacity = capacity;
    }
    list->items[list->n++] = item;
}

pmj_value pmj_pair_value(pmj *j, pmj_value a, pmj_value b)
{
    pmj_value pair = pmj_list_value(j, PMJ_TUPLE);
    pmj_list_add(j, pair, a);
    pmj_list_add(j, pair, b);
    return pair;
}

pmj_value pmj_dict_value(pmj *j, pmj_type type)
{
    return (pmj_value){.type = type, .as.dict = pmj_alloc(j, sizeof(pmj_dict))};
}

void pmj_dict_add(pmj *j, pmj_value value, pmj_value key, pmj_value item)
{
    pmj_dict *dict = value.as.dict;
    if (dict->n == dict->capacity) {
        size_t capacity = dict->capacity ? dict->capacity * 2 : 4;
        struct pmj_pair *larger = pmj_alloc(j, capacity * sizeof *larger);
        if (dict->n)
            memcpy(larger, dict->pairs, dict->n * sizeof *larger);
        dict->pairs = larger;
        dict->capacity = capacity;
    }
    dict->pairs[dict->n++] = (struct pmj_pair){key, item};
}

const pmj_value *pmj_dict_get(pmj *j, pmj_value value, pmj_value key)
{
    const pmj_dict *dict = value.as.dict;
    pmj_step(j, dict->n / 8);
    if (key.type == PMJ_LIST || key.type == PMJ_DICT)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s cannot be a key", pmj_type_name(key));
    for (size_t i = 0; i < dict->n; i++)
        if (pmj_equal(j, dict->pairs[i].key, key))
            return &dict->pairs[i].value;
    return NULL;
}

const pmj_value *pmj_dict_find(pmj *j, pmj_value value, const char *key)
{
    const pmj_dict *dict = value.as.dict;
    pmj_step(j, dict->n / 8);
    for (size_t i = 0; i < dict->n; i++)
        if (dict->pairs[i].key.type == PMJ_STRING && pmj_string_is(dict->pairs[i].key.as.string, key))
            return &dict->pairs[i].value;
    return NULL;
}

void pmj_dict_set(pmj *j, pmj_value dict, pmj_value key, pmj_value value)
{
    pmj_value *there = (pmj_value *)pmj_dict_get(j, dict, key);
    if (there)
        *there = value;
    else
        pmj_dict_add(j, dict, key, value);
}

pmj_value pmj_function_value(pmj *j, const char *name, pmj_operation operation, pmj_value self)
{
    pmj_function *function = pmj_alloc(j, sizeof *function);
    *function = (pmj_function){name, operation, self};
    return (pmj_value){.type = PMJ_FUNCTION, .as.function = function};
}

const char *pmj_type_name(pmj_value value)
{
    static const char *const names[] = {"nothing",     "an undefined value",
                                        "none",        "a bool",
                                        "an int",      "a float",
                                        "a string",    "a list",
                                        "a tuple",     "a dict's view",
                                        "a generator", "a dict",
                                        "a namespace", "a loop",
                                        "a macro",     "a function"};
    return names[value.type];
}

int pmj_is_number(pmj_value value)
{
    return value.type == PMJ_BOOL || value.type == PMJ_INT || value.type == PMJ_FLOAT;
}

double pmj_as_real(pmj_value value)
{
    return value.type == PMJ_FLOAT ? value.as.real : (double)value.as.integer;
}

int pmj_is_true(pmj *j, pmj_value value)
{
    (void)j;
    switch (value.type) {
    case PMJ_MISSING:
    case PMJ_UNDEFINED:
    case PMJ_NONE:
        return 0;
    case PMJ_BOOL:
    case PMJ_INT:
        return value.as.integer != 0;
    case PMJ_FLOAT:
        return value.as.real != 0;
    case PMJ_STRING:
        return value.as.string->n != 0;
    case PMJ_LIST:
    case PMJ_TUPLE:
    case PMJ_VIEW:
        return value.as.list->n != 0;
    case PMJ_DICT:
        return value.as.dict->n != 0;
    default:
        return 1;
    }
}

static int equal_lists(pmj *j, const pmj_list *a, const pmj_list *b)
{
    if (a->n != b->n)
        return 0;
    for (size_t i = 0; i < a->n; i++)
        if (!pmj_equal(j, a->items[i], b->items[i]))
            return 0;
    return 1;
}

static int equal_dicts(pmj *j, pmj_value a, pmj_value b)
{
    if (a.as.dict->n != b.as.dict->n)
        return 0;
    for (size_t i = 0; i < a.as.dict->n; i++) {
        const pmj_value *there = pmj_dict_get(j, b, a.as.dict->pairs[i].key);
        if (!there || !pmj_equal(j, a.as.dict->pairs[i].value, *there))
            return 0;
    }
    return 1;
}

int pmj_equal(pmj *j, pmj_value a, pmj_value b)
{
    pmj_step(j, 1);
    if (pmj_is_number(a) && pmj_is_number(b))
        return a.type != PMJ_FLOAT && b.type != PMJ_FLOAT ? a.as.integer == b.as.integer
                                                          : pmj_as_real(a) == pmj_as_real(b);
    if (a.type != b.type)
        return 0;
    int result;
    pmj_enter(j);
    switch (a.type) {
    case PMJ_STRING:
        result =
            a.as.string->n == b.as.string->n && !memcmp(a.as.string->bytes, b.as.string->bytes, a.as.string->n);
        break;
    case PMJ_LIST:
    case PMJ_TUPLE:
        result = equal_lists(j, a.as.list, b.as.list);
        break;
    case PMJ_DICT:
        result = equal_dicts(j, a, b);
        break;
    case PMJ_UNDEFINED:
    case PMJ_NONE:
        result = 1;
        break;
    default:
        result = a.as.list == b.as.list; /* the same object */
    }
    pmj_leave(j);
    return result;
}

int pmj_compare(pmj *j, pmj_value a, pmj_value b, const char *what)
{
    pmj_step(j, 1);
    if (pmj_is_number(a) && pmj_is_number(b)) {
        double x = pmj_as_real(a), y = pmj_as_real(b);
        if (a.type != PMJ_FLOAT && b.type != PMJ_FLOAT)
            return (a.as.integer > b.as.integer) - (a.as.integer < b.as.integer);
        return (x > y) - (x < y);
    }
    if (a.type == PMJ_STRING && b.type == PMJ_STRING) {
        const pmj_string *x = a.as.string, *y = b.as.string;
        size_t n = x->n < y->n ? x->n : y->n;
        int order = n ? memcmp(x->bytes, y->bytes, n) : 0;
        return order ? order : (x->n > y->n) - (x->n < y->n);
    }
    if ((a.type == PMJ_LIST || a.type == PMJ_TUPLE) && a.type == b.type) {
        const pmj_list *x = a.as.list, *y = b.as.list;
        pmj_enter(j);
        for (size_t i = 0; i < x->n && i < y->n; i++)
            if (!pmj_equal(j, x->items[i], y->items[i])) {
                int order = pmj_compare(j, x->items[i], y->items[i], what);
                pmj_leave(j);
                return order;
            }
        pmj_leave(j);
        return (x->n > y->n) - (x->n < y->n);
    }
    pmj_fail(j, PM_ERR_ARGUMENT, "%s and %s cannot be %s", pmj_type_name(a), pmj_type_name(b), what);
}

int pmj_contains(pmj *j, pmj_value container, pmj_value item)
{
    switch (container.type) {
    case PMJ_UNDEFINED:
        return 0;
    case PMJ_STRING: {
        const pmj_string *in = container.as.string,
                         *of = pmj_expect_string(j, item, "what is looked for in a string");
        return of->n == 0 || (in->n && memmem(in->bytes, in->n, of->bytes, of->n) != NULL);
    }
    case PMJ_DICT:
        return pmj_dict_get(j, container, item) != NULL;
    default: {
        const pmj_list *list = pmj_iterate(j, container);
        for (size_t i = 0; i < list->n; i++)
            if (pmj_equal(j, list->items[i], item))
                return 1;
        return 0;
    }
    }
}

int pmj_is_iterable(pmj_value value)
{
    return value.type == PMJ_UNDEFINED || (value.type >= PMJ_STRING && value.type <= PMJ_DICT);
}

static size_t character_size(const pmj_string *s, size_t at)
{
    size_t n = pm_utf8_sequence(s->bytes + at, s->n - at);
    return n ? n : 1;
}

const pmj_list *pmj_iterate(pmj *j, pmj_value value)
{
    pmj_value list;
    switch (value.type) {
    case PMJ_UNDEFINED:
        return pmj_list_value(j, PMJ_LIST).as.list;
    case PMJ_LIST:
    case PMJ_TUPLE:
    case PMJ_VIEW:
        return value.as.list;
    case PMJ_GENERATOR:
        list = pmj_list_value(j, PMJ_LIST);
        *list.as.list = *value.as.list;
        value.as.list->n = 0;
        return list.as.list;
    case PMJ_STRING:
        list = pmj_list_value(j, PMJ_LIST);
        for (size_t i = 0, n; i < value.as.string->n; i += n) {
            n = character_size(value.as.string, i);
            pmj_list_add(j, list, pmj_substring(j, value.as.string, i, i + n));
        }
        return list.as.list;
    case PMJ_DICT:
        list = pmj_list_value(j, PMJ_LIST);
        for (size_t i = 0; i < value.as.dict->n; i++)
            pmj_list_add(j, list, value.as.dict->pairs[i].key);
        return list.as.list;
    default:
        pmj_fail(j, PM_ERR_ARGUMENT, "%s has no elements to go through", pmj_type_name(value));
    }
}

size_t pmj_length(pmj *j, pmj_value value)
{
    switch (value.type) {
    case PMJ_UNDEFINED:
        return 0;
    case PMJ_STRING:
        return pmj_n_characters(value.as.string);
    case PMJ_LIST:
    case PMJ_TUPLE:
    case PMJ_VIEW:
        return value.as.list->n;
    case PMJ_DICT:
        return value.as.dict->n;
    default:
        pmj_fail(j, PM_ERR_ARGUMENT, "%s has no length", pmj_type_name(value));
    }
}

const pmj_string *pmj_to_string(pmj *j, pmj_value value)
{
    pmj_text text = {0};
    if (value.type == PMJ_STRING)
        return value.as.string;
    pmj_text_add_value(j, &text, value);
    return pmj_text_value(j, &text).as.string;
}

int pmj_has_content(pmj_value value)
{
    if (value.type != PMJ_STRING)
        return value.content;
    return value.as.string->marks && memchr(value.as.string->marks, 1, value.as.string->n) != NULL;
}

int pmj_string_is(const pmj_string *string, const char *literal)
{
    return string->n == strlen(literal) && memcmp(string->bytes, literal, string->n) == 0;
}

size_t pmj_n_characters(const pmj_string *string)
{
    size_t n = 0;
    for (size_t i = 0; i < string->n; i += character_size(string, i))
        n++;
    return n;
}

size_t pmj_character_offset(const pmj_string *string, size_t character)
{
    size_t at = 0;
    while (character-- && at < string->n)
        at += character_size(string, at);
    return at;
}

int64_t pmj_expect_int(pmj *j, pmj_value value, const char *what)
{
    if (value.type != PMJ_INT && value.type != PMJ_BOOL)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s is %s and should be an int", what, pmj_type_name(value));
    return value.as.integer;
}

const pmj_string *pmj_expect_string(pmj *j, pmj_value value, const char *what)
{
    if (value.type != PMJ_STRING)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s is %s and should be a string", what, pmj_type_name(value));
    return value.as.string;
}

/* ---- Attributes, items, slices ---- */

pmj_value pmj_attribute(pmj *j, pmj_value value, const char *name)
{
    const pmj_value *found = NULL;
    if (value.type == PMJ_UNDEFINED)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s is undefined and has no \"%.64s\"",
                 value.as.name ? value.as.name : "a value", name);
    if (value.type == PMJ_LOOP)
        return pmj_loop_attribute(j, value, name);
    pmj_value method = pmj_find_method(j, value, name);
    if (method.type != PMJ_MISSING)
        return method;
    if (value.type == PMJ_DICT || value.type == PMJ_NAMESPACE)
        found = pmj_dict_find(j, value, name);
    return found ? *found : pmj_undefined(name);
}

pmj_value pmj_item(pmj *j, pmj_value value, pmj_value key)
{
    int64_t index, n;
    if (value.type == PMJ_UNDEFINED)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s is undefined and has no elements",
                 value.as.name ? value.as.name : "a value");
    if (value.type == PMJ_DICT || value.type == PMJ_NAMESPACE) {
        const pmj_value *found = pmj_dict_get(j, value, key);
        if (found)
            return *found;
    }
    if (key.type == PMJ_STRING) {
        const char *name = pmj_name(j, key.as.string->bytes, key.as.string->n);
        return strlen(name) == key.as.string->n ? pmj_attribute(j, value, name) : pmj_undefined(NULL);
    }
    if ((key.type != PMJ_INT && key.type != PMJ_BOOL) ||
        (value.type != PMJ_STRING && value.type != PMJ_LIST && value.type != PMJ_TUPLE))
        return pmj_undefined(NULL);
    n = (int64_t)pmj_length(j, value);
    index = key.as.integer < 0 ? key.as.integer + n : key.as.integer;
    if (index < 0 || index >= n)
        return pmj_undefined("an element beyond the end");
    if (value.type != PMJ_STRING)
        return value.as.list->items[index];
    pmj_step(j, (size_t)n / 8);
    size_t at = pmj_character_offset(value.as.string, (size_t)index);
    return pmj_substring(j, value.as.string, at, at + character_size(value.as.string, at));
}

static int64_t slice_end(pmj *j, pmj_value value, int64_t n, int64_t least, int64_t most, int64_t otherwise)
{
    if (value.type == PMJ_MISSING || value.type == PMJ_NONE)
        return otherwise;
    int64_t at = pmj_expect_int(j, value, "a slice's end");
    at = at < 0 ? at + n : at;
    return at < least ? least : at > most ? most : at;
}

/* A string that a number of the conversation cut or repeated. */
static pmj_value steered(pmj *j, pmj_value value, int by_content)
{
    if (!by_content || value.type != PMJ_STRING)
        return value;
    return pmj_string_value(j, value.as.string->bytes, value.as.string->n, 1);
}

static pmj_value cut_out(pmj *j, pmj_value value, pmj_value begin, pmj_value end, pmj_value step)
{
    if (value.type == PMJ_UNDEFINED)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s is undefined and cannot be cut",
                 value.as.name ? value.as.name : "a value");
    if (value.type != PMJ_STRING && value.type != PMJ_LIST && value.type != PMJ_TUPLE)
        return pmj_undefined(NULL);
    int64_t by = step.type == PMJ_MISSING || step.type == PMJ_NONE ? 1 : pmj_expect_int(j, step, "a slice's step");
    int64_t n = (int64_t)pmj_length(j, value), least = by < 0 ? -1 : 0, most = by < 0 ? n - 1 : n;
    if (by == 0)
        pmj_fail(j, PM_ERR_ARGUMENT, "a slice's step is 0");
    int64_t from = slice_end(j, begin, n, least, most, by < 0 ? n - 1 : 0);
    int64_t to = slice_end(j, end, n, least, most, by < 0 ? -1 : n);
    if (value.type == PMJ_STRING && by == 1) {
        pmj_step(j, (size_t)n / 8);
        size_t at = pmj_character_offset(value.as.string, (size_t)from);
        size_t stop = to > from ? pmj_character_offset(value.as.string, (size_t)to) : at;
        return pmj_substring(j, value.as.string, at, stop);
    }
    const pmj_list *items = pmj_iterate(j, value);
    pmj_value result = pmj_list_value(j, value.type == PMJ_TUPLE ? PMJ_TUPLE : PMJ_LIST);
    while (by > 0 ? from < to : from > to) {
        pmj_list_add(j, result, items->items[from]);
        if (by > n || by < -n)
            break;
        from += by;
    }
    if (value.type != PMJ_STRING)
        return result;
    pmj_text text = {0};
    for (size_t i = 0; i < result.as.list->n; i++)
        pmj_text_add_string(j, &text, result.as.list->items[i].as.string);
    return pmj_text_value(j, &text);
}

pmj_value pmj_slice(pmj *j, pmj_value value, pmj_value begin, pmj_value end, pmj_value step)
{
    return steered(j, cut_out(j, value, begin, end, step), begin.content || end.content || step.content);
}

/* ---- Arithmetic ---- */

static pmj_value repeat(pmj *j, pmj_value value, int64_t times)
{
    pmj_text text = {0};
    pmj_value list;
    if (value.type == PMJ_STRING) {
        for (; times > 0 && value.as.string->n; times--) {
            pmj_step(j, 1);
            pmj_text_add_string(j, &text, value.as.string);
        }
        return pmj_text_value(j, &text);
    }
    list = pmj_list_value(j, value.type);
    for (; times > 0 && value.as.list->n; times--)
        for (size_t i = 0; i < value.as.list->n; i++)
            pmj_list_add(j, list, value.as.list->items[i]);
    return list;
}

static int64_t power(int64_t base, int64_t exponent, int *overflow)
{
    int64_t result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            *overflow |= __builtin_mul_overflow(result, base, &result);
        if (exponent > 1)
            *overflow |= __builtin_mul_overflow(base, base, &base);
    }
    return result;
}

static pmj_value integers(pmj *j, pmj_op op, int64_t a, int64_t b)
{
    int64_t result = 0;
    int overflow = 0;
    if (b == 0 && (op == PMJ_OP_DIV || op == PMJ_OP_FLOORDIV || op == PMJ_OP_MOD))
        pmj_fail(j, PM_ERR_ARGUMENT, "division by zero");
    if (op == PMJ_OP_DIV || (op == PMJ_OP_POW && b < 0))
        return pmj_real(op == PMJ_OP_DIV ? (double)a / (double)b : pow((double)a, (double)b));
    switch (op) {
    case PMJ_OP_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case PMJ_OP_SUB:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case PMJ_OP_MUL:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    case PMJ_OP_POW:
        result = power(a, b, &overflow);
        break;
    default: /* rounded down, as Python does it */
        overflow = b == -1 && a == INT64_MIN;
        if (!overflow) {
            int64_t rest = a % b, down = rest && (rest < 0) != (b < 0);
            result = op == PMJ_OP_MOD ? rest + (down ? b : 0) : a / b - down;
        }
    }
    if (overflow)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "a number is beyond 64 bits");
    return pmj_int(result);
}

static pmj_value reals(pmj *j, pmj_op op, double a, double b)
{
    double rest;
    if (b == 0 && (op == PMJ_OP_DIV || op == PMJ_OP_FLOORDIV || op == PMJ_OP_MOD))
        pmj_fail(j, PM_ERR_ARGUMENT, "division by zero");
    switch (op) {
    case PMJ_OP_ADD:
        return pmj_real(a + b);
    case PMJ_OP_SUB:
        return pmj_real(a - b);
    case PMJ_OP_MUL:
        return pmj_real(a * b);
    case PMJ_OP_DIV:
        return pmj_real(a / b);
    case PMJ_OP_FLOORDIV:
        return pmj_real(floor(a / b));
    case PMJ_OP_POW:
        return pmj_real(pow(a, b));
    default:
        rest = fmod(a, b);
        return pmj_real(rest && (rest < 0) != (b < 0) ? rest + b : rest);
    }
}

pmj_value pmj_binary(pmj *j, pmj_op op, pmj_value a, pmj_value b)
{
    if (pmj_is_number(a) && pmj_is_number(b)) {
        pmj_value result = a.type == PMJ_FLOAT || b.type == PMJ_FLOAT
                               ? reals(j, op, pmj_as_real(a), pmj_as_real(b))
                               : integers(j, op, a.as.integer, b.as.integer);
        result.content = a.content || b.content;
        return result;
    }
    if (op == PMJ_OP_ADD && a.type == PMJ_STRING && b.type == PMJ_STRING) {
        pmj_text text = {0};
        pmj_text_reserve(j, &text, (a.as.string->n + b.as.string->n) / 2 + 1);
        pmj_text_add_string(j, &text, a.as.string);
        pmj_text_add_string(j, &text, b.as.string);
        return pmj_text_value(j, &text);
    }
    if (op == PMJ_OP_ADD && (a.type == PMJ_LIST || a.type == PMJ_TUPLE) && a.type == b.type) {
        pmj_value list = repeat(j, a, 1);
        for (size_t i = 0; i < b.as.list->n; i++)
            pmj_list_add(j, list, b.as.list->items[i]);
        return list;
    }
    if (op == PMJ_OP_MUL && (a.type == PMJ_INT || a.type == PMJ_BOOL)) {
        pmj_value swap = a;
        a = b;
        b = swap;
    }
    if (op == PMJ_OP_MUL && (b.type == PMJ_INT || b.type == PMJ_BOOL) &&
        (a.type == PMJ_STRING || a.type == PMJ_LIST || a.type == PMJ_TUPLE))
        return steered(j, repeat(j, a, b.as.integer), b.content);
    if (op == PMJ_OP_MOD && a.type == PMJ_STRING)
        return pmj_format_percent(j, a.as.string, b);
    static const char *const signs[] = {"?", "+", "-", "*", "/", "//", "%", "**"};
    const char *undefined = a.type == PMJ_UNDEFINED ? a.as.name : b.type == PMJ_UNDEFINED ? b.as.name : NULL;
    if (undefined)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s is undefined", undefined);
    pmj_fail(j, PM_ERR_ARGUMENT, "there is no %s of %s and %s", signs[op], pmj_type_name(a), pmj_type_name(b));
}
