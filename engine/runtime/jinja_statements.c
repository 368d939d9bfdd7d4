/* Statements: tags and the text between them to trees. */
#include <string.h>

#include "runtime/jinja.h"

static void end_block(pmj_parser *p)
{
    if (p->token->type != PMJ_T_BLOCK_END)
        pmj_unexpected(p, "the tag's end");
    p->token++;
}

/* The statements up to one of the ends, whose {% and name are read; *which is its index. */
static pmj_node *body(pmj_parser *p, const char *const *ends, int *which)
{
    pmj_node *list = pmj_parse_statements(p, ends);
    int i = 0;
    while (!pmj_at_name(p, ends[i]))
        i++;
    p->token++;
    if (which)
        *which = i;
    return list;
}

static pmj_node *body_to(pmj_parser *p, const char *end)
{
    const char *const ends[] = {end, NULL};
    end_block(p);
    return body(p, ends, NULL);
}

/* NAME, ATTRIBUTE of a NAME (a namespace's), or TUPLE of targets. */
static pmj_node *one_target(pmj_parser *p)
{
    if (pmj_skip_op(p, PMJ_OP_LPAREN)) {
        pmj_enter(p->j);
        pmj_node *node = pmj_parse_target(p);
        pmj_leave(p->j);
        pmj_expect_op(p, PMJ_OP_RPAREN, ")");
        return node;
    }
    pmj_node *node = pmj_node_new(p, PMJ_N_NAME);
    node->name = pmj_expect_name(p);
    if (pmj_skip_op(p, PMJ_OP_DOT)) {
        pmj_node *attribute = pmj_node_new(p, PMJ_N_ATTRIBUTE);
        attribute->a = node;
        attribute->name = pmj_expect_name(p);
        return attribute;
    }
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None", "not", "and", "or"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (!strcmp(node->name, reserved[i])) {
            p->token--;
            pmj_unexpected(p, "a variable");
        }
    return node;
}

pmj_node *pmj_parse_target(pmj_parser *p)
{
    pmj_node *node = one_target(p);
    if (!pmj_at_op(p, PMJ_OP_COMMA))
        return node;
    pmj_node *tuple = pmj_node_new(p, PMJ_N_TUPLE), **end = &node->next;
    tuple->list = node;
    while (pmj_skip_op(p, PMJ_OP_COMMA) && (p->token->type == PMJ_T_NAME || pmj_at_op(p, PMJ_OP_LPAREN)) &&
           !pmj_at_name(p, "in")) {
        *end = one_target(p);
        end = &(*end)->next;
    }
    return tuple;
}

/* IF: a, body, otherwise (an IF for elif, or any statements). */
static pmj_node *parse_if(pmj_parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    pmj_node *first = pmj_node_new(p, PMJ_N_IF), *node = first;
    for (;;) {
        int which;
        node->a = pmj_parse_tuple(p, 1);
        end_block(p);
        node->body = body(p, ends, &which);
        if (which == 1)
            node->otherwise = body_to(p, "endif");
        if (which != 0)
            return first;
        node->otherwise = pmj_node_new(p, PMJ_N_IF);
        node->otherwise->flag = 1; /* elif */
        node = node->otherwise;
    }
}

/* FOR: a in b if c, recursive (flag), body, otherwise. */
static pmj_node *parse_for(pmj_parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    pmj_node *node = pmj_node_new(p, PMJ_N_FOR);
    int which;
    node->a = pmj_parse_target(p);
    if (!pmj_skip_name(p, "in"))
        pmj_unexpected(p, "in");
    node->b = pmj_parse_tuple(p, 0);
    if (pmj_skip_name(p, "if"))
        node->c = pmj_parse_expression(p);
    node->flag = pmj_skip_name(p, "recursive");
    end_block(p);
    p->loops++;
    node->body = body(p, ends, &which);
    p->loops--;
    if (which == 0)
        node->otherwise = body_to(p, "endfor");
    return node;
}

/* SET: a = b; SET_BLOCK: a, body, through the filters of b (whose innermost has no operand). */
static pmj_node *parse_set(pmj_parser *p)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_SET);
    node->a = pmj_parse_target(p);
    if (pmj_skip_op(p, PMJ_OP_ASSIGN)) {
        node->b = pmj_parse_tuple(p, 1);
        return node;
    }
    node->kind = PMJ_N_SET_BLOCK;
    if (pmj_skip_op(p, PMJ_OP_PIPE))
        node->b = pmj_parse_filters(p, NULL);
    node->body = body_to(p, "endset");
    return node;
}

/* PARAMETERs with their defaults in a. */
static pmj_node *parse_parameters(pmj_parser *p)
{
    pmj_node *list = NULL, **end = &list;
    pmj_expect_op(p, PMJ_OP_LPAREN, "(");
    while (!pmj_skip_op(p, PMJ_OP_RPAREN)) {
        if (list) {
            pmj_expect_op(p, PMJ_OP_COMMA, "a comma or )");
            if (pmj_skip_op(p, PMJ_OP_RPAREN))
                break;
        }
        pmj_node *node = pmj_node_new(p, PMJ_N_PARAMETER);
        node->name = pmj_expect_name(p);
        if (pmj_skip_op(p, PMJ_OP_ASSIGN))
            node->a = pmj_parse_expression(p);
        *end = node;
        end = &node->next;
    }
    return list;
}

