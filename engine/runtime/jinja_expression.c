/* Evaluating expressions, and calls: of functions, macros and recursive loops. */
#include <string.h>
#include <time.h>

#include "runtime/jinja.h"

void pmj_bind(pmj *j, const pmj_args *args, const char *what, const char *parameters, pmj_value *out)
{
    size_t i = 0, used = 0;
    for (const char *at = parameters; *at; i++) {
        size_t n = strcspn(at, ",");
        out[i] = i < args->n ? args->values[i] : (pmj_value){.type = PMJ_MISSING};
        for (size_t k = 0; k < args->n_named; k++)
            if (strlen(args->names[k]) == n && !memcmp(args->names[k], at, n) && i >= args->n) {
                out[i] = args->named[k];
                used++;
            }
        at += n + (at[n] == ',');
    }
    if (args->n > i)
        pmj_fail(j, PM_ERR_ARGUMENT, "%s takes %zu arguments, not %zu", what, i, args->n);
    if (used < args->n_named)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "%s does not know the argument \"%.64s\", or has it twice", what,
                 args->names[0]);
}

void pmj_evaluate_arguments(pmj *j, const pmj_node *list, pmj_scope *scope, pmj_args *out)
{
    *out = (pmj_args){0};
    if (!list)
        return;
    pmj_value values = pmj_list_value(j, PMJ_LIST), named = pmj_dict_value(j, PMJ_DICT);
    for (const pmj_node *node = list; node; node = node->next) {
        if (node->kind == PMJ_N_KEYWORD) {
            if (pmj_dict_find(j, named, node->name))
                pmj_fail(j, PM_ERR_FORMAT, "the argument \"%.64s\" is given twice", node->name);
            pmj_dict_add(j, named, pmj_literal(j, node->name), pmj_evaluate(j, node->a, scope));
        } else if (node->kind == PMJ_N_SPREAD) {
            const pmj_list *items = pmj_iterate(j, pmj_evaluate(j, node->a, scope));
            for (size_t i = 0; i < items->n; i++)
                pmj_list_add(j, values, items->items[i]);
        } else if (node->kind == PMJ_N_SPREAD_NAMED) {
            pmj_value more = pmj_evaluate(j, node->a, scope);
            if (more.type != PMJ_DICT)
                pmj_fail(j, PM_ERR_ARGUMENT, "** is for dicts, not for %s", pmj_type_name(more));
            for (size_t i = 0; i < more.as.dict->n; i++) {
                pmj_expect_string(j, more.as.dict->pairs[i].key, "an argument's name");
                pmj_dict_set(j, named, more.as.dict->pairs[i].key, more.as.dict->pairs[i].value);
            }
        } else {
            pmj_list_add(j, values, pmj_evaluate(j, node, scope));
        }
    }
    size_t n = named.as.dict->n;
    const char **names = pmj_alloc(j, (n + 1) * sizeof *names);
    pmj_value *items = pmj_alloc(j, (n + 1) * sizeof *items);
    for (size_t i = 0; i < n; i++) {
        const pmj_string *name = named.as.dict->pairs[i].key.as.string;
        names[i] = pmj_name(j, name->bytes, name->n);
        items[i] = named.as.dict->pairs[i].value;
    }
    *out = (pmj_args){values.as.list->items, values.as.list->n, names, items, n};
}

pmj_value pmj_call(pmj *j, pmj_value callee, const pmj_args *args)
{
    pmj_value result;
    pmj_enter(j);
    switch (callee.type) {
    case PMJ_FUNCTION:
        result = callee.as.function->operation(j, callee.as.function->self, args);
        break;
    case PMJ_MACRO:
        result = pmj_call_macro(j, callee.as.macro, args, (pmj_value){.type = PMJ_MISSING});
        break;
    case PMJ_LOOP:
        result = pmj_call_loop(j, callee.as.loop, args);
        break;
    case PMJ_UNDEFINED:
        pmj_fail(j, PM_ERR_UNSUPPORTED, "%s%.64s%s is undefined and cannot be called", callee.as.name ? "\"" : "",
                 callee.as.name ? callee.as.name : "a value", callee.as.name ? "\"" : "");
    default:
        pmj_fail(j, PM_ERR_ARGUMENT, "%s cannot be called", pmj_type_name(callee));
    }
    pmj_leave(j);
    return result;
}

