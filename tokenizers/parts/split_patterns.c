/* Scanners by their expressions: see split_patterns.h.
 *
 * Long expressions are known by their text, in the spelling that is left when line breaks are escaped and a set of
 * one property has lost its brackets ([\p{L}]+ is \p{L}+). Short ones, \s?[set]{least,most} and \s+$, are read.
 */
#include "parts/split_patterns.h"

#include <stdlib.h>
#include <string.h>

#include "parts/character_set.h"
#include "parts/split_scanners.h"
#include "parts/utf8_read.h"

typedef struct run_pattern {
    pm_character_set set;
    uint8_t dull[256];      /* by byte: ASCII that no match starts with */
    uint8_t set_ascii[256]; /* by byte: ASCII in the set */
    uint32_t least, most;   /* how many characters of the set */
    int leading_space;      /* \s? comes first */
} run_pattern;

struct pm_split_scanner {
    pm_block_scanner block; /* NULL: a run of a set, or white space before the end of a line */
    int is_complete;
    run_pattern *run;
};

/* ---- The long ones ---- */

/* clang-format off */
#define CONTRACTIONS  "'s|'t|'re|'ve|'m|'ll|'d"
#define SPACES        "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TIKTOKEN_END  "|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"
#define UPPER         "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER         "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define PREFIX        "[^\\r\\n\\p{L}\\p{N}]?"
#define LLAMA3(start, digits) start "|" PREFIX "\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES
#define O200K(suffix, digits) PREFIX UPPER "*" LOWER "+" suffix "|" PREFIX UPPER "+" LOWER "*" suffix "|" digits \
                              "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES
#define ANY_CASE      "(?i:" CONTRACTIONS ")"
#define ANY_CASE_TOO  "(?i:'s|'t|'re|'ve|'m|'d|'ll)"
#define ANY_CASE_SET  "'(?i:[sdmt]|ll|ve|re)"

static const struct {
    const char *pattern;
    pm_block_scanner block;
    int is_complete;
} known[] = {
    {PM_SPLIT_GPT2, pm_scan_block_gpt2, 1},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s",
     pm_scan_block_gpt2, 1},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", pm_scan_block_gpt2, 1},
    {LLAMA3(ANY_CASE, "\\p{N}{1,3}"), pm_scan_block_llama3, 1},
    {LLAMA3(ANY_CASE_TOO, "\\p{N}{1,3}"), pm_scan_block_llama3, 1},
    {LLAMA3(ANY_CASE_SET, "\\p{N}{1,3}"), pm_scan_block_llama3, 1},
    {LLAMA3(ANY_CASE, "\\p{N}"), pm_scan_block_qwen2, 1},
    {LLAMA3(ANY_CASE_TOO, "\\p{N}"), pm_scan_block_qwen2, 1},
    {LLAMA3(ANY_CASE_SET, "\\p{N}"), pm_scan_block_qwen2, 1},
    {ANY_CASE_SET "|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*" SPACES,
     pm_scan_block_llama3, 1},
    {ANY_CASE_SET "|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]"
     "|\\s+(?!\\S)|\\s+", pm_scan_block_llama3, 1},
    {ANY_CASE_SET "|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+" TIKTOKEN_END,
     pm_scan_block_cl100k, 1},
    {ANY_CASE "|" PREFIX "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES,
     pm_scan_block_qwen35, 1},
    {O200K(ANY_CASE "?", "\\p{N}{1,3}"), pm_scan_block_o200k, 1},
    {O200K("", "\\p{N}"), pm_scan_block_tekken, 1},
    {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
     "| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACES, pm_scan_block_deepseek3, 0},
};
/* clang-format on */

/* The pattern in the spelling of the table: out has room for 2n + 1 bytes. */
static void respell(const char *pattern, size_t n, char *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (pattern[i] == '\r' || pattern[i] == '\n') {
            out[k++] = '\\';
            out[k++] = pattern[i] == '\r' ? 'r' : 'n';
        } else if (pattern[i] == '\\' && i + 1 < n) {
            out[k++] = pattern[i++];
            out[k++] = pattern[i];
        } else if (n - i >= 7 && memcmp(pattern + i, "[\\p{", 4) == 0 && memcmp(pattern + i + 5, "}]", 2) == 0) {
            memcpy(out + k, pattern + i + 1, 5);
            k += 5;
            i += 6;
        } else {
            out[k++] = pattern[i];
        }
    }
    out[k] = 0;
}

