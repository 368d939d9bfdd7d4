/* Methods of strings, lists and dicts. Those that change a list or a dict are refused, as in the sandbox that
 * templates are run in elsewhere. */
#include <string.h>

#include <unicode/uchar.h>

#include "base/utf8.h"
#include "runtime/jinja.h"

#define METHOD(name) static pmj_value name(pmj *j, pmj_value self, const pmj_args *args)

static const pmj_string *string_or_null(pmj *j, pmj_value value, const char *what)
{
    return value.type == PMJ_MISSING || value.type == PMJ_NONE ? NULL : pmj_expect_string(j, value, what);
}

static pmj_value strip(pmj *j, pmj_value self, const pmj_args *args, int left, int right)
{
    pmj_value set;
    pmj_bind(j, args, "strip", "chars", &set);
    return pmj_strip(j, self.as.string, string_or_null(j, set, "what to strip"), left, right);
}

METHOD(do_strip)
{
    return strip(j, self, args, 1, 1);
}

METHOD(do_lstrip)
{
    return strip(j, self, args, 1, 0);
}

METHOD(do_rstrip)
{
    return strip(j, self, args, 0, 1);
}

/* Without a separator: at white space, which goes; a right split's last parts are found from the end. */
static void split_at_space(pmj *j, const pmj_string *s, int64_t most, pmj_value list)
{
    pmj_value rest = pmj_strip(j, s, NULL, 1, 0);
    while (rest.as.string->n) {
        const pmj_string *r = rest.as.string;
        size_t end = 0;
        if (most-- == 0) {
            pmj_list_add(j, list, pmj_strip(j, r, NULL, 0, 1));
            return;
        }
        while (end < r->n) {
            size_t n = pm_utf8_sequence(r->bytes + end, r->n - end);
            pmj_value one = pmj_substring(j, r, end, end + (n ? n : 1));
            if (!pmj_strip(j, one.as.string, NULL, 1, 0).as.string->n)
                break;
            end += n ? n : 1;
        }
        pmj_list_add(j, list, pmj_substring(j, r, 0, end));
        rest = pmj_strip(j, pmj_substring(j, r, end, r->n).as.string, NULL, 1, 0);
    }
}

static void mark_parts(pmj *j, pmj_value list)
{
    for (size_t i = 0; i < list.as.list->n; i++) {
        const pmj_string *s = list.as.list->items[i].as.string;
        list.as.list->items[i] = pmj_string_value(j, s->bytes, s->n, 1);
    }
}

/* The last place of `what` in the first n bytes; n where there is none. */
static size_t find_last(const pmj_string *s, size_t n, const pmj_string *what)
{
    for (size_t at = n >= what->n ? n - what->n + 1 : 0; at-- > 0;)
        if (!memcmp(s->bytes + at, what->bytes, what->n))
            return at;
    return n;
}

METHOD(do_split)
{
    pmj_value bound[2], list = pmj_list_value(j, PMJ_LIST);
    const pmj_string *s = self.as.string;
    pmj_bind(j, args, "split", "sep,maxsplit", bound);
    const pmj_string *by = string_or_null(j, bound[0], "split's separator");
    int64_t most = bound[1].type == PMJ_MISSING ? -1 : pmj_expect_int(j, bound[1], "split's count");
    if (!by) {
        split_at_space(j, s, most, list);
        return list;
    }
    if (!by->n)
        pmj_fail(j, PM_ERR_ARGUMENT, "split's separator is empty");
    size_t at = 0;
    for (; most != 0; most--) {
        const char *found = s->n > at ? memmem(s->bytes + at, s->n - at, by->bytes, by->n) : NULL;
        if (!found)
            break;
        pmj_list_add(j, list, pmj_substring(j, s, at, (size_t)(found - s->bytes)));
        at = (size_t)(found - s->bytes) + by->n;
    }
    pmj_list_add(j, list, pmj_substring(j, s, at, s->n));
    if (by->marks)
        mark_parts(j, list);
    return list;
}

METHOD(do_rsplit)
{
    pmj_value bound[2], reversed = pmj_list_value(j, PMJ_LIST), list = pmj_list_value(j, PMJ_LIST);
    const pmj_string *s = self.as.string;
    pmj_bind(j, args, "rsplit", "sep,maxsplit", bound);
    int64_t most = bound[1].type == PMJ_MISSING ? -1 : pmj_expect_int(j, bound[1], "rsplit's count");
    const pmj_string *by = string_or_null(j, bound[0], "rsplit's separator");
    if (!by && most < 0)
        return do_split(j, self, &(pmj_args){0});
    if (!by || !by->n)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "rsplit is supported with a separator only");
    size_t end = s->n;
    for (; most != 0; most--) {
        size_t at = find_last(s, end, by);
        if (at == end)
            break;
        pmj_list_add(j, reversed, pmj_substring(j, s, at + by->n, end));
        end = at;
    }
    pmj_list_add(j, reversed, pmj_substring(j, s, 0, end));
    for (size_t i = reversed.as.list->n; i-- > 0;)
        pmj_list_add(j, list, reversed.as.list->items[i]);
    if (by->marks)
        mark_parts(j, list);
    return list;
}

