/* Tests: what stands after `is`, and what select and reject go by. */
#include <string.h>

#include "runtime/jinja.h"

#define TEST(name) static pmj_value name(pmj *j, pmj_value self, const pmj_args *args)

/* Tests without arguments that look at the type only. */
#define TYPE_TEST(name, condition)                                                                                \
    TEST(name)                                                                                                    \
    {                                                                                                             \
        pmj_bind(j, args, "the test", "", NULL);                                                                  \
        return pmj_bool(condition);                                                                               \
    }

TYPE_TEST(is_defined, self.type != PMJ_UNDEFINED)
TYPE_TEST(is_undefined, self.type == PMJ_UNDEFINED)
TYPE_TEST(is_none, self.type == PMJ_NONE)
TYPE_TEST(is_boolean, self.type == PMJ_BOOL)
TYPE_TEST(is_true, self.type == PMJ_BOOL && self.as.integer)
TYPE_TEST(is_false, self.type == PMJ_BOOL && !self.as.integer)
TYPE_TEST(is_integer, self.type == PMJ_INT)
TYPE_TEST(is_float, self.type == PMJ_FLOAT)
TYPE_TEST(is_number, pmj_is_number(self))
TYPE_TEST(is_string, self.type == PMJ_STRING)
TYPE_TEST(is_mapping, self.type == PMJ_DICT)
TYPE_TEST(is_iterable, pmj_is_iterable(self))
TYPE_TEST(is_sequence, self.type == PMJ_UNDEFINED || self.type == PMJ_STRING || self.type == PMJ_LIST ||
                           self.type == PMJ_TUPLE || self.type == PMJ_DICT)
TYPE_TEST(is_callable, self.type == PMJ_FUNCTION || self.type == PMJ_MACRO || self.type == PMJ_LOOP ||
                           self.type == PMJ_UNDEFINED)

static pmj_value other(pmj *j, const pmj_args *args)
{
    pmj_value value;
    pmj_bind(j, args, "the test", "other", &value);
    if (value.type == PMJ_MISSING)
        pmj_fail(j, PM_ERR_ARGUMENT, "the test wants a value to compare with");
    return value;
}

TEST(is_eq)
{
    return pmj_bool(pmj_equal(j, self, other(j, args)));
}

TEST(is_ne)
{
    return pmj_bool(!pmj_equal(j, self, other(j, args)));
}

TEST(is_lt)
{
    return pmj_bool(pmj_compare(j, self, other(j, args), "compared") < 0);
}

TEST(is_le)
{
    return pmj_bool(pmj_compare(j, self, other(j, args), "compared") <= 0);
}

TEST(is_gt)
{
    return pmj_bool(pmj_compare(j, self, other(j, args), "compared") > 0);
}

TEST(is_ge)
{
    return pmj_bool(pmj_compare(j, self, other(j, args), "compared") >= 0);
}

TEST(is_in)
{
    return pmj_bool(pmj_contains(j, other(j, args), self));
}

TEST(is_sameas)
{
    pmj_value value = other(j, args);
    return pmj_bool(self.type == value.type && pmj_equal(j, self, value));
}

static int64_t rest(pmj *j, pmj_value self, int64_t by)
{
    return pmj_expect_int(j, pmj_binary(j, PMJ_OP_MOD, self, pmj_int(by)), "the number");
}

TEST(is_odd)
{
    pmj_bind(j, args, "odd", "", NULL);
    return pmj_bool(rest(j, self, 2) == 1);
}

TEST(is_even)
{
    pmj_bind(j, args, "even", "", NULL);
    return pmj_bool(rest(j, self, 2) == 0);
}

TEST(is_divisible)
{
    return pmj_bool(rest(j, self, pmj_expect_int(j, other(j, args), "the divisor")) == 0);
}

static pmj_value case_test(pmj *j, pmj_value self, const pmj_args *args, const char *method)
{
    pmj_value text = pmj_literal(j, "");
    text.as.string = pmj_to_string(j, self);
    return pmj_call(j, pmj_find_method(j, text, method), args);
}

TEST(is_upper)
{
    return case_test(j, self, args, "isupper");
}

TEST(is_lower)
{
    return case_test(j, self, args, "islower");
}

static pmj_value is_named(pmj *j, pmj_value self, const pmj_args *args, pmj_operation (*find)(const char *))
{
    pmj_bind(j, args, "the test", "", NULL);
    const pmj_string *s = pmj_expect_string(j, self, "the name");
    return pmj_bool(find(pmj_name(j, s->bytes, s->n)) != NULL);
}

TEST(is_filter)
{
    return is_named(j, self, args, pmj_find_filter);
}

TEST(is_test)
{
    return is_named(j, self, args, pmj_find_test);
}

pmj_operation pmj_find_test(const char *name)
{
    static const struct {
        const char *name;
        pmj_operation operation;
    } tests[] = {
        {"defined", is_defined},
        {"undefined", is_undefined},
        {"none", is_none},
        {"boolean", is_boolean},
        {"true", is_true},
        {"false", is_false},
        {"integer", is_integer},
        {"float", is_float},
        {"number", is_number},
        {"string", is_string},
        {"mapping", is_mapping},
        {"iterable", is_iterable},
        {"sequence", is_sequence},
        {"callable", is_callable},
        {"eq", is_eq},
        {"equalto", is_eq},
        {"ne", is_ne},
        {"lt", is_lt},
        {"lessthan", is_lt},
        {"le", is_le},
        {"gt", is_gt},
        {"greaterthan", is_gt},
        {"ge", is_ge},
        {"in", is_in},
        {"sameas", is_sameas},
        {"odd", is_odd},
        {"even", is_even},
        {"divisibleby", is_divisible},
        {"==", is_eq},
        {"!=", is_ne},
        {"<", is_lt},
        {"<=", is_le},
        {">", is_gt},
        {">=", is_ge},
        {"upper", is_upper},
        {"lower", is_lower},
        {"filter", is_filter},
        {"test", is_test},
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (!strcmp(tests[i].name, name))
            return tests[i].operation;
    return NULL;
}