static int find_known(const char *pattern, size_t n, pm_split_scanner *out)
{
    enum { LONGEST = 1000 };
    char spelling[2 * LONGEST + 1];
    if (n > LONGEST || memchr(pattern, 0, n))
        return 0;
    respell(pattern, n, spelling);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(spelling, known[i].pattern) == 0) {
            out->block = known[i].block;
            out->is_complete = known[i].is_complete;
            return 1;
        }
    return 0;
}

/* ---- The short ones ---- */

/* Nothing, +, {k} or {1,k} at the end of a pattern. */
static int read_count(const char *at, size_t n, run_pattern *run)
{
    unsigned least = 1, most = 1;
    if (n == 0)
        ;
    else if (n == 1 && at[0] == '+')
        most = UINT32_MAX;
    else if (n == 3 && at[0] == '{' && at[1] >= '1' && at[1] <= '9' && at[2] == '}')
        least = most = (unsigned)(at[1] - '0');
    else if (n == 5 && memcmp(at, "{1,", 3) == 0 && at[3] >= '1' && at[3] <= '9' && at[4] == '}')
        most = (unsigned)(at[3] - '0');
    else
        return 0;
    run->least = least;
    run->most = most;
    return 1;
}

/* [set] written k times over, which is [set]{k}. */
static unsigned repetitions(const char *pattern, size_t n, size_t one)
{
    if (n % one != 0 || n / one > 9)
        return 0;
    for (size_t at = one; at < n; at += one)
        if (memcmp(pattern, pattern + at, one) != 0)
            return 0;
    return (unsigned)(n / one);
}

static void fill_bytes(run_pattern *run)
{
    for (uint32_t c = 0; c < 128; c++) {
        run->set_ascii[c] = run->set.ascii[c];
        run->dull[c] = !run->set.ascii[c] && !(run->leading_space && (pm_category_bit(c) & PM_SET_SPACE));
    }
}

static int read_run(const char *pattern, size_t n, run_pattern *run)
{
    size_t at = 0;
    if (n > 3 && memcmp(pattern, "\\s?", 3) == 0) {
        run->leading_space = 1;
        at = 3;
    }
    size_t begin = at;
    if (!pm_character_set_read(pattern, n, &at, &run->set))
        return 0;
    if (read_count(pattern + at, n - at, run))
        return !run->leading_space || run->least == 1;
    run->least = run->most = repetitions(pattern + begin, n - begin, at - begin);
    return run->most > 1 && !run->leading_space;
}

/* The end of \s?[set]{least,most} at `at`; `at` where it does not match. */
static size_t run_end(const run_pattern *run, const char *text, size_t at, size_t n)
{
    size_t stop = at;
    pm_character c = pm_read_character(text, at, n);
    if (run->leading_space && (pm_category_bit(c.code) & PM_SET_SPACE)) {
        pm_character next = pm_read_character(text, at + c.length, n);
        if (next.length > 0 && pm_character_set_has(&run->set, next.code)) {
            stop = at + c.length;
            c = next;
        }
    }
    uint32_t count = 0;
    while (count < run->most && c.length > 0 && pm_character_set_has(&run->set, c.code)) {
        stop += c.length;
        count++;
        if (run->most == UINT32_MAX) /* then how many there are does not matter */
            while (stop < n && run->set_ascii[(unsigned char)text[stop]])
                stop++;
        c = pm_read_character(text, stop, n);
    }
    return count >= run->least ? stop : at;
}

static size_t next_run(const run_pattern *run, const char *text, size_t at, size_t n, size_t *stop)
{
    for (;;) {
        while (at < n && run->dull[(unsigned char)text[at]])
            at++;
        if (at >= n)
            return n;
        *stop = run_end(run, text, at, n);
        if (*stop > at)
            return at;
        at += pm_read_character(text, at, n).length;
    }
}

/* \s+$ as Oniguruma has it: white space up to the end of the text or before the last line break of the run. */
static size_t next_trailing(const char *text, size_t at, size_t n, size_t *stop)
{
    while (at < n) {
        size_t begin = at, last_break = at;
        pm_character c;
        while ((c = pm_read_character(text, at, n)).length > 0 && (pm_category_bit(c.code) & PM_SET_SPACE)) {
            if (c.code == '\n')
                last_break = at;
            at += c.length;
        }
        if (at > begin && (at == n || last_break > begin)) {
            *stop = at == n ? n : last_break;
            return begin;
        }
        at += c.length;
    }
    return n;
}

