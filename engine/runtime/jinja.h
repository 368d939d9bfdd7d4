/* An interpreter of Jinja, the language of chat templates: what its files share.
 *
 * Flow: jinja_lexer.c makes tokens of a template, jinja_parser.c and jinja_statements.c a tree (kept in the
 * template's arena), jinja_run.c and jinja_expression.c walk it, with values of jinja_value.c and the operations
 * of jinja_filters.c, jinja_tests.c, jinja_methods.c. What it means is what Python's Jinja2 does as transformers
 * sets it up.
 *
 * Errors leave by longjmp to the one entry (pmj_guard), so that no operation needs a second result; this is sound
 * because all memory belongs to the arena and nothing else is held meanwhile. Steps, depth and memory are bounded.
 *
 * Origin: each byte of a string says whether it comes from the template (mark 0) or from the conversation (mark
 * 1), and keeps its mark through slices, joins, case and escapes. Where an argument from the conversation steers
 * how a string is cut or put together (what to replace, where to split), all of the result counts as the
 * conversation's.
 */
#ifndef PUMICE_RUNTIME_JINJA_H
#define PUMICE_RUNTIME_JINJA_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"

enum {
    PMJ_MOST_DEPTH = 256,              /* of nested expressions, blocks and calls */
    PMJ_MOST_STEPS = 20 * 1000 * 1000, /* evaluated nodes and visited elements */
    PMJ_MOST_MEMORY = 512 << 20,
    PMJ_MOST_TEMPLATE = 4 << 20,
    PMJ_MOST_RANGE = 100000, /* as Jinja's sandbox has it */
};

typedef enum pmj_type {
    PMJ_MISSING, /* an argument that is not given; never seen by templates */
    PMJ_UNDEFINED,
    PMJ_NONE,
    PMJ_BOOL,
    PMJ_INT,
    PMJ_FLOAT,
    PMJ_STRING,
    PMJ_LIST,
    PMJ_TUPLE,
    PMJ_VIEW,      /* of a dict: has a length, but no indices */
    PMJ_GENERATOR, /* what map, select and others give: true, without a length, empty after it has been read */
    PMJ_DICT,
    PMJ_NAMESPACE,
    PMJ_LOOP,
    PMJ_MACRO,
    PMJ_FUNCTION,
} pmj_type;

typedef struct pmj pmj;
typedef struct pmj_node pmj_node;
typedef struct pmj_scope pmj_scope;

typedef struct pmj_string {
    const char *bytes;          /* UTF-8, not NUL-terminated */
    const unsigned char *marks; /* one a byte; NULL: all 0 */
    size_t n;
} pmj_string;

typedef struct pmj_value {
    pmj_type type;
    int content; /* of numbers and bools: they come from the conversation */
    union {
        int64_t integer; /* INT, BOOL */
        double real;
        const char *name; /* UNDEFINED: of what; or NULL */
        const pmj_string *string;
        struct pmj_list *list; /* LIST, TUPLE, VIEW, GENERATOR */
        struct pmj_dict *dict; /* DICT, NAMESPACE */
        struct pmj_loop *loop;
        struct pmj_macro *macro;
        struct pmj_function *function;
    } as;
} pmj_value;

typedef struct pmj_list {
    pmj_value *items;
    size_t n, capacity;
} pmj_list;

typedef struct pmj_dict {
    struct pmj_pair {
        pmj_value key, value;
    } * pairs; /* in the order of insertion */
    size_t n, capacity;
} pmj_dict;

typedef struct pmj_args {
    const pmj_value *values;
    size_t n;
    const char *const *names; /* of the named ones, which follow the others */
    const pmj_value *named;
    size_t n_named;
} pmj_args;

typedef pmj_value (*pmj_operation)(pmj *j, pmj_value self, const pmj_args *args);

typedef struct pmj_function {
    const char *name;
    pmj_operation operation;
    pmj_value self;
} pmj_function;

typedef struct pmj_macro {
    const pmj_node *node; /* MACRO or CALL_BLOCK: its parameters and its body */
    pmj_scope *scope;     /* where it was defined */
} pmj_macro;

typedef struct pmj_loop {
    const pmj_list *items;
    size_t index;
    int depth;
    const pmj_node *node;
    pmj_scope *scope; /* that the loop stands in */
    pmj_value changed;
} pmj_loop;

struct pmj_scope {
    struct pmj_variable {
        const char *name;
        pmj_value value;
        struct pmj_variable *next;
    } * variables;
    pmj_scope *parent;
};

