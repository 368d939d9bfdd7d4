/* Each hand-written scanner against ICU's regular expression for the same pattern: the pieces must be the same, on
 * code points in every context that the patterns look at, on random texts made of what the patterns tell apart, on
 * random bytes, and on files. Before that, the table of categories against ICU, for every code point.
 *
 * usage: compare_splitters [TEXTS [SEED [all | some [FILE...]]]]     all: every code point in context (minutes)
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uregex.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>

#include "parts/character_class.h"
#include "parts/split_patterns.h"
#include "parts/utf8_read.h"
#include "splitter_patterns.h"

typedef struct comparison {
    const splitter_pattern *pattern;
    pm_split_scanner *scanner;
    URegularExpression *regex;
    uint32_t failures, skipped;
    /* the text in UTF-16 (what is malformed as U+FFFD), and the byte at which each unit begins */
    UChar *units;
    size_t *offsets;
    uint32_t *ours, *theirs;
    size_t room; /* bytes of text that these have room for */
} comparison;

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* ---- The two sides ---- */

/* Whether ICU knows the code point as the table does; where a newer Unicode says otherwise, it is left out. */
static int is_like_icu(uint32_t code)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar32 c = (UChar32)code;
    pm_category category = pm_category_of(code);
    int plain =
        category == PM_CATEGORY_CC_BREAK || category == PM_CATEGORY_CC_SPACE ? (int)PM_CATEGORY_CC : (int)category;
    return plain == u_charType(c) && pm_is_han(code) == (uscript_getScript(c, &status) == USCRIPT_HAN) &&
           ((pm_category_bit(code) & PM_SET_SPACE) != 0) == (u_hasBinaryProperty(c, UCHAR_WHITE_SPACE) != 0);
}

/* ICU's \s is not White_Space, and its $ is neither Oniguruma's nor tiktoken's. Expressions of tiktoken are the
 * ones with \s++$. */
static void to_icu(const char *pattern, char *out, size_t size)
{
    size_t k = 0;
    for (const char *p = pattern; *p && k + 20 < size;) {
        const char *put = NULL;
        size_t skip = 2;
        if (strncmp(p, "\\s", 2) == 0)
            put = "\\p{White_Space}";
        else if (strncmp(p, "\\S", 2) == 0)
            put = "\\P{White_Space}";
        else if (strncmp(p, "+$", 2) == 0)
            put = k > 0 && out[k - 1] == '+' ? "+\\z" : "+(?=\\n|\\z)";
        else if (*p == '\\')
            out[k++] = *p++, skip = 0;
        else
            skip = 0;
        if (put)
            k += (size_t)snprintf(out + k, size - k, "%s", put);
        else
            out[k++] = *p++;
        p += put ? skip : 0;
    }
    out[k] = 0;
}

static pm_plugin_code create_scanner(const splitter_pattern *pattern, pm_split_scanner **out,
                                     const pm_plugin_message *message)
{
    if (strcmp(pattern->name, WHITESPACE_WORDS) == 0)
        return pm_split_scanner_create_words(out, message);
    return pm_split_scanner_create(pattern->pattern, strlen(pattern->pattern), out, message);
}

static int open_comparison(comparison *c, const splitter_pattern *pattern)
{
    static char spelling[4000];
    static UChar units[4000];
    char sentence[200] = "";
    const pm_plugin_message message = {sentence, sizeof sentence};
    UErrorCode status = U_ZERO_ERROR;
    int32_t n = 0;
    *c = (comparison){.pattern = pattern};
    to_icu(pattern->pattern, spelling, sizeof spelling);
    u_strFromUTF8(units, 4000, &n, spelling, -1, &status);
    c->regex = uregex_open(units, n, 0, NULL, &status);
    if (U_FAILURE(status)) {
        fprintf(stderr, "%s: ICU says %s of %s\n", pattern->name, u_errorName(status), spelling);
        return 0;
    }
    pm_plugin_code code = create_scanner(pattern, &c->scanner, &message);
    if (code != PM_PLUGIN_OK || !c->scanner)
        fprintf(stderr, "%s: no scanner %s\n", pattern->name, sentence);
    return code == PM_PLUGIN_OK && c->scanner;
}