/* Searches instead of matching, so there are gaps. */
static size_t scan_search(const pm_split_scanner *scanner, const char *text, size_t n, size_t *at, uint32_t *ends,
                          size_t most)
{
    size_t k = 0, begin = *at;
    while (k < most && begin < n) {
        size_t stop = n;
        size_t start =
            scanner->run ? next_run(scanner->run, text, begin, n, &stop) : next_trailing(text, begin, n, &stop);
        if (start > begin)
            ends[k++] = (uint32_t)start | PM_SPLIT_GAP;
        begin = start;
        if (start < n && k < most)
            ends[k++] = (uint32_t)(begin = stop);
    }
    *at = begin;
    return k;
}

/* ---- Chains ---- */

static int is_run_of_numbers(const pm_split_scanner *s, uint32_t most)
{
    return s->run && !s->run->leading_space && s->run->least == 1 && s->run->most == most &&
           !s->run->set.negated && s->run->set.categories == PM_SET_NUMBER && !s->run->set.entry_bits &&
           s->run->set.n_ranges == 0;
}

/* [\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+ */
static int is_run_of_cjk(const pm_split_scanner *s)
{
    return s->run && !s->run->leading_space && s->run->least == 1 && s->run->most == UINT32_MAX &&
           !s->run->set.negated && s->run->set.categories == 0 && !s->run->set.entry_bits &&
           s->run->set.n_ranges == 2 && s->run->set.ranges[0].first == 0x3040 &&
           s->run->set.ranges[0].last == 0x30FF && s->run->set.ranges[1].first == 0x4E00 &&
           s->run->set.ranges[1].last == 0x9FA5;
}

static pm_plugin_code create_block(pm_block_scanner block, int is_complete, pm_split_scanner **out,
                                   const pm_plugin_message *message)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return pm_plugin_fail_memory(message, "the pre-tokenizer");
    **out = (pm_split_scanner){.block = block, .is_complete = is_complete};
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_split_scanner_create_chain(const pm_split_scanner *const *stages, size_t n,
                                             pm_split_scanner **out, const pm_plugin_message *message)
{
    pm_block_scanner block = NULL;
    *out = NULL;
    if (n == 2 && is_run_of_numbers(stages[0], 1) && stages[1]->block == pm_scan_block_gpt2)
        block = pm_scan_block_digits_gpt2;
    else if (n == 3 && is_run_of_numbers(stages[0], 3) && is_run_of_cjk(stages[1]) &&
             stages[2]->block == pm_scan_block_deepseek3)
        block = pm_scan_block_deepseek3_chain;
    return block ? create_block(block, 1, out, message) : PM_PLUGIN_OK;
}

pm_plugin_code pm_split_scanner_create_words(pm_split_scanner **out, const pm_plugin_message *message)
{
    return create_block(pm_scan_block_words, 0, out, message);
}

/* ---- The door ---- */

pm_plugin_code pm_split_scanner_create(const char *pattern, size_t n, pm_split_scanner **out,
                                       const pm_plugin_message *message)
{
    *out = NULL;
    pm_split_scanner *scanner = calloc(1, sizeof *scanner);
    if (!scanner)
        return pm_plugin_fail_memory(message, "the pre-tokenizer");
    if (find_known(pattern, n, scanner) || (n == 4 && memcmp(pattern, "\\s+$", 4) == 0)) {
        *out = scanner;
        return PM_PLUGIN_OK;
    }
    scanner->run = calloc(1, sizeof *scanner->run);
    if (!scanner->run) {
        pm_split_scanner_destroy(scanner);
        return pm_plugin_fail_memory(message, "the pre-tokenizer");
    }
    if (read_run(pattern, n, scanner->run)) {
        fill_bytes(scanner->run);
        *out = scanner;
    } else {
        pm_split_scanner_destroy(scanner);
    }
    return PM_PLUGIN_OK;
}

void pm_split_scanner_destroy(pm_split_scanner *scanner)
{
    if (!scanner)
        return;
    free(scanner->run);
    free(scanner);
}

int pm_split_scanner_is_complete(const pm_split_scanner *scanner)
{
    return scanner->is_complete;
}

size_t pm_split_scan(const pm_split_scanner *scanner, const char *text, size_t n, size_t *at, uint32_t *ends,
                     size_t most)
{
    if (scanner->block)
        return scanner->block((const unsigned char *)text, n, at, ends, most);
    return scan_search(scanner, text, n, at, ends, most);
}