static pmj_value look_up(pmj *j, const char *name, const pmj_scope *scope)
{
    for (; scope; scope = scope->parent)
        for (const struct pmj_variable *v = scope->variables; v; v = v->next) {
            pmj_step(j, 1);
            if (!strcmp(v->name, name))
                return v->value;
        }
    return pmj_undefined(name);
}

static int holds(pmj *j, pmj_op op, pmj_value a, pmj_value b)
{
    switch (op) {
    case PMJ_OP_EQ:
        return pmj_equal(j, a, b);
    case PMJ_OP_NE:
        return !pmj_equal(j, a, b);
    case PMJ_OP_IN:
        return pmj_contains(j, b, a);
    case PMJ_OP_NOT_IN:
        return !pmj_contains(j, b, a);
    case PMJ_OP_LT:
        return pmj_compare(j, a, b, "compared") < 0;
    case PMJ_OP_LE:
        return pmj_compare(j, a, b, "compared") <= 0;
    case PMJ_OP_GT:
        return pmj_compare(j, a, b, "compared") > 0;
    default:
        return pmj_compare(j, a, b, "compared") >= 0;
    }
}

static pmj_value compare(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    pmj_value left = pmj_evaluate(j, node->a, scope);
    for (const pmj_node *operand = node->list; operand; operand = operand->next) {
        pmj_value right = pmj_evaluate(j, operand->a, scope);
        if (!holds(j, (pmj_op)operand->op, left, right))
            return pmj_bool(0);
        left = right;
    }
    return pmj_bool(1);
}

static pmj_value logic(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    pmj_value value = pmj_none();
    for (const pmj_node *operand = node->list; operand; operand = operand->next) {
        value = pmj_evaluate(j, operand, scope);
        if (pmj_is_true(j, value) == (node->kind == PMJ_N_OR))
            break;
    }
    return value;
}

static pmj_value collect(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    if (node->kind == PMJ_N_DICT) {
        pmj_value dict = pmj_dict_value(j, PMJ_DICT);
        for (const pmj_node *pair = node->list; pair; pair = pair->next) {
            pmj_value key = pmj_evaluate(j, pair->a, scope);
            pmj_dict_set(j, dict, key, pmj_evaluate(j, pair->b, scope));
        }
        return dict;
    }
    pmj_value list = pmj_list_value(j, node->kind == PMJ_N_TUPLE ? PMJ_TUPLE : PMJ_LIST);
    for (const pmj_node *item = node->list; item; item = item->next)
        pmj_list_add(j, list, pmj_evaluate(j, item, scope));
    return list;
}

static pmj_value signed_value(pmj *j, pmj_value value, int negate)
{
    if (!pmj_is_number(value))
        pmj_fail(j, PM_ERR_ARGUMENT, "%s has no sign", pmj_type_name(value));
    if (value.type == PMJ_BOOL)
        value.type = PMJ_INT;
    if (negate && value.type == PMJ_FLOAT)
        value.as.real = -value.as.real;
    return negate && value.type == PMJ_INT ? pmj_binary(j, PMJ_OP_SUB, pmj_int(0), value) : value;
}

static pmj_value operate(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    pmj_args args;
    pmj_value value = pmj_evaluate(j, node->a, scope);
    pmj_evaluate_arguments(j, node->list, scope, &args);
    j->line = node->line;
    if (node->kind == PMJ_N_CALL)
        return pmj_call(j, value, &args);
    /* Found missing only here, as Jinja does it: templates have branches for engines that know more. */
    if (!node->operation)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "there is no %s \"%.64s\"", node->kind == PMJ_N_TEST ? "test" : "filter",
                 node->name);
    value = node->operation(j, value, &args);
    return node->flag ? pmj_bool(!pmj_is_true(j, value)) : value;
}

static pmj_value optional(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    return node ? pmj_evaluate(j, node, scope) : (pmj_value){.type = PMJ_MISSING};
}

