/* Running statements: output, branches, loops, assignments, macros. A scope is a list of variables; loops, macros
 * and blocks that capture have scopes of their own, branches have not. */
#include <stdarg.h>
#include <string.h>

#include "runtime/jinja.h"

/* ---- Limits and errors ---- */

/* The line of the source that an error is in, shortened. */
static void quote_line(const pmj *j, char *out, size_t capacity)
{
    const char *at = j->source, *end = j->source + j->n_source;
    for (int line = 1; line < j->line && at; line++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    size_t n = 0;
    for (; at && at < end && (*at == ' ' || *at == '\t');)
        at++;
    for (; at && at < end && *at != '\n' && n + 4 < capacity; at++)
        out[n++] = (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x7F ? *at : '?';
    if (at && at < end && *at != '\n') {
        memcpy(out + n, "...", 3);
        n += 3;
    }
    out[n] = '\0';
}

void pmj_fail(pmj *j, pm_status status, const char *format, ...)
{
    char message[256], line[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    quote_line(j, line, sizeof line);
    if (j->line > 0)
        pm_fail(j->err, status, "chat template, line %d: %s: `%s`", j->line, message, line);
    else
        pm_fail(j->err, status, "chat template: %s", message);
    longjmp(j->out_of_here, (int)status);
}

void *pmj_alloc(pmj *j, size_t size)
{
    if (size > PMJ_MOST_MEMORY || (j->memory += size) > PMJ_MOST_MEMORY)
        pmj_fail(j, PM_ERR_LIMIT, "the template takes more than %d MiB of memory", PMJ_MOST_MEMORY >> 20);
    void *memory = pm_arena_alloc(j->arena, size);
    if (!memory)
        pmj_fail(j, PM_ERR_MEMORY, "no memory for %zu bytes", size);
    return memory;
}

void pmj_step(pmj *j, size_t n)
{
    j->steps += (long)n;
    if (j->steps > PMJ_MOST_STEPS)
        pmj_fail(j, PM_ERR_LIMIT, "the template does not end within %d steps", PMJ_MOST_STEPS);
}

void pmj_enter(pmj *j)
{
    if (++j->depth > PMJ_MOST_DEPTH)
        pmj_fail(j, PM_ERR_LIMIT, "more than %d levels of nesting", PMJ_MOST_DEPTH);
}

void pmj_leave(pmj *j)
{
    j->depth--;
}

char *pmj_name(pmj *j, const char *bytes, size_t n)
{
    char *name = pmj_alloc(j, n + 1);
    if (n)
        memcpy(name, bytes, n);
    return name;
}

/* ---- Variables ---- */

void pmj_set_variable(pmj *j, pmj_scope *scope, const char *name, pmj_value value)
{
    struct pmj_variable *variable = scope->variables;
    while (variable && strcmp(variable->name, name) != 0)
        variable = variable->next;
    if (!variable) {
        variable = pmj_alloc(j, sizeof *variable);
        variable->name = name;
        variable->next = scope->variables;
        scope->variables = variable;
    }
    variable->value = value;
}

static pmj_scope *inner(pmj *j, pmj_scope *parent)
{
    pmj_scope *scope = pmj_alloc(j, sizeof *scope);
    scope->parent = parent;
    return scope;
}

static void assign(pmj *j, const pmj_node *target, pmj_value value, pmj_scope *scope)
{
    if (target->kind == PMJ_N_NAME) {
        pmj_set_variable(j, scope, target->name, value);
    } else if (target->kind == PMJ_N_ATTRIBUTE) {
        pmj_value space = pmj_evaluate(j, target->a, scope);
        if (space.type != PMJ_NAMESPACE)
            pmj_fail(j, PM_ERR_ARGUMENT, "only a namespace's attributes can be set");
        pmj_dict_set(j, space, pmj_literal(j, target->name), value);
    } else {
        const pmj_list *items = pmj_iterate(j, value);
        size_t i = 0;
        for (const pmj_node *t = target->list; t; t = t->next, i++)
            if (i < items->n)
                assign(j, t, items->items[i], scope);
        if (i != items->n)
            pmj_fail(j, PM_ERR_ARGUMENT, "%zu values for %zu variables", items->n, i);
    }
}

/* ---- Captured output ---- */

static pmj_value capture(pmj *j, const pmj_node *list, pmj_scope *scope, enum pmj_flow *flow)
{
    pmj_text text = {0}, *before = j->output;
    j->output = &text;
    *flow = pmj_run(j, list, scope);
    j->output = before;
    return pmj_text_value(j, &text);
}

/* The filters of a filter block or a block assignment; the innermost has no operand of its own. */
static pmj_value through_filters(pmj *j, const pmj_node *node, pmj_value value, pmj_scope *scope)
{
    pmj_args args;
    if (!node)
        return value;
    pmj_enter(j);
    value = through_filters(j, node->a, value, scope);
    pmj_evaluate_arguments(j, node->list, scope, &args);
    if (!node->operation)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "there is no filter \"%.64s\"", node->name);
    value = node->operation(j, value, &args);
    pmj_leave(j);
    return value;
}

/* ---- Macros ---- */

pmj_value pmj_call_macro(pmj *j, const pmj_macro *macro, const pmj_args *args, pmj_value caller)
{
    pmj_scope *scope = inner(j, macro->scope);
    size_t i = 0, n_named = 0;
    enum pmj_flow flow;
    pmj_enter(j);
    if (caller.type != PMJ_MISSING)
        pmj_set_variable(j, scope, "caller", caller);
    for (const pmj_node *p = macro->node->list; p; p = p->next, i++) {
        pmj_value value = {.type = PMJ_MISSING};
        for (size_t k = 0; k < args->n_named; k++)
            if (!strcmp(args->names[k], p->name)) {
                value = args->named[k];
                n_named++;
            }
        if (i < args->n && value.type != PMJ_MISSING)
            pmj_fail(j, PM_ERR_ARGUMENT, "the macro is given \"%.64s\" twice", p->name);
        if (i < args->n)
            value = args->values[i];
        if (value.type == PMJ_MISSING)
            value = p->a ? pmj_evaluate(j, p->a, scope) : pmj_undefined(p->name);
        pmj_set_variable(j, scope, p->name, value);
    }
    if (i < args->n || n_named < args->n_named)
        pmj_fail(j, PM_ERR_ARGUMENT, "the macro \"%.64s\" takes no such argument, or fewer", macro->node->name);
    pmj_value result = capture(j, macro->node->body, scope, &flow);
    pmj_leave(j);
    return result;
}

static pmj_value new_macro(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    pmj_macro *macro = pmj_alloc(j, sizeof *macro);
    *macro = (pmj_macro){node, scope};
    return (pmj_value){.type = PMJ_MACRO, .as.macro = macro};
}

static pmj_value call_block(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    pmj_args args;
    pmj_value callee = pmj_evaluate(j, node->a->a, scope);
    pmj_evaluate_arguments(j, node->a->list, scope, &args);
    if (callee.type != PMJ_MACRO)
        pmj_fail(j, PM_ERR_UNSUPPORTED, "{%% call %%} is for macros, not for %s", pmj_type_name(callee));
    return pmj_call_macro(j, callee.as.macro, &args, new_macro(j, node, scope));
}

/* ---- Loops ---- */

static const pmj_list *chosen_items(pmj *j, const pmj_node *node, pmj_value over, pmj_scope *scope)
{
    const pmj_list *items = pmj_iterate(j, over);
    pmj_value chosen = pmj_list_value(j, PMJ_LIST);
    /* A copy, since the body may not change what is gone through. */
    for (size_t i = 0; i < items->n; i++) {
        pmj_scope *trial = node->c ? inner(j, scope) : NULL;
        if (trial)
            assign(j, node->a, items->items[i], trial);
        if (!trial || pmj_is_true(j, pmj_evaluate(j, node->c, trial)))
            pmj_list_add(j, chosen, items->items[i]);
    }
    return chosen.as.list;
}

static enum pmj_flow run_loop(pmj *j, const pmj_node *node, pmj_value over, pmj_scope *scope, int depth)
{
    pmj_loop *loop = pmj_alloc(j, sizeof *loop);
    *loop = (pmj_loop){.items = chosen_items(j, node, over, scope), .depth = depth, .node = node, .scope = scope};
    pmj_enter(j);
    for (; loop->index < loop->items->n; loop->index++) {
        pmj_scope *body = inner(j, scope);
        pmj_step(j, 1);
        pmj_set_variable(j, body, "loop", (pmj_value){.type = PMJ_LOOP, .as.loop = loop});
        assign(j, node->a, loop->items->items[loop->index], body);
        if (pmj_run(j, node->body, body) == PMJ_BREAK)
            break;
    }
    enum pmj_flow flow = PMJ_ON;
    if (!loop->items->n && node->otherwise)
        flow = pmj_run(j, node->otherwise, inner(j, scope));
    pmj_leave(j);
    return flow;
}

pmj_value pmj_call_loop(pmj *j, const pmj_loop *loop, const pmj_args *args)
{
    pmj_text text = {0}, *before = j->output;
    pmj_value over;
    pmj_bind(j, args, "loop", "iterable", &over);
    if (!loop->node->flag)
        pmj_fail(j, PM_ERR_ARGUMENT, "the loop is not recursive");
    j->output = &text;
    run_loop(j, loop->node, over, loop->scope, loop->depth + 1);
    j->output = before;
    return pmj_text_value(j, &text);
}

static pmj_value loop_cycle(pmj *j, pmj_value self, const pmj_args *args)
{
    if (!args->n)
        pmj_fail(j, PM_ERR_ARGUMENT, "there is nothing to go round");
    return args->values[self.as.loop->index % args->n];
}

static pmj_value loop_changed(pmj *j, pmj_value self, const pmj_args *args)
{
    pmj_value now = pmj_list_value(j, PMJ_LIST);
    for (size_t i = 0; i < args->n; i++)
        pmj_list_add(j, now, args->values[i]);
    int changed = self.as.loop->changed.type == PMJ_MISSING || !pmj_equal(j, self.as.loop->changed, now);
    self.as.loop->changed = now;
    return pmj_bool(changed);
}

pmj_value pmj_loop_attribute(pmj *j, pmj_value value, const char *name)
{
    const pmj_loop *loop = value.as.loop;
    int64_t index = (int64_t)loop->index, n = (int64_t)loop->items->n;
    const struct {
        const char *name;
        pmj_value value;
    } attributes[] = {
        {"index", pmj_int(index + 1)},    {"index0", pmj_int(index)},
        {"revindex", pmj_int(n - index)}, {"revindex0", pmj_int(n - index - 1)},
        {"first", pmj_bool(index == 0)},  {"last", pmj_bool(index + 1 == n)},
        {"length", pmj_int(n)},           {"depth", pmj_int(loop->depth + 1)},
        {"depth0", pmj_int(loop->depth)},
    };
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (!strcmp(attributes[i].name, name))
            return attributes[i].value;
    if (!strcmp(name, "previtem"))
        return index ? loop->items->items[index - 1] : pmj_undefined("there is no previous item: loop.previtem");
    if (!strcmp(name, "nextitem"))
        return index + 1 < n ? loop->items->items[index + 1]
                             : pmj_undefined("there is no next item: loop.nextitem");
    if (!strcmp(name, "cycle"))
        return pmj_function_value(j, "cycle", loop_cycle, value);
    if (!strcmp(name, "changed"))
        return pmj_function_value(j, "changed", loop_changed, value);
    return pmj_undefined(name);
}

/* ---- Statements ---- */

static enum pmj_flow run_if(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    for (;;) {
        j->line = node->line;
        if (pmj_is_true(j, pmj_evaluate(j, node->a, scope)))
            return pmj_run(j, node->body, scope);
        if (!node->otherwise)
            return PMJ_ON;
        if (node->otherwise->kind != PMJ_N_IF || !node->otherwise->flag)
            return pmj_run(j, node->otherwise, scope);
        node = node->otherwise;
    }
}

static enum pmj_flow run_with(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    pmj_scope *body = inner(j, scope);
    /* The values are those of outside. */
    for (const pmj_node *set = node->list; set; set = set->next)
        assign(j, set->a, pmj_evaluate(j, set->b, scope), body);
    return pmj_run(j, node->body, body);
}

static enum pmj_flow run_one(pmj *j, const pmj_node *node, pmj_scope *scope)
{
    enum pmj_flow flow = PMJ_ON;
    pmj_value value;
    switch (node->kind) {
    case PMJ_N_TEXT:
        pmj_text_add_string(j, j->output, node->value.as.string);
        break;
    case PMJ_N_OUTPUT:
        pmj_text_add_value(j, j->output, pmj_evaluate(j, node->a, scope));
        break;
    case PMJ_N_IF:
        return run_if(j, node, scope);
    case PMJ_N_FOR:
        return run_loop(j, node, pmj_evaluate(j, node->b, scope), scope, 0);
    case PMJ_N_SET:
        assign(j, node->a, pmj_evaluate(j, node->b, scope), scope);
        break;
    case PMJ_N_SET_BLOCK:
        value = capture(j, node->body, inner(j, scope), &flow);
        assign(j, node->a, through_filters(j, node->b, value, scope), scope);
        break;
    case PMJ_N_MACRO:
        pmj_set_variable(j, scope, node->name, new_macro(j, node, scope));
        break;
    case PMJ_N_CALL_BLOCK:
        pmj_text_add_value(j, j->output, call_block(j, node, scope));
        break;
    case PMJ_N_FILTER_BLOCK:
        value = capture(j, node->body, inner(j, scope), &flow);
        pmj_text_add_value(j, j->output, through_filters(j, node->b, value, scope));
        break;
    case PMJ_N_WITH:
        return run_with(j, node, scope);
    case PMJ_N_SCOPE:
        return pmj_run(j, node->body, inner(j, scope));
    case PMJ_N_BREAK:
        return PMJ_BREAK;
    case PMJ_N_CONTINUE:
        return PMJ_CONTINUE;
    default:
        pmj_fail(j, PM_ERR_INTERNAL, "an expression stands for a statement");
    }
    return flow;
}

enum pmj_flow pmj_run(pmj *j, const pmj_node *list, pmj_scope *scope)
{
    enum pmj_flow flow = PMJ_ON;
    pmj_enter(j);
    for (; list && flow == PMJ_ON; list = list->next) {
        pmj_step(j, 1);
        j->line = list->line;
        flow = run_one(j, list, scope);
    }
    pmj_leave(j);
    return flow;
}
