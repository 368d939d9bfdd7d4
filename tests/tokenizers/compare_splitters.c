/* Each hand-written pre-tokenizer against ICU's regular expressions for the same pattern: the pieces of many
 * random texts must be the same. Texts are made of what the patterns tell apart: letters, numbers and white space
 * of several scripts, apostrophes, line breaks, marks, malformed bytes at the ends of words.
 *
 * usage: compare_splitters [TEXTS [SEED]]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts/splitter.h"

#define WHITE      "[\\p{White_Space}]"
#define NOT_WHITE  "[^\\p{White_Space}]"
#define WHITE_TAIL WHITE "+(?!" NOT_WHITE ")|" WHITE "+"
#define GPT2       "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+|" WHITE_TAIL
#define LLAMA3(digits)                                                                                            \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                          \
    "| ?[^\\p{White_Space}\\p{L}\\p{N}]+[\\r\\n]*|" WHITE "*[\\r\\n]+|" WHITE_TAIL
#define CJK "[\\u4E00-\\u9FA5\\u0800-\\u4E00\\uAC00-\\uD7FF]+"

enum { MOST_PATTERNS = 6, MOST_TEXT = 200 };

typedef struct comparison {
    const char *name;
    const char *patterns[MOST_PATTERNS];
} comparison;

static const comparison comparisons[] = {
    {"gpt-2", {GPT2}},
    {"smollm", {"\\p{N}", GPT2}},
    {"llama-bpe", {LLAMA3("\\p{N}{1,3}")}},
    {"qwen2", {LLAMA3("\\p{N}")}},
    {"deepseek-coder", {"[\\r\\n]", WHITE "?\\p{L}+", WHITE "?\\p{P}+", CJK, "\\p{N}"}},
    {"default", {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
};

static const char *const snippets[] = {
    "a",
    "hello",
    "Z",
    "\xC3\xA9",
    "\xCE\xA9",
    "\xD0\x96",
    "\xE4\xB8\x96",
    "\xED\x95\x9C",
    "\xF0\x90\x90\x80", /* letters */
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
    "\xE1\x9A\x80", /* white space */
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
    "\xE3\x80\x82",
    "\xE2\x80\x99",
    "\xF0\x9F\x8C\x8B",
    "\xCC\x81",
    "\xE0\xA4\xBF",
    "\xE2\x80\x8D",
    "\xEF\xB8\x8F",
    "\x01",
    "\x7F",
    "\xFF",
    "\xF4\x90\x80\x80",
    "\xEF\xBF\xBD", /* what is malformed counts as U+FFFD */
};

typedef struct pieces {
    size_t n;
    size_t ends[MOST_TEXT];
} pieces;

static pm_plugin_code collect(void *context, size_t begin, size_t end)
{
    pieces *p = context;
    if (begin != (p->n ? p->ends[p->n - 1] : 0) || end <= begin || p->n >= MOST_TEXT)
        return PM_PLUGIN_INTERNAL;
    p->ends[p->n++] = end;
    return PM_PLUGIN_OK;
}

static int split(const pm_splitter *splitter, const char *text, size_t size, pieces *out)
{
    char sentence[200] = "";
    const pm_plugin_message message = {sentence, sizeof sentence};
    pm_split_run *run = NULL;
    out->n = 0;
    int good = pm_split_run_begin(splitter, text, size, &run, &message) == PM_PLUGIN_OK &&
               pm_split(run, 0, size, collect, out, &message) == PM_PLUGIN_OK &&
               (out->n ? out->ends[out->n - 1] : 0) == size;
    pm_split_run_end(run);
    if (!good)
        fprintf(stderr, "splitting failed: %s\n", sentence);
    return good;
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static size_t make_text(uint64_t *seed, char *text)
{
    size_t n = 0;
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

static void print_text(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, text[i] >= ' ' && text[i] < 127 ? "%c" : "\\x%02X", (unsigned char)text[i]);
    fputc('\n', stderr);
}

static int compare(const comparison *c, uint32_t n_texts, uint64_t seed)
{
    char sentence[300] = "";
    const pm_plugin_message message = {sentence, sizeof sentence};
    pm_pretokenizer_spec by_name = {.name = c->name};
    pm_pretokenizer_spec by_pattern = {.name = c->name, .patterns = c->patterns};
    while (by_pattern.n_patterns < MOST_PATTERNS && c->patterns[by_pattern.n_patterns])
        by_pattern.n_patterns++;
    pm_splitter *ours = NULL;
    pm_splitter *icu = NULL;
    uint32_t failures = 0;
    if (pm_splitter_create(&by_name, &ours, &message) != PM_PLUGIN_OK ||
        pm_splitter_create(&by_pattern, &icu, &message) != PM_PLUGIN_OK) {
        fprintf(stderr, "%s: %s\n", c->name, sentence);
        failures++;
    }
    for (uint32_t i = 0; i < n_texts && failures < 3; i++) {
        char text[MOST_TEXT];
        size_t n = make_text(&seed, text);
        pieces a, b;
        if (!split(ours, text, n, &a) || !split(icu, text, n, &b) || a.n != b.n ||
            memcmp(a.ends, b.ends, a.n * sizeof a.ends[0]) != 0) {
            fprintf(stderr, "%s differs from its regular expression on ", c->name);
            print_text(text, n);
            failures++;
        }
    }
    pm_splitter_destroy(ours);
    pm_splitter_destroy(icu);
    printf("%s: %s\n", c->name, failures ? "DIFFERENT" : "the same");
    return failures == 0;
}

int main(int argc, char **argv)
{
    uint32_t n_texts = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 5000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    int good = 1;
    for (size_t i = 0; i < sizeof comparisons / sizeof comparisons[0]; i++)
        good &= compare(&comparisons[i], n_texts, seed);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