/* Text being put together, in the arena. */
typedef struct pmj_text {
    char *bytes;
    unsigned char *marks; /* NULL until something of the conversation comes */
    size_t n, capacity;
} pmj_text;

/* One template being read, or one rendering. */
struct pmj {
    pm_arena *arena;
    pm_error *err;
    jmp_buf out_of_here;
    const char *source; /* for messages */
    size_t n_source;
    int line, depth;
    long steps;
    size_t memory;
    pmj_text *output;
    int64_t now; /* seconds since 1970; negative: the clock's */
    void *json;  /* of jansson, for pmj_guard to free after an error */
};

/* ---- Nodes ---- */

typedef enum pmj_kind {
    /* expressions */
    PMJ_N_CONST,
    PMJ_N_NAME,
    PMJ_N_LIST,
    PMJ_N_TUPLE,
    PMJ_N_DICT,
    PMJ_N_ATTRIBUTE,
    PMJ_N_ITEM,
    PMJ_N_SLICE,
    PMJ_N_CALL,
    PMJ_N_FILTER,
    PMJ_N_TEST,
    PMJ_N_NOT,
    PMJ_N_AND,
    PMJ_N_OR,
    PMJ_N_COMPARE,
    PMJ_N_BINARY,
    PMJ_N_NEGATE,
    PMJ_N_POSITIVE,
    PMJ_N_CONCAT,
    PMJ_N_CONDITIONAL,
    /* what stands in lists of nodes */
    PMJ_N_PAIR,
    PMJ_N_OPERAND,
    PMJ_N_KEYWORD,
    PMJ_N_SPREAD,
    PMJ_N_SPREAD_NAMED,
    PMJ_N_PARAMETER,
    /* statements */
    PMJ_N_TEXT,
    PMJ_N_OUTPUT,
    PMJ_N_IF,
    PMJ_N_FOR,
    PMJ_N_SET,
    PMJ_N_SET_BLOCK,
    PMJ_N_MACRO,
    PMJ_N_CALL_BLOCK,
    PMJ_N_FILTER_BLOCK,
    PMJ_N_WITH,
    PMJ_N_SCOPE,
    PMJ_N_BREAK,
    PMJ_N_CONTINUE,
} pmj_kind;

/* Which children a node has is said where jinja_parser.c and jinja_statements.c make it. */
struct pmj_node {
    pmj_kind kind;
    int op; /* a pmj_op */
    int line;
    int flag;         /* FILTER, TEST: negated; FOR: recursive */
    const char *name; /* NUL-terminated */
    pmj_value value;
    pmj_node *a, *b, *c;
    pmj_node *list, *body, *otherwise;
    pmj_node *next; /* in the list that it stands in */
    pmj_operation operation;
};

typedef enum pmj_token_type {
    PMJ_T_END,
    PMJ_T_TEXT,
    PMJ_T_BLOCK_BEGIN,
    PMJ_T_BLOCK_END,
    PMJ_T_VARIABLE_BEGIN,
    PMJ_T_VARIABLE_END,
    PMJ_T_NAME,
    PMJ_T_STRING,
    PMJ_T_INT,
    PMJ_T_FLOAT,
    PMJ_T_OP,
} pmj_token_type;

typedef enum pmj_op {
    PMJ_OP_NONE,
    PMJ_OP_ADD,
    PMJ_OP_SUB,
    PMJ_OP_MUL,
    PMJ_OP_DIV,
    PMJ_OP_FLOORDIV,
    PMJ_OP_MOD,
    PMJ_OP_POW,
    PMJ_OP_TILDE,
    PMJ_OP_EQ,
    PMJ_OP_NE,
    PMJ_OP_LT,
    PMJ_OP_LE,
    PMJ_OP_GT,
    PMJ_OP_GE,
    PMJ_OP_IN,
    PMJ_OP_NOT_IN,
    PMJ_OP_ASSIGN,
    PMJ_OP_LPAREN,
    PMJ_OP_RPAREN,
    PMJ_OP_LBRACKET,
    PMJ_OP_RBRACKET,
    PMJ_OP_LBRACE,
    PMJ_OP_RBRACE,
    PMJ_OP_COMMA,
    PMJ_OP_COLON,
    PMJ_OP_DOT,
    PMJ_OP_PIPE,
} pmj_op;

typedef struct pmj_token {
    pmj_token_type type;
    pmj_op op;
    int line;
    const char *text; /* NAME: NUL-terminated; TEXT, STRING: n bytes, escapes undone */
    size_t n;
    int64_t integer;
    double real;
} pmj_token;