METHOD(do_splitlines)
{
    pmj_value keep, list = pmj_list_value(j, PMJ_LIST);
    const pmj_string *s = self.as.string;
    pmj_bind(j, args, "splitlines", "keepends", &keep);
    int with_ends = keep.type != PMJ_MISSING && pmj_is_true(j, keep);
    for (size_t at = 0; at < s->n;) {
        size_t end = at;
        while (end < s->n && s->bytes[end] != '\n' && s->bytes[end] != '\r')
            end++;
        size_t next = end + (end < s->n) + (end + 1 < s->n && s->bytes[end] == '\r' && s->bytes[end + 1] == '\n');
        pmj_list_add(j, list, pmj_substring(j, s, at, with_ends ? next : end));
        at = next;
    }
    return list;
}

static int ends_with(const pmj_string *s, const pmj_string *part, int at_start)
{
    return part->n <= s->n && !memcmp(at_start ? s->bytes : s->bytes + s->n - part->n, part->bytes, part->n);
}

static pmj_value affix(pmj *j, pmj_value self, const pmj_args *args, int at_start)
{
    pmj_value part;
    pmj_bind(j, args, at_start ? "startswith" : "endswith", "part", &part);
    if (part.type != PMJ_TUPLE)
        return pmj_bool(ends_with(self.as.string, pmj_expect_string(j, part, "the part"), at_start));
    for (size_t i = 0; i < part.as.list->n; i++)
        if (ends_with(self.as.string, pmj_expect_string(j, part.as.list->items[i], "the part"), at_start))
            return pmj_bool(1);
    return pmj_bool(0);
}

METHOD(do_startswith)
{
    return affix(j, self, args, 1);
}

METHOD(do_endswith)
{
    return affix(j, self, args, 0);
}

static pmj_value remove_affix(pmj *j, pmj_value self, const pmj_args *args, int at_start)
{
    pmj_value part;
    const pmj_string *s = self.as.string;
    pmj_bind(j, args, "removeprefix", "part", &part);
    const pmj_string *gone = pmj_expect_string(j, part, "the part");
    if (!ends_with(s, gone, at_start))
        return self;
    pmj_value rest = pmj_substring(j, s, at_start ? gone->n : 0, at_start ? s->n : s->n - gone->n);
    return gone->marks ? pmj_string_value(j, rest.as.string->bytes, rest.as.string->n, 1) : rest;
}

METHOD(do_removeprefix)
{
    return remove_affix(j, self, args, 1);
}

METHOD(do_removesuffix)
{
    return remove_affix(j, self, args, 0);
}

METHOD(do_replace)
{
    pmj_value bound[3];
    pmj_bind(j, args, "replace", "old,new,count", bound);
    int64_t most = bound[2].type == PMJ_MISSING ? -1 : pmj_expect_int(j, bound[2], "replace's count");
    return pmj_replace(j, self.as.string, pmj_expect_string(j, bound[0], "what to replace"),
                       pmj_expect_string(j, bound[1], "the replacement"), most);
}

static pmj_value change_case(pmj *j, pmj_value self, const pmj_args *args, char what)
{
    pmj_bind(j, args, "a change of case", "", NULL);
    return pmj_change_case(j, self.as.string, what);
}

METHOD(do_upper)
{
    return change_case(j, self, args, 'u');
}

METHOD(do_lower)
{
    return change_case(j, self, args, 'l');
}

METHOD(do_title)
{
    return change_case(j, self, args, 't');
}

METHOD(do_capitalize)
{
    return change_case(j, self, args, 'c');
}

METHOD(do_swapcase)
{
    return change_case(j, self, args, 's');
}

METHOD(do_join)
{
    pmj_value over;
    pmj_text text = {0};
    pmj_bind(j, args, "join", "iterable", &over);
    const pmj_list *items = pmj_iterate(j, over);
    for (size_t i = 0; i < items->n; i++) {
        if (i)
            pmj_text_add_string(j, &text, self.as.string);
        pmj_text_add_string(j, &text, pmj_expect_string(j, items->items[i], "what join() puts together"));
    }
    return pmj_text_value(j, &text);
}

