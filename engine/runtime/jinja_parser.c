/* Expressions: tokens to trees, by recursive descent with Jinja's precedence (which is not quite Python's: ~ binds
 * tighter than +, filters tighter than a sign before them). */
#include <string.h>

#include "runtime/jinja.h"

void pmj_unexpected(pmj_parser *p, const char *wanted)
{
    static const char *const names[] = {
        "the template's end", "text",     "{%",       "%}",         "{{", "}}", "a name",
        "a string",           "a number", "a number", "an operator"};
    p->j->line = p->token->line;
    if (p->token->type == PMJ_T_NAME)
        pmj_fail(p->j, PM_ERR_FORMAT, "%s is wanted, not \"%.64s\"", wanted, p->token->text);
    pmj_fail(p->j, PM_ERR_FORMAT, "%s is wanted, not %s", wanted, names[p->token->type]);
}

pmj_node *pmj_node_new(pmj_parser *p, pmj_kind kind)
{
    pmj_node *node = pmj_alloc(p->j, sizeof *node);
    node->kind = kind;
    node->line = p->token->line;
    return node;
}

int pmj_at_op(const pmj_parser *p, pmj_op op)
{
    return p->token->type == PMJ_T_OP && p->token->op == op;
}

int pmj_at_name(const pmj_parser *p, const char *name)
{
    return p->token->type == PMJ_T_NAME && strcmp(p->token->text, name) == 0;
}

int pmj_skip_op(pmj_parser *p, pmj_op op)
{
    int found = pmj_at_op(p, op);
    p->token += found;
    return found;
}

int pmj_skip_name(pmj_parser *p, const char *name)
{
    int found = pmj_at_name(p, name);
    p->token += found;
    return found;
}

void pmj_expect_op(pmj_parser *p, pmj_op op, const char *what)
{
    if (!pmj_skip_op(p, op))
        pmj_unexpected(p, what);
}

const char *pmj_expect_name(pmj_parser *p)
{
    if (p->token->type != PMJ_T_NAME)
        pmj_unexpected(p, "a name");
    return (p->token++)->text;
}

static pmj_node *binary(pmj_parser *p, pmj_kind kind, int op, pmj_node *a, pmj_node *b)
{
    pmj_node *node = pmj_node_new(p, kind);
    node->op = op;
    node->a = a;
    node->b = b;
    node->line = a->line;
    return node;
}

static pmj_node *parse_string(pmj_parser *p)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_CONST);
    pmj_text text = {0};
    for (; p->token->type == PMJ_T_STRING; p->token++)
        pmj_text_add(p->j, &text, p->token->text, p->token->n, NULL);
    node->value = pmj_text_value(p->j, &text);
    return node;
}

/* The items of a list or tuple up to `closing`, which is read too. */
static pmj_node *parse_items(pmj_parser *p, pmj_op closing, pmj_node *first, int *trailing)
{
    pmj_node *list = first, **end = first ? &first->next : &list;
    *trailing = 0;
    while (!pmj_skip_op(p, closing)) {
        if (list)
            pmj_expect_op(p, PMJ_OP_COMMA, "a comma or a closing bracket");
        if (list && pmj_skip_op(p, closing)) {
            *trailing = 1;
            break;
        }
        *end = pmj_parse_expression(p);
        end = &(*end)->next;
    }
    return list;
}

static pmj_node *parse_dict(pmj_parser *p)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_DICT), **end = &node->list;
    while (!pmj_skip_op(p, PMJ_OP_RBRACE)) {
        if (node->list) {
            pmj_expect_op(p, PMJ_OP_COMMA, "a comma or }");
            if (pmj_skip_op(p, PMJ_OP_RBRACE))
                break;
        }
        pmj_node *pair = pmj_node_new(p, PMJ_N_PAIR);
        pair->a = pmj_parse_expression(p);
        pmj_expect_op(p, PMJ_OP_COLON, "a colon");
        pair->b = pmj_parse_expression(p);
        *end = pair;
        end = &pair->next;
    }
    return node;
}

static pmj_node *parse_name(pmj_parser *p)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_CONST);
    const char *name = (p->token++)->text;
    if (!strcmp(name, "true") || !strcmp(name, "True"))
        node->value = pmj_bool(1);
    else if (!strcmp(name, "false") || !strcmp(name, "False"))
        node->value = pmj_bool(0);
    else if (!strcmp(name, "none") || !strcmp(name, "None"))
        node->value = pmj_none();
    else {
        node->kind = PMJ_N_NAME;
        node->name = name;
    }
    return node;
}