static pmj_value evaluate(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    pmj_value a, b;
    switch (node->kind) {
    case PMJ_N_CONST:
        return node->value;
    case PMJ_N_NAME:
        return look_up(j, node->name, scope);
    case PMJ_N_LIST:
    case PMJ_N_TUPLE:
    case PMJ_N_DICT:
        return collect(j, node, scope);
    case PMJ_N_ATTRIBUTE:
        return pmj_attribute(j, pmj_evaluate(j, node->a, scope), node->name);
    case PMJ_N_ITEM:
        a = pmj_evaluate(j, node->a, scope);
        return pmj_item(j, a, pmj_evaluate(j, node->b, scope));
    case PMJ_N_SLICE:
        a = pmj_evaluate(j, node->a, scope);
        b = optional(j, node->b, scope);
        return pmj_slice(j, a, b, optional(j, node->c, scope), optional(j, node->otherwise, scope));
    case PMJ_N_CALL:
    case PMJ_N_FILTER:
    case PMJ_N_TEST:
        return operate(j, node, scope);
    case PMJ_N_NOT:
        return pmj_bool(!pmj_is_true(j, pmj_evaluate(j, node->a, scope)));
    case PMJ_N_AND:
    case PMJ_N_OR:
        return logic(j, node, scope);
    case PMJ_N_COMPARE:
        return compare(j, node, scope);
    case PMJ_N_BINARY:
        a = pmj_evaluate(j, node->a, scope);
        return pmj_binary(j, (pmj_op)node->op, a, pmj_evaluate(j, node->b, scope));
    case PMJ_N_CONCAT: {
        pmj_text text = {0};
        pmj_text_add_value(j, &text, pmj_evaluate(j, node->a, scope));
        pmj_text_add_value(j, &text, pmj_evaluate(j, node->b, scope));
        return pmj_text_value(j, &text);
    }
    case PMJ_N_NEGATE:
    case PMJ_N_POSITIVE:
        return signed_value(j, pmj_evaluate(j, node->a, scope), node->kind == PMJ_N_NEGATE);
    case PMJ_N_CONDITIONAL:
        if (pmj_is_true(j, pmj_evaluate(j, node->b, scope)))
            return pmj_evaluate(j, node->a, scope);
        return node->c ? pmj_evaluate(j, node->c, scope) : pmj_undefined("an inline if without else");
    default:
        pmj_fail(j, PM_ERR_INTERNAL, "a statement stands for an expression");
    }
}

pmj_value pmj_evaluate(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    int line = j->line;
    pmj_enter(j);
    pmj_step(j, 1);
    j->line = node->line;
    pmj_value value = evaluate(j, node, scope);
    j->line = line;
    pmj_leave(j);
    return value;
}

/* ---- Globals ---- */

static pmj_value do_raise(pmj *j, pmj_value self, const pmj_args *args)
{
    pmj_value message;
    (void)self;
    pmj_bind(j, args, "raise_exception", "message", &message);
    const pmj_string *s = pmj_to_string(j, message);
    pmj_fail(j, PM_ERR_ARGUMENT, "the template refuses the conversation: %.*s", (int)(s->n < 160 ? s->n : 160),
             s->bytes);
}

static pmj_value do_strftime(pmj *j, pmj_value self, const pmj_args *args)
{
    pmj_value format;
    char buffer[256];
    struct tm parts;
    (void)self;
    pmj_bind(j, args, "strftime_now", "format", &format);
    const pmj_string *s = pmj_expect_string(j, format, "strftime_now's format");
    time_t now = j->now < 0 ? time(NULL) : (time_t)j->now;
    if (!localtime_r(&now, &parts) || s->n > 64)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "the time cannot be written");
    size_t n = strftime(buffer, sizeof buffer, pmj_name(j, s->bytes, s->n), &parts);
    return pmj_string_value(j, pmj_name(j, buffer, n), n, pmj_has_content(format));
}

static pmj_value make_dict(pmj *j, const pmj_args *args, pmj_type type)
{
    pmj_value dict = pmj_dict_value(j, type);
    if (args->n > 1)
        pmj_fail(j, PM_ERR_ARGUMENT, "dict and namespace take one argument without a name");
    if (args->n && args->values[0].type == PMJ_DICT) {
        const pmj_dict *from = args->values[0].as.dict;
        for (size_t i = 0; i < from->n; i++)
            pmj_dict_add(j, dict, from->pairs[i].key, from->pairs[i].value);
    } else if (args->n) {
        const pmj_list *pairs = pmj_iterate(j, args->values[0]);
        for (size_t i = 0; i < pairs->n; i++) {
            const pmj_list *pair = pmj_iterate(j, pairs->items[i]);
            if (pair->n != 2)
                pmj_fail(j, PM_ERR_ARGUMENT, "a dict is made of pairs, not of %zu values", pair->n);
            pmj_dict_set(j, dict, pair->items[0], pair->items[1]);
        }
    }
    for (size_t i = 0; i < args->n_named; i++)
        pmj_dict_set(j, dict, pmj_literal(j, args->names[i]), args->named[i]);
    return dict;
}