static void close_comparison(comparison *c)
{
    pm_split_scanner_destroy(c->scanner);
    if (c->regex)
        uregex_close(c->regex);
    free(c->units);
    free(c->offsets);
    free(c->ours);
    free(c->theirs);
}

static void make_room(comparison *c, size_t n)
{
    if (n < c->room)
        return;
    c->room = 2 * n + 256;
    c->units = realloc(c->units, c->room * sizeof *c->units);
    c->offsets = realloc(c->offsets, c->room * sizeof *c->offsets);
    c->ours = realloc(c->ours, c->room * sizeof *c->ours);
    c->theirs = realloc(c->theirs, c->room * sizeof *c->theirs);
    if (!c->units || !c->offsets || !c->ours || !c->theirs) {
        fprintf(stderr, "out of memory\n");
        exit(EXIT_FAILURE);
    }
}

static size_t decode(comparison *c, const char *text, size_t n)
{
    size_t k = 0;
    for (size_t at = 0; at < n;) {
        pm_character x = pm_read_character(text, at, n);
        if (x.code > 0xFFFF) {
            c->offsets[k] = at;
            c->units[k++] = (UChar)(0xD7C0 + (x.code >> 10));
        }
        c->offsets[k] = at;
        c->units[k++] = (UChar)(x.code > 0xFFFF ? 0xDC00 | (x.code & 0x3FF) : x.code);
        at += x.length;
    }
    c->offsets[k] = n;
    return k;
}

static size_t split_icu(comparison *c, const char *text, size_t n)
{
    UErrorCode status = U_ZERO_ERROR;
    size_t units = decode(c, text, n), k = 0, end = 0;
    uregex_setText(c->regex, c->units, (int32_t)units, &status);
    while (uregex_findNext(c->regex, &status) && U_SUCCESS(status)) {
        size_t begin = c->offsets[uregex_start(c->regex, 0, &status)];
        size_t stop = c->offsets[uregex_end(c->regex, 0, &status)];
        if (begin > end)
            c->theirs[k++] = (uint32_t)begin | PM_SPLIT_GAP;
        c->theirs[k++] = (uint32_t)stop;
        end = stop;
    }
    if (U_FAILURE(status))
        return 0;
    if (end < n)
        c->theirs[k++] = (uint32_t)n | PM_SPLIT_GAP;
    return k;
}

/* In blocks of `most`, to see that a call goes on where the last one stopped. */
static size_t split_ours(comparison *c, const char *text, size_t n, size_t most)
{
    size_t k = 0, at = 0;
    for (size_t got; (got = pm_split_scan(c->scanner, text, n, &at, c->ours + k, most)) > 0;) {
        k += got;
        if (k + most > c->room || got > most || at > n || (c->ours[k - 1] & ~PM_SPLIT_GAP) != at) {
            fprintf(stderr, "%s: a call that gives %zu ends\n", c->pattern->name, got);
            return 0;
        }
    }
    return at == n ? k : 0;
}

static void print_text(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, text[i] >= ' ' && text[i] < 127 ? "%c" : "\\x%02X", (unsigned char)text[i]);
    fputc('\n', stderr);
}

static void print_pieces(const char *who, const uint32_t *ends, size_t n)
{
    fprintf(stderr, "  %s", who);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, " %s%u", ends[i] & PM_SPLIT_GAP ? "-" : "", ends[i] & ~PM_SPLIT_GAP);
    fputc('\n', stderr);
}

/* Text with characters that are newer than this ICU has nothing to be compared with. */
static int is_known_to_icu(const char *text, size_t n)
{
    pm_character x;
    for (size_t at = 0; at < n; at += x.length) {
        x = pm_read_character(text, at, n);
        if (x.code >= 0x80 && !is_like_icu(x.code))
            return 0;
    }
    return 1;
}

