/* Template text to tokens, with the white space between them as trim_blocks and lstrip_blocks have it: the line
 * end after a block goes, and so does the blank start of a line before one. */
#include <stdlib.h>
#include <string.h>

#include "runtime/jinja.h"

typedef struct lexer {
    pmj *j;
    const char *at, *end;
    pmj_token *tokens;
    size_t n, capacity;
} lexer;

static int is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_name(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80 || is_digit(c);
}

static int starts(const lexer *l, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(l->end - l->at) >= n && memcmp(l->at, text, n) == 0;
}

static pmj_token *add(lexer *l, pmj_token_type type)
{
    if (l->n == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 256;
        pmj_token *larger = pmj_alloc(l->j, capacity * sizeof *larger);
        if (l->n)
            memcpy(larger, l->tokens, l->n * sizeof *larger);
        l->tokens = larger;
        l->capacity = capacity;
    }
    pmj_token *token = &l->tokens[l->n++];
    *token = (pmj_token){.type = type, .line = l->j->line};
    return token;
}

static void move(lexer *l, size_t n)
{
    for (; n && l->at < l->end; n--)
        l->j->line += *l->at++ == '\n';
}

static void skip_space(lexer *l)
{
    while (l->at < l->end && is_space(*l->at))
        move(l, 1);
}

/* After a tag's end: what goes with it. */
static void end_tag(lexer *l, const char *closing, int trims_line)
{
    int minus = *l->at == '-', plus = *l->at == '+';
    move(l, strlen(closing) + (size_t)(minus || plus));
    if (minus)
        skip_space(l);
    else if (!plus && trims_line && l->at < l->end && *l->at == '\n')
        move(l, 1);
}

/* Text before a tag, without the white space that the tag takes away. */
static void add_text(lexer *l, const char *begin, const char *end, char sign, int strips_line)
{
    if (sign == '-') {
        while (end > begin && is_space(end[-1]))
            end--;
    } else if (sign != '+' && strips_line) {
        const char *blank = end;
        while (blank > begin && is_space(blank[-1]) && blank[-1] != '\n')
            blank--;
        if (blank == l->j->source || (blank > l->j->source && blank[-1] == '\n'))
            end = blank;
    }
    if (end > begin) {
        pmj_token *token = add(l, PMJ_T_TEXT);
        token->text = begin;
        token->n = (size_t)(end - begin);
    }
}

/* Is this "{% NAME %}", with any signs? Returns its size, or 0. */
static size_t whole_tag(const lexer *l, const char *at, const char *name)
{
    const char *begin = at;
    size_t n = strlen(name);
    if (l->end - at < 2 || memcmp(at, "{%", 2) != 0)
        return 0;
    at += 2;
    if (at < l->end && (*at == '-' || *at == '+'))
        at++;
    while (at < l->end && is_space(*at))
        at++;
    if ((size_t)(l->end - at) < n || memcmp(at, name, n) != 0)
        return 0;
    at += n;
    while (at < l->end && is_space(*at))
        at++;
    if (at < l->end && (*at == '-' || *at == '+'))
        at++;
    return l->end - at >= 2 && memcmp(at, "%}", 2) == 0 ? (size_t)(at + 2 - begin) : 0;
}

/* {% raw %} ... {% endraw %}; l->at is at the first of them. */
static void lex_raw(lexer *l, size_t size)
{
    move(l, size);
    if (l->at[-3] == '-')
        skip_space(l);
    const char *begin = l->at, *at = l->at;
    while (at < l->end && !whole_tag(l, at, "endraw"))
        at++;
    if (at == l->end)
        pmj_fail(l->j, PM_ERR_FORMAT, "{%% raw %%} has no {%% endraw %%}");
    add_text(l, begin, at, at[2], 1);
    size = whole_tag(l, at, "endraw");
    move(l, (size_t)(at - l->at) + size - 2);
    if (l->at[-1] == '-' || l->at[-1] == '+')
        l->at--;
    end_tag(l, "%}", 1);
}