typedef struct pmj_parser {
    pmj *j;
    const pmj_token *token; /* the current one */
    int loops;              /* around the current statement */
} pmj_parser;

/* ---- Errors, memory ---- */

_Noreturn void pmj_fail(pmj *j, pm_status status, const char *format, ...) PM_PRINTF(3, 4);
void *pmj_alloc(pmj *j, size_t size);
void pmj_step(pmj *j, size_t n); /* counts n steps */
void pmj_enter(pmj *j);          /* one deeper */
void pmj_leave(pmj *j);
char *pmj_name(pmj *j, const char *bytes, size_t n); /* a NUL-terminated copy */

/* Runs work(j, context); where that fails, returns the status, and the error is in j->err. */
pm_status pmj_guard(pmj *j, void (*work)(pmj *j, void *context), void *context);

/* ---- Reading ---- */

const pmj_token *pmj_lex(pmj *j); /* of j->source, ended by PMJ_T_END */
pmj_node *pmj_parse(pmj *j);
pmj_node *pmj_parse_statements(pmj_parser *p, const char *const *ends); /* stops at the name of an end tag */
pmj_node *pmj_parse_expression(pmj_parser *p);
pmj_node *pmj_parse_tuple(pmj_parser *p, int with_conditional);
pmj_node *pmj_parse_target(pmj_parser *p);
pmj_node *pmj_parse_primary(pmj_parser *p);
pmj_node *pmj_parse_filters(pmj_parser *p, pmj_node *node); /* after a |; node may be NULL */
pmj_node *pmj_parse_postfix(pmj_parser *p, pmj_node *node);
pmj_node *pmj_parse_arguments(pmj_parser *p); /* after the ( */
pmj_node *pmj_node_new(pmj_parser *p, pmj_kind kind);
int pmj_skip_op(pmj_parser *p, pmj_op op);
int pmj_skip_name(pmj_parser *p, const char *name);
int pmj_at_op(const pmj_parser *p, pmj_op op);
int pmj_at_name(const pmj_parser *p, const char *name);
void pmj_expect_op(pmj_parser *p, pmj_op op, const char *what);
const char *pmj_expect_name(pmj_parser *p);
_Noreturn void pmj_unexpected(pmj_parser *p, const char *wanted);

/* ---- Text ---- */

void pmj_text_reserve(pmj *j, pmj_text *text, size_t more);
void pmj_text_add(pmj *j, pmj_text *text, const char *bytes, size_t n, const unsigned char *marks);
void pmj_text_add_marked(pmj *j, pmj_text *text, const char *bytes, size_t n, int mark);
void pmj_text_add_string(pmj *j, pmj_text *text, const pmj_string *string);
void pmj_text_add_literal(pmj *j, pmj_text *text, const char *literal);
void pmj_text_add_value(pmj *j, pmj_text *text, pmj_value value); /* as str() writes it */
void pmj_text_add_repr(pmj *j, pmj_text *text, pmj_value value);
pmj_value pmj_text_value(pmj *j, const pmj_text *text);
void pmj_text_mark_all(pmj *j, pmj_text *text);
void pmj_format_real(double value, char buffer[40]); /* as Python writes it */

typedef struct pmj_json_style {
    int ensure_ascii, sort_keys;
    const pmj_string *indent; /* NULL: on one line */
    const pmj_string *item_separator, *key_separator;
} pmj_json_style;

void pmj_text_add_json(pmj *j, pmj_text *text, pmj_value value, const pmj_json_style *style);

/* ---- Values ---- */