static pmj_value do_dict(pmj *j, pmj_value self, const pmj_args *args)
{
    (void)self;
    return make_dict(j, args, PMJ_DICT);
}

static pmj_value do_namespace(pmj *j, pmj_value self, const pmj_args *args)
{
    (void)self;
    return make_dict(j, args, PMJ_NAMESPACE);
}

static pmj_value do_range(pmj *j, pmj_value self, const pmj_args *args)
{
    pmj_value bounds[3], list = pmj_list_value(j, PMJ_LIST);
    (void)self;
    pmj_bind(j, args, "range", "start,stop,step", bounds);
    int64_t first = pmj_expect_int(j, bounds[0], "range's start"), step = 1, stop = first;
    if (bounds[1].type == PMJ_MISSING)
        first = 0;
    else
        stop = pmj_expect_int(j, bounds[1], "range's end");
    if (bounds[2].type != PMJ_MISSING)
        step = pmj_expect_int(j, bounds[2], "range's step");
    if (step == 0)
        pmj_fail(j, PM_ERR_ARGUMENT, "range's step is 0");
    for (int64_t i = first; step > 0 ? i < stop : i > stop;) {
        if (list.as.list->n == PMJ_MOST_RANGE)
            pmj_fail(j, PM_ERR_LIMIT, "the range has more than %d elements", PMJ_MOST_RANGE);
        pmj_list_add(j, list, pmj_int(i));
        if (__builtin_add_overflow(i, step, &i))
            break;
    }
    return list;
}

/* A joiner gives nothing at first, and what it was made with from then on. self: [separator, used]. */
static pmj_value joiner_call(pmj *j, pmj_value self, const pmj_args *args)
{
    pmj_value *items = self.as.list->items;
    pmj_bind(j, args, "a joiner", "", NULL);
    int used = pmj_is_true(j, items[1]);
    items[1] = pmj_bool(1);
    return used ? items[0] : pmj_literal(j, "");
}

static pmj_value do_joiner(pmj *j, pmj_value self, const pmj_args *args)
{
    pmj_value separator;
    (void)self;
    pmj_bind(j, args, "joiner", "sep", &separator);
    if (separator.type == PMJ_MISSING)
        separator = pmj_literal(j, ", ");
    return pmj_function_value(j, "joiner", joiner_call, pmj_pair_value(j, separator, pmj_bool(0)));
}

/* A cycler is a namespace with its methods; their self: [items, position]. */
static pmj_value cycler_next(pmj *j, pmj_value self, const pmj_args *args)
{
    pmj_value *state = self.as.list->items;
    pmj_bind(j, args, "next", "", NULL);
    const pmj_list *items = state[0].as.list;
    pmj_value item = items->items[state[1].as.integer];
    state[1] = pmj_int((state[1].as.integer + 1) % (int64_t)items->n);
    return item;
}

static pmj_value cycler_reset(pmj *j, pmj_value self, const pmj_args *args)
{
    pmj_bind(j, args, "reset", "", NULL);
    self.as.list->items[1] = pmj_int(0);
    return pmj_none();
}

static pmj_value do_cycler(pmj *j, pmj_value self, const pmj_args *args)
{
    pmj_value items = pmj_list_value(j, PMJ_LIST), cycler = pmj_dict_value(j, PMJ_NAMESPACE);
    (void)self;
    for (size_t i = 0; i < args->n; i++)
        pmj_list_add(j, items, args->values[i]);
    if (!args->n || args->n_named)
        pmj_fail(j, PM_ERR_ARGUMENT, "a cycler takes what it is to go round");
    pmj_value state = pmj_pair_value(j, items, pmj_int(0));
    pmj_dict_add(j, cycler, pmj_literal(j, "next"), pmj_function_value(j, "next", cycler_next, state));
    pmj_dict_add(j, cycler, pmj_literal(j, "reset"), pmj_function_value(j, "reset", cycler_reset, state));
    return cycler;
}

void pmj_add_globals(pmj *j, pmj_scope *scope)
{
    static const struct {
        const char *name;
        pmj_operation operation;
    } functions[] = {
        {"raise_exception", do_raise}, {"strftime_now", do_strftime}, {"dict", do_dict},
        {"namespace", do_namespace},   {"range", do_range},           {"joiner", do_joiner},
        {"cycler", do_cycler},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        pmj_set_variable(j, scope, functions[i].name,
                         pmj_function_value(j, functions[i].name, functions[i].operation, pmj_none()));
}