static pmj_node *parse_parentheses(pmj_parser *p)
{
    int trailing;
    pmj_node *node = pmj_node_new(p, PMJ_N_TUPLE);
    if (pmj_skip_op(p, PMJ_OP_RPAREN))
        return node;
    pmj_node *first = pmj_parse_expression(p);
    node->list = parse_items(p, PMJ_OP_RPAREN, first, &trailing);
    return first->next || trailing ? node : first;
}

pmj_node *pmj_parse_primary(pmj_parser *p)
{
    pmj_node *node;
    int trailing;
    switch (p->token->type) {
    case PMJ_T_NAME:
        return parse_name(p);
    case PMJ_T_STRING:
        return parse_string(p);
    case PMJ_T_INT:
    case PMJ_T_FLOAT:
        node = pmj_node_new(p, PMJ_N_CONST);
        node->value = p->token->type == PMJ_T_INT ? pmj_int(p->token->integer) : pmj_real(p->token->real);
        p->token++;
        return node;
    default:
        break;
    }
    if (pmj_skip_op(p, PMJ_OP_LPAREN))
        return parse_parentheses(p);
    if (pmj_skip_op(p, PMJ_OP_LBRACE))
        return parse_dict(p);
    if (!pmj_at_op(p, PMJ_OP_LBRACKET))
        pmj_unexpected(p, "an expression");
    node = pmj_node_new(p, PMJ_N_LIST);
    p->token++;
    node->list = parse_items(p, PMJ_OP_RBRACKET, NULL, &trailing);
    return node;
}

/* ITEM: a[b]; SLICE: a[b:c:otherwise], each of which may be missing. */
static pmj_node *parse_subscript(pmj_parser *p, pmj_node *of)
{
    pmj_node *node = binary(p, PMJ_N_ITEM, 0, of, NULL);
    if (!pmj_at_op(p, PMJ_OP_COLON))
        node->b = pmj_parse_expression(p);
    if (pmj_skip_op(p, PMJ_OP_COLON)) {
        node->kind = PMJ_N_SLICE;
        if (!pmj_at_op(p, PMJ_OP_COLON) && !pmj_at_op(p, PMJ_OP_RBRACKET))
            node->c = pmj_parse_expression(p);
        if (pmj_skip_op(p, PMJ_OP_COLON) && !pmj_at_op(p, PMJ_OP_RBRACKET))
            node->otherwise = pmj_parse_expression(p);
    }
    pmj_expect_op(p, PMJ_OP_RBRACKET, "]");
    return node;
}

pmj_node *pmj_parse_arguments(pmj_parser *p)
{
    pmj_node *list = NULL, **end = &list;
    int named = 0;
    while (!pmj_skip_op(p, PMJ_OP_RPAREN)) {
        if (list) {
            pmj_expect_op(p, PMJ_OP_COMMA, "a comma or )");
            if (pmj_skip_op(p, PMJ_OP_RPAREN))
                break;
        }
        pmj_node *node = pmj_node_new(p, PMJ_N_KEYWORD);
        if (pmj_skip_op(p, PMJ_OP_MUL)) {
            node->kind = PMJ_N_SPREAD;
            node->a = pmj_parse_expression(p);
        } else if (pmj_skip_op(p, PMJ_OP_POW)) {
            node->kind = PMJ_N_SPREAD_NAMED;
            node->a = pmj_parse_expression(p);
            named = 1;
        } else if (p->token->type == PMJ_T_NAME && p->token[1].type == PMJ_T_OP &&
                   p->token[1].op == PMJ_OP_ASSIGN) {
            node->name = p->token->text;
            p->token += 2;
            node->a = pmj_parse_expression(p);
            named = 1;
        } else {
            if (named)
                pmj_unexpected(p, "a named argument");
            node = pmj_parse_expression(p);
        }
        *end = node;
        end = &node->next;
    }
    return list;
}