/* In characters; -1 where it is not found. */
static int64_t find(pmj *j, pmj_value self, const pmj_args *args, int last)
{
    pmj_value what;
    const pmj_string *s = self.as.string;
    pmj_bind(j, args, "find", "sub", &what);
    const pmj_string *part = pmj_expect_string(j, what, "what to find");
    size_t at = last ? find_last(s, s->n, part) : s->n;
    const char *found = last           ? (at < s->n || !part->n ? s->bytes + at : NULL)
                        : part->n == 0 ? s->bytes
                        : s->n         ? memmem(s->bytes, s->n, part->bytes, part->n)
                                       : NULL;
    if (!found)
        return -1;
    return (int64_t)pmj_n_characters(pmj_substring(j, s, 0, (size_t)(found - s->bytes)).as.string);
}

METHOD(do_find)
{
    return pmj_int(find(j, self, args, 0));
}

METHOD(do_rfind)
{
    return pmj_int(find(j, self, args, 1));
}

METHOD(do_index)
{
    int64_t at = find(j, self, args, 0);
    if (at < 0)
        pmj_fail(j, PM_ERR_ARGUMENT, "the string is not found");
    return pmj_int(at);
}

METHOD(do_count)
{
    pmj_value what;
    int64_t n = 0;
    pmj_bind(j, args, "count", "sub", &what);
    if (self.type != PMJ_STRING) {
        for (size_t i = 0; i < self.as.list->n; i++)
            n += pmj_equal(j, self.as.list->items[i], what);
        return pmj_int(n);
    }
    const pmj_string *s = self.as.string, *part = pmj_expect_string(j, what, "what to count");
    if (!part->n)
        return pmj_int((int64_t)pmj_n_characters(s) + 1);
    for (size_t at = 0; at < s->n; n++) {
        const char *found = memmem(s->bytes + at, s->n - at, part->bytes, part->n);
        if (!found)
            break;
        at = (size_t)(found - s->bytes) + part->n;
    }
    return pmj_int(n);
}

METHOD(do_partition)
{
    pmj_value by, tuple = pmj_list_value(j, PMJ_TUPLE);
    const pmj_string *s = self.as.string;
    pmj_bind(j, args, "partition", "sep", &by);
    const pmj_string *part = pmj_expect_string(j, by, "the separator");
    if (!part->n)
        pmj_fail(j, PM_ERR_ARGUMENT, "the separator is empty");
    const char *found = s->n ? memmem(s->bytes, s->n, part->bytes, part->n) : NULL;
    size_t at = found ? (size_t)(found - s->bytes) : s->n, end = found ? at + part->n : s->n;
    pmj_list_add(j, tuple, pmj_substring(j, s, 0, at));
    pmj_list_add(j, tuple, pmj_substring(j, s, at, end));
    pmj_list_add(j, tuple, pmj_substring(j, s, end, s->n));
    if (part->marks)
        mark_parts(j, tuple);
    return tuple;
}

/* Are there characters, and all of them of one kind? */
static pmj_value all_are(pmj *j, pmj_value self, const pmj_args *args, int (*is)(const pmj_string *one, UChar32 c))
{
    const pmj_list *characters = pmj_iterate(j, self);
    pmj_bind(j, args, "a test of characters", "", NULL);
    for (size_t i = 0; i < characters->n; i++) {
        const pmj_string *one = characters->items[i].as.string;
        int32_t at = 0;
        UChar32 c;
        U8_NEXT((const uint8_t *)one->bytes, at, (int32_t)one->n, c);
        if (c < 0 || !is(one, c))
            return pmj_bool(0);
    }
    return pmj_bool(characters->n != 0);
}

static int is_digit(const pmj_string *one, UChar32 c)
{
    (void)one;
    int32_t type = u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE);
    return type == U_NT_DECIMAL || type == U_NT_DIGIT;
}

static int is_alpha(const pmj_string *one, UChar32 c)
{
    (void)one;
    return (U_GET_GC_MASK(c) & U_GC_L_MASK) != 0;
}

static int is_alnum(const pmj_string *one, UChar32 c)
{
    return is_alpha(one, c) || u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE) != U_NT_NONE;
}

static int is_space(const pmj_string *one, UChar32 c)
{
    (void)one;
    return (c >= 0x1C && c <= 0x1F) || u_isUWhiteSpace(c);
}

METHOD(do_isdigit)
{
    return all_are(j, self, args, is_digit);
}

METHOD(do_isalpha)
{
    return all_are(j, self, args, is_alpha);
}

METHOD(do_isalnum)
{
    return all_are(j, self, args, is_alnum);
}

METHOD(do_isspace)
{
    return all_are(j, self, args, is_space);
}