static void put_utf8(pmj_text *out, pmj *j, uint32_t c)
{
    char b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        pmj_fail(j, PM_ERR_FORMAT, "a string has an escape that stands for no character");
    static const unsigned char first[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; c >>= 6)
        b[i] = (char)(0x80 | (c & 0x3F));
    b[0] = (char)(first[n] | c);
    pmj_text_add(j, out, b, n, NULL);
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* After the backslash. Returns how many bytes were read. */
static size_t undo_escape(lexer *l, pmj_text *out, const char *at, const char *end)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *simple = *at ? strchr(from, *at) : NULL;
    if (simple) {
        pmj_text_add(l->j, out, &to[simple - from], 1, NULL);
        return 1;
    }
    if (*at == '\n')
        return 1;
    uint32_t c = 0;
    size_t n = *at == 'x' ? 2 : *at == 'u' ? 4 : *at == 'U' ? 8 : 0, i = 0;
    if (n) {
        for (i = 1; i <= n && at + i < end && hex_digit(at[i]) >= 0; i++)
            c = c * 16 + (uint32_t)hex_digit(at[i]);
        if (i <= n)
            pmj_fail(l->j, PM_ERR_FORMAT, "a string has an escape that is cut short");
        put_utf8(out, l->j, c);
        return n + 1;
    }
    for (; i < 3 && at + i < end && at[i] >= '0' && at[i] <= '7'; i++)
        c = c * 8 + (uint32_t)(at[i] - '0');
    if (i)
        put_utf8(out, l->j, c);
    else
        pmj_text_add(l->j, out, "\\", 1, NULL);
    return i;
}

static void lex_string(lexer *l)
{
    const char quote = *l->at, *at = l->at + 1;
    while (at < l->end && *at != quote)
        at += *at == '\\' && at + 1 < l->end ? 2 : 1;
    if (at >= l->end)
        pmj_fail(l->j, PM_ERR_FORMAT, "a string does not end");
    pmj_text out = {0};
    for (const char *from = l->at + 1; from < at;) {
        const char *slash = memchr(from, '\\', (size_t)(at - from));
        const char *stop = slash ? slash : at;
        pmj_text_add(l->j, &out, from, (size_t)(stop - from), NULL);
        from = slash ? slash + 1 + undo_escape(l, &out, slash + 1, at) : at;
    }
    pmj_token *token = add(l, PMJ_T_STRING);
    token->text = out.n ? out.bytes : "";
    token->n = out.n;
    move(l, (size_t)(at + 1 - l->at));
}

static void lex_number(lexer *l)
{
    char digits[64];
    size_t n = 0, i = 0, left = (size_t)(l->end - l->at);
    int real = 0;
    int based = left > 2 && l->at[0] == '0' && strchr("xXoObB", l->at[1]) != NULL;
    for (; i < left && n + 1 < sizeof digits; i++) {
        char c = l->at[i];
        if (c == '_')
            continue;
        int fraction = c == '.' && !real && !based && i + 1 < left && is_digit(l->at[i + 1]);
        int exponent =
            (c == 'e' || c == 'E') && !based && real < 2 && i + 1 < left &&
            (is_digit(l->at[i + 1]) || (strchr("+-", l->at[i + 1]) && i + 2 < left && is_digit(l->at[i + 2])));
        int sign = (c == '+' || c == '-') && real == 2 && (digits[n - 1] == 'e' || digits[n - 1] == 'E');
        if (fraction)
            real = 1;
        else if (exponent)
            real = 2;
        else if (!sign && !(based ? is_name(c) && (unsigned char)c < 0x80 : is_digit(c)))
            break;
        digits[n++] = c;
    }
    digits[n] = '\0';
    pmj_token *token = add(l, real ? PMJ_T_FLOAT : PMJ_T_INT);
    char *end = digits;
    if (real) {
        token->real = strtod(digits, &end);
    } else {
        int base = !based ? 10 : (digits[1] | 0x20) == 'x' ? 16 : (digits[1] | 0x20) == 'o' ? 8 : 2;
        unsigned long long value = strtoull(digits + (based ? 2 : 0), &end, base);
        token->integer = value > INT64_MAX ? -1 : (int64_t)value;
    }
    if (*end || n + 1 == sizeof digits || token->integer < 0)
        pmj_fail(l->j, PM_ERR_UNSUPPORTED, "the number \"%s\" is malformed or too large", digits);
    move(l, i);
}

static const struct operator_text {
    char text[3];
    pmj_op op;
} operators[] = {
    {"//", PMJ_OP_FLOORDIV}, {"**", PMJ_OP_POW},     {"==", PMJ_OP_EQ},      {"!=", PMJ_OP_NE},
    {"<=", PMJ_OP_LE},       {">=", PMJ_OP_GE},      {"+", PMJ_OP_ADD},      {"-", PMJ_OP_SUB},
    {"*", PMJ_OP_MUL},       {"/", PMJ_OP_DIV},      {"%", PMJ_OP_MOD},      {"~", PMJ_OP_TILDE},
    {"<", PMJ_OP_LT},        {">", PMJ_OP_GT},       {"=", PMJ_OP_ASSIGN},   {"(", PMJ_OP_LPAREN},
    {")", PMJ_OP_RPAREN},    {"[", PMJ_OP_LBRACKET}, {"]", PMJ_OP_RBRACKET}, {"{", PMJ_OP_LBRACE},
    {"}", PMJ_OP_RBRACE},    {",", PMJ_OP_COMMA},    {":", PMJ_OP_COLON},    {".", PMJ_OP_DOT},
    {"|", PMJ_OP_PIPE},
};