pmj_node *pmj_parse_postfix(pmj_parser *p, pmj_node *node)
{
    size_t n = 0;
    for (;; pmj_enter(p->j), n++) {
        if (pmj_skip_op(p, PMJ_OP_DOT)) {
            node = binary(p, PMJ_N_ATTRIBUTE, 0, node, NULL);
            if (p->token->type == PMJ_T_INT) {
                node->kind = PMJ_N_ITEM;
                node->b = pmj_parse_primary(p);
            } else {
                node->name = pmj_expect_name(p);
            }
        } else if (pmj_skip_op(p, PMJ_OP_LBRACKET)) {
            node = parse_subscript(p, node);
        } else if (pmj_skip_op(p, PMJ_OP_LPAREN)) {
            node = binary(p, PMJ_N_CALL, 0, node, NULL);
            node->list = pmj_parse_arguments(p);
        } else {
            break;
        }
    }
    while (n--)
        pmj_leave(p->j);
    return node;
}

static const char *dotted_name(pmj_parser *p)
{
    const char *name = pmj_expect_name(p);
    if (pmj_at_op(p, PMJ_OP_DOT))
        pmj_unexpected(p, "a plain name");
    return name;
}

static pmj_node *parse_test(pmj_parser *p, pmj_node *of)
{
    pmj_node *node = binary(p, PMJ_N_TEST, 0, of, NULL);
    node->flag = pmj_skip_name(p, "not");
    p->j->line = p->token->line;
    node->name = dotted_name(p);
    node->operation = pmj_find_test(node->name);
    pmj_token_type type = p->token->type;
    if (pmj_skip_op(p, PMJ_OP_LPAREN)) {
        node->list = pmj_parse_arguments(p);
    } else if (type == PMJ_T_STRING || type == PMJ_T_INT || type == PMJ_T_FLOAT || pmj_at_op(p, PMJ_OP_LBRACKET) ||
               pmj_at_op(p, PMJ_OP_LBRACE) ||
               (type == PMJ_T_NAME && !pmj_at_name(p, "else") && !pmj_at_name(p, "or") && !pmj_at_name(p, "and") &&
                !pmj_at_name(p, "if"))) {
        if (pmj_at_name(p, "is"))
            pmj_unexpected(p, "another operator");
        node->list = pmj_parse_postfix(p, pmj_parse_primary(p));
    }
    return node;
}

static pmj_node *parse_filter(pmj_parser *p, pmj_node *of)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_FILTER);
    p->j->line = p->token->line;
    node->a = of;
    node->name = dotted_name(p);
    node->operation = pmj_find_filter(node->name);
    if (pmj_skip_op(p, PMJ_OP_LPAREN))
        node->list = pmj_parse_arguments(p);
    return node;
}

pmj_node *pmj_parse_filters(pmj_parser *p, pmj_node *node)
{
    size_t n = 0;
    do {
        node = parse_filter(p, node);
        pmj_enter(p->j);
        n++;
    } while (pmj_skip_op(p, PMJ_OP_PIPE));
    while (n--)
        pmj_leave(p->j);
    return node;
}

static pmj_node *parse_unary(pmj_parser *p, int with_filters)
{
    pmj_node *node;
    pmj_enter(p->j);
    if (pmj_at_op(p, PMJ_OP_SUB) || pmj_at_op(p, PMJ_OP_ADD)) {
        node = pmj_node_new(p, pmj_at_op(p, PMJ_OP_SUB) ? PMJ_N_NEGATE : PMJ_N_POSITIVE);
        p->token++;
        node->a = parse_unary(p, 0);
    } else {
        node = pmj_parse_primary(p);
    }
    node = pmj_parse_postfix(p, node);
    size_t n = 0;
    for (int more = with_filters; more; pmj_enter(p->j), n++) {
        if (pmj_skip_op(p, PMJ_OP_PIPE))
            node = pmj_parse_filters(p, node);
        else if (pmj_skip_name(p, "is"))
            node = parse_test(p, node);
        else if (pmj_at_op(p, PMJ_OP_LPAREN))
            node = pmj_parse_postfix(p, node);
        else
            more = 0;
    }
    while (n--)
        pmj_leave(p->j);
    pmj_leave(p->j);
    return node;
}