static pmj_value case_of(pmj *j, pmj_value self, const pmj_args *args, char what)
{
    pmj_bind(j, args, "a test of case", "", NULL);
    pmj_value other = pmj_change_case(j, self.as.string, what == 'u' ? 'l' : 'u');
    return pmj_bool(pmj_equal(j, self, pmj_change_case(j, self.as.string, what)) && !pmj_equal(j, self, other));
}

METHOD(do_isupper)
{
    return case_of(j, self, args, 'u');
}

METHOD(do_islower)
{
    return case_of(j, self, args, 'l');
}

/* ---- Dicts ---- */

METHOD(do_get)
{
    pmj_value bound[2];
    pmj_bind(j, args, "get", "key,default", bound);
    if (bound[0].type == PMJ_MISSING)
        pmj_fail(j, PM_ERR_ARGUMENT, "get() wants a key");
    const pmj_value *found = pmj_dict_get(j, self, bound[0]);
    return found ? *found : bound[1].type == PMJ_MISSING ? pmj_none() : bound[1];
}

static pmj_value view(pmj *j, pmj_value self, const pmj_args *args, int keys, int values)
{
    pmj_value list = pmj_list_value(j, PMJ_VIEW);
    pmj_bind(j, args, "a dict's view", "", NULL);
    for (size_t i = 0; i < self.as.dict->n; i++) {
        const struct pmj_pair *pair = &self.as.dict->pairs[i];
        pmj_list_add(j, list,
                     keys && values ? pmj_pair_value(j, pair->key, pair->value)
                     : keys         ? pair->key
                                    : pair->value);
    }
    return list;
}

METHOD(do_items)
{
    return view(j, self, args, 1, 1);
}

METHOD(do_keys)
{
    return view(j, self, args, 1, 0);
}

METHOD(do_values)
{
    return view(j, self, args, 0, 1);
}

METHOD(do_copy)
{
    pmj_bind(j, args, "copy", "", NULL);
    return self; /* nothing can change it */
}

METHOD(do_list_index)
{
    pmj_value what;
    pmj_bind(j, args, "index", "value", &what);
    for (size_t i = 0; i < self.as.list->n; i++)
        if (pmj_equal(j, self.as.list->items[i], what))
            return pmj_int((int64_t)i);
    pmj_fail(j, PM_ERR_ARGUMENT, "the value is not in the list");
}

METHOD(refuse)
{
    (void)args;
    pmj_fail(j, PM_ERR_ARGUMENT, "%s cannot be changed by a template", pmj_type_name(self));
}

typedef struct method {
    const char *name;
    pmj_operation operation;
} method;

static const method string_methods[] = {
    {"strip", do_strip},
    {"lstrip", do_lstrip},
    {"rstrip", do_rstrip},
    {"split", do_split},
    {"rsplit", do_rsplit},
    {"splitlines", do_splitlines},
    {"startswith", do_startswith},
    {"endswith", do_endswith},
    {"removeprefix", do_removeprefix},
    {"replace", do_replace},
    {"upper", do_upper},
    {"removesuffix", do_removesuffix},
    {"lower", do_lower},
    {"title", do_title},
    {"capitalize", do_capitalize},
    {"swapcase", do_swapcase},
    {"join", do_join},
    {"find", do_find},
    {"rfind", do_rfind},
    {"index", do_index},
    {"count", do_count},
    {"partition", do_partition},
    {"isdigit", do_isdigit},
    {"isalpha", do_isalpha},
    {"isalnum", do_isalnum},
    {"isspace", do_isspace},
    {"isupper", do_isupper},
    {"islower", do_islower},
    {"format", pmj_format_braces},
    {NULL, NULL},
};
static const method dict_methods[] = {
    {"get", do_get},   {"items", do_items}, {"keys", do_keys},  {"values", do_values},
    {"copy", do_copy}, {"pop", refuse},     {"update", refuse}, {"setdefault", refuse},
    {"clear", refuse}, {"popitem", refuse}, {NULL, NULL},
};
static const method list_methods[] = {
    {"index", do_list_index}, {"count", do_count}, {"copy", do_copy}, {"append", refuse},
    {"extend", refuse},       {"insert", refuse},  {"pop", refuse},   {"remove", refuse},
    {"clear", refuse},        {"reverse", refuse}, {"sort", refuse},  {NULL, NULL},
};

pmj_value pmj_find_method(pmj *j, pmj_value self, const char *name)
{
    const method *row = self.type == PMJ_STRING ? string_methods
                        : self.type == PMJ_DICT ? dict_methods
                        : self.type == PMJ_LIST ? list_methods
                                                : NULL;
    for (; row && row->name; row++)
        if (!strcmp(row->name, name))
            return pmj_function_value(j, name, row->operation, self);
    return (pmj_value){.type = PMJ_MISSING};
}