static pmj_op lex_operator(lexer *l)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (starts(l, operators[i].text)) {
            add(l, PMJ_T_OP)->op = operators[i].op;
            move(l, strlen(operators[i].text));
            return operators[i].op;
        }
    pmj_fail(l->j, PM_ERR_FORMAT, "\"%c\" is not understood here", *l->at >= ' ' && *l->at < 127 ? *l->at : '?');
}

/* At the closing mark of a tag, with or without a sign? */
static int at_closing(const lexer *l, const char *closing)
{
    size_t sign = l->at < l->end && (*l->at == '-' || (*l->at == '+' && closing[0] == '%'));
    return (size_t)(l->end - l->at) >= 2 + sign && memcmp(l->at + sign, closing, 2) == 0;
}

/* The inside of {{ }} or {% %}, up to and with its closing mark. */
static void lex_inside(lexer *l, const char *closing, pmj_token_type end_type)
{
    int brackets = 0;
    for (;;) {
        skip_space(l);
        if (l->at == l->end)
            pmj_fail(l->j, PM_ERR_FORMAT, "the template ends within a tag");
        if (!brackets && at_closing(l, closing))
            break;
        if (is_digit(*l->at)) {
            lex_number(l);
        } else if (is_name(*l->at)) {
            const char *begin = l->at;
            pmj_token *token = add(l, PMJ_T_NAME);
            while (l->at < l->end && is_name(*l->at))
                l->at++;
            token->text = pmj_name(l->j, begin, (size_t)(l->at - begin));
        } else if (*l->at == '"' || *l->at == '\'') {
            lex_string(l);
        } else {
            pmj_op op = lex_operator(l);
            brackets += op == PMJ_OP_LPAREN || op == PMJ_OP_LBRACKET || op == PMJ_OP_LBRACE;
            brackets -= op == PMJ_OP_RPAREN || op == PMJ_OP_RBRACKET || op == PMJ_OP_RBRACE;
            if (brackets < 0)
                pmj_fail(l->j, PM_ERR_FORMAT, "a bracket is closed that is not open");
        }
    }
    add(l, end_type);
    end_tag(l, closing, end_type == PMJ_T_BLOCK_END);
}

static void lex_comment(lexer *l)
{
    const char *at = l->at + 2;
    while (l->end - at >= 2 && memcmp(at, "#}", 2) != 0)
        at++;
    if (l->end - at < 2)
        pmj_fail(l->j, PM_ERR_FORMAT, "a comment does not end");
    if (at > l->at + 2 && (at[-1] == '-' || at[-1] == '+'))
        at--;
    move(l, (size_t)(at - l->at));
    end_tag(l, "#}", 1);
}

static void lex_tag(lexer *l)
{
    int variable = l->at[1] == '{';
    size_t raw = whole_tag(l, l->at, "raw");
    if (raw) {
        lex_raw(l, raw);
    } else if (l->at[1] == '#') {
        lex_comment(l);
    } else {
        add(l, variable ? PMJ_T_VARIABLE_BEGIN : PMJ_T_BLOCK_BEGIN);
        move(l, 2);
        if (l->at < l->end && (*l->at == '-' || (*l->at == '+' && !variable)))
            move(l, 1);
        lex_inside(l, variable ? "}}" : "%}", variable ? PMJ_T_VARIABLE_END : PMJ_T_BLOCK_END);
    }
}

const pmj_token *pmj_lex(pmj *j)
{
    lexer l = {.j = j, .at = j->source, .end = j->source + j->n_source};
    j->line = 1;
    /* A last line end is no part of the text. */
    if (l.end > l.at && l.end[-1] == '\n')
        l.end--;
    while (l.at < l.end) {
        const char *at = l.at;
        while (l.end - at >= 2 && !(at[0] == '{' && (at[1] == '{' || at[1] == '%' || at[1] == '#')))
            at++;
        if (l.end - at < 2) {
            add_text(&l, l.at, l.end, '+', 0);
            break;
        }
        add_text(&l, l.at, at, l.end - at > 2 ? at[2] : ' ', at[1] != '{');
        move(&l, (size_t)(at - l.at));
        lex_tag(&l);
    }
    add(&l, PMJ_T_END);
    return l.tokens;
}