/* The levels of operators that group to the left, from the loosest to the tightest. */
static pmj_node *parse_level(pmj_parser *p, int level)
{
    static const pmj_op ops[][4] = {
        {PMJ_OP_ADD, PMJ_OP_SUB},
        {PMJ_OP_TILDE},
        {PMJ_OP_MUL, PMJ_OP_DIV, PMJ_OP_FLOORDIV, PMJ_OP_MOD},
        {PMJ_OP_POW},
    };
    if (level == 4)
        return parse_unary(p, 1);
    pmj_node *node = parse_level(p, level + 1);
    size_t n = 0;
    for (int i = 0; i < 4 && ops[level][i];) {
        if (pmj_skip_op(p, ops[level][i])) {
            pmj_kind kind = level == 1 ? PMJ_N_CONCAT : PMJ_N_BINARY;
            node = binary(p, kind, ops[level][i], node, parse_level(p, level + 1));
            /* A chain makes a tree as deep as it is long, which takes so much stack when it is run. */
            pmj_enter(p->j);
            n++;
            i = 0;
        } else {
            i++;
        }
    }
    while (n--)
        pmj_leave(p->j);
    return node;
}

/* COMPARE: a, then OPERANDs in list, each compared with the one before. */
static pmj_node *parse_compare(pmj_parser *p)
{
    pmj_node *node = parse_level(p, 0), *compare = NULL, **end = NULL;
    for (;;) {
        pmj_op op = PMJ_OP_NONE;
        if (p->token->type == PMJ_T_OP && p->token->op >= PMJ_OP_EQ && p->token->op <= PMJ_OP_GE)
            op = (p->token++)->op;
        else if (pmj_skip_name(p, "in"))
            op = PMJ_OP_IN;
        else if (pmj_at_name(p, "not") && p->token[1].type == PMJ_T_NAME && !strcmp(p->token[1].text, "in")) {
            op = PMJ_OP_NOT_IN;
            p->token += 2;
        }
        if (op == PMJ_OP_NONE)
            return compare ? compare : node;
        if (!compare) {
            compare = binary(p, PMJ_N_COMPARE, 0, node, NULL);
            end = &compare->list;
        }
        *end = pmj_node_new(p, PMJ_N_OPERAND);
        (*end)->op = (int)op;
        (*end)->a = parse_level(p, 0);
        end = &(*end)->next;
    }
}

static pmj_node *parse_not(pmj_parser *p)
{
    if (!pmj_at_name(p, "not"))
        return parse_compare(p);
    pmj_node *node = pmj_node_new(p, PMJ_N_NOT);
    p->token++;
    pmj_enter(p->j);
    node->a = parse_not(p);
    pmj_leave(p->j);
    return node;
}

/* AND, OR: all the operands in list, so that long chains are no deep trees. */
static pmj_node *parse_logic(pmj_parser *p, int is_or)
{
    pmj_node *node = is_or ? parse_logic(p, 0) : parse_not(p);
    const char *word = is_or ? "or" : "and";
    if (!pmj_at_name(p, word))
        return node;
    pmj_node *all = pmj_node_new(p, is_or ? PMJ_N_OR : PMJ_N_AND), **end = &node->next;
    all->list = node;
    while (pmj_skip_name(p, word)) {
        *end = is_or ? parse_logic(p, 0) : parse_not(p);
        end = &(*end)->next;
    }
    return all;
}

/* CONDITIONAL: a if b else c (or NULL). */
static pmj_node *parse_conditional(pmj_parser *p, int with_conditional)
{
    pmj_enter(p->j);
    pmj_node *node = parse_logic(p, 1);
    if (with_conditional && pmj_skip_name(p, "if")) {
        pmj_node *chosen = binary(p, PMJ_N_CONDITIONAL, 0, node, parse_logic(p, 1));
        if (pmj_skip_name(p, "else"))
            chosen->c = parse_conditional(p, 1);
        node = chosen;
        if (pmj_at_name(p, "if"))
            pmj_unexpected(p, "parentheses around the first if");
    }
    pmj_leave(p->j);
    return node;
}

pmj_node *pmj_parse_expression(pmj_parser *p)
{
    return parse_conditional(p, 1);
}

/* One expression, or a tuple without parentheses. */
pmj_node *pmj_parse_tuple(pmj_parser *p, int with_conditional)
{
    pmj_node *node = parse_conditional(p, with_conditional);
    if (!pmj_at_op(p, PMJ_OP_COMMA))
        return node;
    pmj_node *tuple = pmj_node_new(p, PMJ_N_TUPLE), **end = &node->next;
    tuple->list = node;
    while (pmj_skip_op(p, PMJ_OP_COMMA) && p->token->type != PMJ_T_BLOCK_END &&
           p->token->type != PMJ_T_VARIABLE_END) {
        *end = parse_conditional(p, with_conditional);
        end = &(*end)->next;
    }
    return tuple;
}