static void compare_text(comparison *c, const char *text, size_t n, size_t most)
{
    if (!is_known_to_icu(text, n)) {
        c->skipped++;
        return;
    }
    make_room(c, n + most);
    char *exact = malloc(n + !n); /* so that a sanitizer sees a read beyond the end */
    if (!exact)
        exit(EXIT_FAILURE);
    memcpy(exact, text, n);
    size_t a = split_ours(c, exact, n, most);
    free(exact);
    size_t b = split_icu(c, text, n);
    if (a == b && (a > 0 || n == 0) && memcmp(c->ours, c->theirs, a * sizeof c->ours[0]) == 0)
        return;
    if (c->failures++ < 3) {
        size_t same = 0;
        while (same < a && same < b && c->ours[same] == c->theirs[same])
            same++;
        size_t begin = same > 2 ? c->ours[same - 3] & ~PM_SPLIT_GAP : 0;
        size_t shown = n - begin < 300 ? n - begin : 300;
        fprintf(stderr, "%s differs from its regular expression, from byte %zu: ", c->pattern->name, begin);
        print_text(text + begin, shown);
        print_pieces("ours:", c->ours + same, a - same < 8 ? a - same : 8);
        print_pieces("ICU: ", c->theirs + same, b - same < 8 ? b - same : 8);
    }
}

/* ---- Texts ---- */

static const char *const snippets[] = {
    "a",
    "hello",
    "Z",
    "HTTP",
    "Ab",
    "aB",
    "\xC3\xA9",
    "\xC3\x89",
    "\xCE\xA9",
    "\xD0\x96",
    "\xD0\xB6",
    "\xC7\x85",
    "\xCA\xB0",
    "\xE4\xB8\x96",
    "\xE4\xB8\xAD\xE6\x96\x87",
    "\xE3\x81\x82",
    "\xE3\x82\xA2",
    "\xE3\x83\xBB",
    "\xED\x95\x9C",
    "\xF0\x90\x90\x80",
    "\xF0\x90\x90\xA8",
    "\xF0\xA0\x80\x80",
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQ",
    "abcdefghijklmno\xC3\xA9", /* letters of every case, and runs longer than a vector */
    "1",
    "42",
    "2024",
    "\xD9\xA3",
    "\xC2\xB2",
    "\xE2\x85\xA7", /* numbers */
    " ",
    " ",
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\v",
    "\xC2\x85",
    "\xC2\xA0",
    "\xE2\x80\x83",
    "\xE3\x80\x80",
    "\xE2\x80\xA8",
    "\xE2\x80\xA9",
    "\xE1\x9A\x80",
    "                    ", /* white space */
    "\x1C",
    "\x1F",
    "\xE2\x80\x8B",
    "\xEF\xBB\xBF",
    "\xE1\xA0\x8E", /* nearly so */
    "'",
    "'s",
    "'S",
    "'T",
    "'re",
    "'rE",
    "'ve",
    "'m",
    "'LL",
    "'l",
    "'d",
    "''",
    "'\xC5\xBF",
    ".",
    ",",
    "!?",
    "$",
    "+",
    "<|",
    "|>",
    "^",
    "~",
    "-",
    "_",
    "/",
    "//",
    "/\n",
    "=====",
    "(x)",
    "\xE3\x80\x82",
    "\xEF\xBC\x81",
    "\xE2\x80\x99",
    "\xE2\x82\xAC",
    "\xF0\x9F\x8C\x8B",
    "\xCC\x81",
    "\xE0\xA4\xBF",
    "\xE2\x83\x9D",
    "\xE2\x80\x8D",
    "\xEF\xB8\x8F",
    "\x01",
    "\x7F",
    "\xFF",
    "\xF4\x90\x80\x80",
    "\xE4\xB8",
    "\xC3",
    "\xF0\x90\x90",
    "\xED\xA0\x80",
    "\xC0\xAF",
    "\xEF\xBF\xBD",
    "\xCD\xB8" /* signs, marks, malformed, unassigned */
};