/* MACRO: name, list, body. */
static pmj_node *parse_macro(pmj_parser *p)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_MACRO);
    int loops = p->loops;
    p->loops = 0;
    node->name = pmj_expect_name(p);
    node->list = parse_parameters(p);
    node->body = body_to(p, "endmacro");
    p->loops = loops;
    return node;
}

/* CALL_BLOCK: the call a; list and body are the caller's. */
static pmj_node *parse_call(pmj_parser *p)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_CALL_BLOCK);
    int loops = p->loops;
    p->loops = 0;
    node->name = "caller";
    if (pmj_at_op(p, PMJ_OP_LPAREN))
        node->list = parse_parameters(p);
    node->a = pmj_parse_expression(p);
    if (node->a->kind != PMJ_N_CALL)
        pmj_unexpected(p, "a call");
    node->body = body_to(p, "endcall");
    p->loops = loops;
    return node;
}

/* WITH: SETs in list, body. */
static pmj_node *parse_with(pmj_parser *p)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_WITH), **end = &node->list;
    while (p->token->type != PMJ_T_BLOCK_END) {
        if (node->list)
            pmj_expect_op(p, PMJ_OP_COMMA, "a comma");
        pmj_node *set = pmj_node_new(p, PMJ_N_SET);
        set->a = one_target(p);
        pmj_expect_op(p, PMJ_OP_ASSIGN, "=");
        set->b = pmj_parse_expression(p);
        *end = set;
        end = &set->next;
    }
    node->body = body_to(p, "endwith");
    return node;
}

static pmj_node *parse_filter_block(pmj_parser *p)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_FILTER_BLOCK);
    node->b = pmj_parse_filters(p, NULL);
    node->body = body_to(p, "endfilter");
    return node;
}

/* {% generation %} marks what an assistant said, for training; it is a scope of its own like the call it stands
 * for. */
static pmj_node *parse_generation(pmj_parser *p)
{
    pmj_node *node = pmj_node_new(p, PMJ_N_SCOPE);
    node->body = body_to(p, "endgeneration");
    return node;
}

static pmj_node *parse_leaving(pmj_parser *p, pmj_kind kind)
{
    if (!p->loops)
        pmj_fail(p->j, PM_ERR_FORMAT, "there is no loop to leave or to go on with");
    return pmj_node_new(p, kind);
}

static pmj_node *parse_tag(pmj_parser *p)
{
    pmj_node *node;
    p->j->line = p->token->line;
    const char *tag = pmj_expect_name(p);
    if (!strcmp(tag, "if"))
        node = parse_if(p);
    else if (!strcmp(tag, "for"))
        node = parse_for(p);
    else if (!strcmp(tag, "set"))
        node = parse_set(p);
    else if (!strcmp(tag, "macro"))
        node = parse_macro(p);
    else if (!strcmp(tag, "call"))
        node = parse_call(p);
    else if (!strcmp(tag, "with"))
        node = parse_with(p);
    else if (!strcmp(tag, "filter"))
        node = parse_filter_block(p);
    else if (!strcmp(tag, "generation"))
        node = parse_generation(p);
    else if (!strcmp(tag, "break"))
        node = parse_leaving(p, PMJ_N_BREAK);
    else if (!strcmp(tag, "continue"))
        node = parse_leaving(p, PMJ_N_CONTINUE);
    else
        pmj_fail(p->j, PM_ERR_UNSUPPORTED, "the tag \"%.64s\" is not known, or does not fit here", tag);
    end_block(p);
    return node;
}

static int at_end_tag(const pmj_parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (p->token[1].type == PMJ_T_NAME && !strcmp(p->token[1].text, *ends))
            return 1;
    return 0;
}

pmj_node *pmj_parse_statements(pmj_parser *p, const char *const *ends)
{
    pmj_node *list = NULL, **end = &list;
    int begun = ends ? p->token[-1].line : 1;
    pmj_enter(p->j);
    for (;; end = &(*end)->next) {
        const pmj_token *token = p->token;
        if (token->type == PMJ_T_TEXT) {
            *end = pmj_node_new(p, PMJ_N_TEXT);
            (*end)->value = pmj_string_value(p->j, token->text, token->n, 0);
            p->token++;
        } else if (token->type == PMJ_T_VARIABLE_BEGIN) {
            p->token++;
            *end = pmj_node_new(p, PMJ_N_OUTPUT);
            (*end)->a = pmj_parse_tuple(p, 1);
            if (p->token->type != PMJ_T_VARIABLE_END)
                pmj_unexpected(p, "}}");
            p->token++;
        } else if (token->type == PMJ_T_END) {
            if (ends) {
                while (ends[1])
                    ends++;
                p->j->line = begun;
                pmj_fail(p->j, PM_ERR_FORMAT, "a block is not ended: \"%s\" is missing", *ends);
            }
            break;
        } else {
            if (at_end_tag(p, ends)) {
                p->token++;
                break;
            }
            p->token++;
            *end = parse_tag(p);
        }
    }
    pmj_leave(p->j);
    return list;
}

pmj_node *pmj_parse(pmj *j)
{
    pmj_parser p = {.j = j, .token = pmj_lex(j)};
    return pmj_parse_statements(&p, NULL);
}