pmj_value pmj_undefined(const char *name);
pmj_value pmj_none(void);
pmj_value pmj_bool(int value);
pmj_value pmj_int(int64_t value);
pmj_value pmj_real(double value);
pmj_value pmj_string_value(pmj *j, const char *bytes, size_t n, int mark); /* not copied */
pmj_value pmj_literal(pmj *j, const char *literal);
pmj_value pmj_substring(pmj *j, const pmj_string *string, size_t begin, size_t end);
pmj_value pmj_list_value(pmj *j, pmj_type type);
void pmj_list_add(pmj *j, pmj_value list, pmj_value item);
pmj_value pmj_pair_value(pmj *j, pmj_value a, pmj_value b);
pmj_value pmj_dict_value(pmj *j, pmj_type type);
void pmj_dict_set(pmj *j, pmj_value dict, pmj_value key, pmj_value value);
void pmj_dict_add(pmj *j, pmj_value dict, pmj_value key, pmj_value value); /* a key that is not there yet */
const pmj_value *pmj_dict_get(pmj *j, pmj_value dict, pmj_value key);
const pmj_value *pmj_dict_find(pmj *j, pmj_value dict, const char *key);
pmj_value pmj_function_value(pmj *j, const char *name, pmj_operation operation, pmj_value self);
const char *pmj_type_name(pmj_value value);
int pmj_is_true(pmj *j, pmj_value value);
int pmj_is_number(pmj_value value); /* BOOL, INT, FLOAT */
double pmj_as_real(pmj_value value);
int pmj_equal(pmj *j, pmj_value a, pmj_value b);
int pmj_compare(pmj *j, pmj_value a, pmj_value b, const char *what);
int pmj_contains(pmj *j, pmj_value container, pmj_value item);
int pmj_is_iterable(pmj_value value);
const pmj_list *pmj_iterate(pmj *j, pmj_value value); /* its elements; reads a generator */
size_t pmj_length(pmj *j, pmj_value value);
const pmj_string *pmj_to_string(pmj *j, pmj_value value); /* str() */
int pmj_has_content(pmj_value value);                     /* a string with bytes of the conversation */
int pmj_string_is(const pmj_string *string, const char *literal);
size_t pmj_n_characters(const pmj_string *string);
size_t pmj_character_offset(const pmj_string *string, size_t character); /* in bytes */
int64_t pmj_expect_int(pmj *j, pmj_value value, const char *what);
const pmj_string *pmj_expect_string(pmj *j, pmj_value value, const char *what);
pmj_value pmj_attribute(pmj *j, pmj_value value, const char *name);
pmj_value pmj_item(pmj *j, pmj_value value, pmj_value key);
pmj_value pmj_slice(pmj *j, pmj_value value, pmj_value begin, pmj_value end, pmj_value step);
pmj_value pmj_binary(pmj *j, pmj_op op, pmj_value a, pmj_value b);

/* Reads JSON; `content` says whether its strings and numbers count as the conversation's. */
pmj_value pmj_from_json(pmj *j, const char *bytes, size_t n, int content, const char *what);

/* ---- Running ---- */

/* Takes the arguments apart by the names of the parameters ("a,b,c"); PMJ_MISSING where one is not given. */
void pmj_bind(pmj *j, const pmj_args *args, const char *what, const char *parameters, pmj_value *out);
pmj_value pmj_evaluate(pmj *j, const pmj_node *node, pmj_scope *scope);
void pmj_evaluate_arguments(pmj *j, const pmj_node *list, pmj_scope *scope, pmj_args *out);
pmj_value pmj_call(pmj *j, pmj_value callee, const pmj_args *args);
pmj_value pmj_call_macro(pmj *j, const pmj_macro *macro, const pmj_args *args, pmj_value caller);
pmj_value pmj_call_loop(pmj *j, const pmj_loop *loop, const pmj_args *args);
pmj_value pmj_loop_attribute(pmj *j, pmj_value loop, const char *name);
void pmj_set_variable(pmj *j, pmj_scope *scope, const char *name, pmj_value value);
void pmj_add_globals(pmj *j, pmj_scope *scope);
enum pmj_flow { PMJ_ON, PMJ_BREAK, PMJ_CONTINUE } pmj_run(pmj *j, const pmj_node *list, pmj_scope *scope);

pmj_operation pmj_find_filter(const char *name); /* NULL where there is none */
pmj_operation pmj_find_test(const char *name);
pmj_value pmj_find_method(pmj *j, pmj_value self, const char *name); /* PMJ_MISSING where there is none */
pmj_value pmj_format_percent(pmj *j, const pmj_string *format, pmj_value values);
pmj_value pmj_format_braces(pmj *j, pmj_value self, const pmj_args *args);
pmj_value pmj_change_case(pmj *j, const pmj_string *string, char what); /* 'u', 'l', 't', 'c'apitalize, 's'wap */
pmj_value pmj_strip(pmj *j, const pmj_string *string, const pmj_string *set, int left, int right);
pmj_value pmj_replace(pmj *j, const pmj_string *s, const pmj_string *from, const pmj_string *to, int64_t most);
pmj_value pmj_sort(pmj *j, const pmj_list *items, pmj_value key_path, int reverse, int by_case, int by_index);
pmj_value pmj_path(pmj *j, pmj_value value, pmj_value path); /* "a.b.0" */

#endif