enum { MOST_TEXT = 400 };

static size_t make_text(uint64_t *seed, char *text)
{
    size_t n = 0;
    if (next_random(seed) % 8 == 0) {
        n = next_random(seed) % 40;
        for (size_t i = 0; i < n; i++)
            text[i] = (char)next_random(seed);
        return n;
    }
    for (uint32_t left = next_random(seed) % 24; left > 0; left--) {
        const char *snippet = snippets[next_random(seed) % (sizeof snippets / sizeof snippets[0])];
        for (uint32_t times = next_random(seed) % 8 ? 1 : 5; times > 0 && n + strlen(snippet) < MOST_TEXT;
             times--) {
            memcpy(text + n, snippet, strlen(snippet));
            n += strlen(snippet);
        }
    }
    return n;
}

static size_t put_code(char *out, uint32_t code)
{
    int32_t n = 0;
    UBool error = 0;
    uint8_t bytes[4];
    U8_APPEND(bytes, n, 4, (UChar32)code, error);
    (void)error;
    memcpy(out, bytes, (size_t)n);
    return (size_t)n;
}

/* The code point between, before and behind everything that a pattern can tell apart. */
static size_t make_contexts(uint32_t code, char *text)
{
    static const char *const contexts[] = {
        "a",  "b", " ",  "x ",           "1",        "A", "'",  "s'", "r", "'r", "e'l", "\n", " ", "\n", ".",
        " .", "A", "Ba", "\xE4\xB8\x96", "\xCC\x81", "",  "\t", "12", "  "};
    size_t n = 0;
    for (size_t i = 0; i < sizeof contexts / sizeof contexts[0]; i++) {
        n += put_code(text + n, code);
        memcpy(text + n, contexts[i], strlen(contexts[i]));
        n += strlen(contexts[i]);
    }
    return n + put_code(text + n, code);
}

/* ---- The table ---- */

/* Unicode 16 has 5185 characters more than 15.0, 627 of them in 15.1, and changed one category; an ICU that has it
 * must agree on every code point but those newer still. */
static int check_table(void)
{
    enum { NEW_IN_UNICODE_16 = 5812, CHANGED = 1 };
    uint32_t unlike = 0;
    for (uint32_t code = 0; code < 0x110000; code++)
        unlike += !is_like_icu(code);
    uint8_t version[4];
    u_getUnicodeVersion(version);
    printf("table of categories: %u code points differ from ICU's Unicode %u.%u\n", unlike, version[0],
           version[1]);
    if (version[0] == 15 && version[1] == 0)
        return unlike == NEW_IN_UNICODE_16 + CHANGED;
    return version[0] != 16 || unlike == 0;
}

/* ---- The comparison ---- */

static void compare_code_points(comparison *c, int all, uint64_t *seed)
{
    char text[400];
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (!all && code >= 0x100 && next_random(seed) % (code < 0x3100 ? 16 : 512) != 0)
            continue;
        if ((code >= 0xD800 && code < 0xE000) || !is_like_icu(code))
            continue;
        compare_text(c, text, make_contexts(code, text), 1000);
    }
}

static void compare_file(comparison *c, const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc((size_t)1 << 26);
    size_t n = file && text ? fread(text, 1, (size_t)1 << 26, file) : 0;
    if (n == 0) {
        fprintf(stderr, "cannot read %s\n", path);
        c->failures++;
    }
    compare_text(c, text, n, 256);
    free(text);
    if (file)
        fclose(file);
}

/* ---- Chains ---- */

typedef struct chain {
    const char *name;
    const char *stages[3]; /* names of patterns */
    size_t n;
} chain;

static const chain chains[] = {
    {"digits, then gpt2", {"one number", "gpt2"}, 2},
    {"deepseek-v3", {"numbers by three", "deepseek-v3, han and kana", "deepseek-v3, words"}, 3},
};

/* The ends that the stages from the first on give one after the other; out has room for one a byte. */
static size_t split_by_stages(pm_split_scanner *const *stages, size_t n_stages, const char *text, size_t base,
                              size_t n, uint32_t *out)
{
    uint32_t ends[16];
    size_t at = 0, begin = 0, k = 0;
    for (size_t got; (got = pm_split_scan(stages[0], text, n, &at, ends, 16)) > 0;)
        for (size_t i = 0; i < got; i++) {
            size_t end = ends[i] & ~PM_SPLIT_GAP;
            if (n_stages == 1)
                out[k++] = (uint32_t)(base + end);
            else
                k += split_by_stages(stages + 1, n_stages - 1, text + begin, base + begin, end - begin, out + k);
            begin = end;
        }
    return k;
}

static int compare_chain(const chain *c, uint32_t n_texts, uint64_t seed)
{
    pm_split_scanner *stages[3] = {0}, *whole = NULL;
    uint32_t failures = 0;
    for (size_t i = 0; i < c->n; i++)
        for (size_t p = 0; p < N_SPLITTER_PATTERNS; p++)
            if (strcmp(splitter_patterns[p].name, c->stages[i]) == 0)
                pm_split_scanner_create(splitter_patterns[p].pattern, strlen(splitter_patterns[p].pattern),
                                        &stages[i], NULL);
    pm_split_scanner_create_chain((const pm_split_scanner *const *)stages, c->n, &whole, NULL);
    for (uint32_t t = 0; whole && t < n_texts; t++) {
        char text[MOST_TEXT];
        uint32_t ours[MOST_TEXT + 16], theirs[MOST_TEXT];
        size_t n =
            t < 0x20000 && t % 2 ? make_contexts(t * 8 + next_random(&seed) % 8, text) : make_text(&seed, text);
        size_t k = 0, at = 0, most = 1 + next_random(&seed) % 12;
        for (size_t got; (got = pm_split_scan(whole, text, n, &at, ours + k, most)) > 0;)
            k += got;
        if (k != split_by_stages(stages, c->n, text, 0, n, theirs) ||
            memcmp(ours, theirs, k * sizeof ours[0]) != 0) {
            if (failures++ < 3) {
                fprintf(stderr, "%s differs from its stages on ", c->name);
                print_text(text, n);
            }
        }
    }
    printf("%s: %s as its stages\n", c->name, failures || !whole ? "NOT the same" : "the same");
    for (size_t i = 0; i < 3; i++)
        pm_split_scanner_destroy(stages[i]);
    int good = whole && failures == 0;
    pm_split_scanner_destroy(whole);
    return good;
}

int main(int argc, char **argv)
{
    uint32_t n_texts = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 3000;
    uint64_t first_seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    int all = argc > 3 && strcmp(argv[3], "all") == 0;
    int good = check_table();
    for (size_t i = 0; i < N_SPLITTER_PATTERNS; i++) {
        comparison c;
        uint64_t seed = first_seed;
        if (open_comparison(&c, &splitter_patterns[i])) {
            for (uint32_t t = 0; t < n_texts; t++) {
                char text[MOST_TEXT];
                size_t n = make_text(&seed, text);
                compare_text(&c, text, n, 1 + next_random(&seed) % 12);
            }
            compare_code_points(&c, all, &seed);
            for (int f = 4; f < argc; f++)
                compare_file(&c, argv[f]);
        } else {
            c.failures++;
        }
        printf("%s: %s; %u texts skipped: they have characters that are newer than ICU\n", c.pattern->name,
               c.failures ? "DIFFERENT" : "the same", c.skipped);
        good &= c.failures == 0;
        close_comparison(&c);
    }
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++)
        good &= compare_chain(&chains[i], 10 * n_texts, first_seed);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
